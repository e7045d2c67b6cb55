//! What a publisher waits for its own call: to make a message and publish it. With the consumers awake, which a
//! stream of messages keeps them, and, apart from that, with everybody asleep before each call, so that it wakes
//! them. The time of a reading of the clock is within all figures.

use super::latency::contenders;
use super::{Context, Shape};
use crate::contest::in_rounds;
use crate::line::Line;
use crate::peer::{Fault, Peer, Wiring};
use crate::percentiles::{self, Times};
use crate::single::{Single, with_single};
use std::hint::spin_loop;
use std::time::{Duration, Instant};

pub(crate) const SHAPES: &[Shape] = &[
    shape("publish-call-1", "the call, one subscriber that is awake"),
    shape("publish-call-8", "the call, 8 subscribers that are awake"),
    shape("publish-idle-1", "the call, one subscriber that sleeps"),
    shape("publish-idle-8", "the call, 8 subscribers that sleep"),
];

const fn shape(name: &'static str, about: &'static str) -> Shape {
    Shape {
        name,
        about,
        run: measure,
    }
}

/// From one message of a stream to the next.
const STREAM_PERIOD: Duration = Duration::from_nanos(1_000);

/// Messages of a stream, after which the consumers may catch up; those at its beginning wake them.
const STREAM: u64 = 2_000;
const WAKING: u64 = 200;

/// Before a call that finds everybody asleep.
const REST: Duration = Duration::from_millis(1);

fn measure(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let subscribers = if shape.name.ends_with('8') { 8 } else { 1 };
    let is_idle = shape.name.starts_with("publish-idle");
    let wiring = Wiring::one_topic(1, subscribers);
    let (rounds, calls) = match (context.plan.is_quick, is_idle) {
        (true, true) => (1, 50),
        (true, false) => (1, 2 * STREAM),
        (false, true) => (5, 60),
        (false, false) => (5, 10 * STREAM),
    };
    let mut contenders = contenders(context, &wiring, rounds);
    in_rounds(
        &mut contenders,
        |contender| contender.rounds,
        |contender| {
            let run = if is_idle { from_rest } else { in_a_stream };
            contender.times.push(run(contender.peer, wiring, calls)?);
            Ok(())
        },
    )?;
    let lines = contenders
        .iter()
        .flat_map(|it| percentiles::lines(shape.name, it.peer.name(), 2, ("ns", 1.0), &it.times));
    Ok(lines.collect())
}

fn timed(single: &mut Single) -> u64 {
    let begin = Instant::now();
    single.publish(0);
    begin.elapsed().as_nanos() as u64
}

fn in_a_stream(peer: &'static dyn Peer, wiring: Wiring, calls: u64) -> Result<Times, Fault> {
    let mut times = Times::new();
    let nobody = |_| None;
    with_single(peer, wiring, nobody, |single| {
        for _ in 0..calls / STREAM {
            single.expect(STREAM);
            let mut due = Instant::now();
            for number in 0..STREAM {
                while Instant::now() < due {
                    spin_loop();
                }
                let nanos = timed(single);
                if number >= WAKING {
                    times.record(nanos);
                }
                due += STREAM_PERIOD;
            }
            single.wait()?;
        }
        Ok(())
    })?;
    Ok(times)
}

fn from_rest(peer: &'static dyn Peer, wiring: Wiring, calls: u64) -> Result<Times, Fault> {
    let mut times = Times::new();
    let nobody = |_| None;
    with_single(peer, wiring, nobody, |single| {
        for _ in 0..calls {
            std::thread::sleep(REST);
            single.expect(1);
            times.record(timed(single));
            single.wait()?;
        }
        Ok(())
    })?;
    Ok(times)
}
