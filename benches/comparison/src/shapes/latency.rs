//! How late messages are: paced, from the moment that a message was due to the moment that its subscriber has it, so
//! that a publisher that is held up hides nothing (no coordinated omission).
//!
//! The publisher spins between messages and so takes one core for itself; consumers have the others. That is the
//! same for all, and keeps the publisher's own way to sleep out of the figures.

use super::{Context, Plan, Shape};
use crate::clock::cpu_time;
use crate::contest::in_rounds;
use crate::ledger::Look;
use crate::line::Line;
use crate::peer::{Fault, Kind, Messages, Peer, Wiring};
use crate::percentiles::{self, PERCENTILES, Recorder, Times};
use crate::single::{Single, with_single};
use std::hint::spin_loop;
use std::time::{Duration, Instant};

pub(crate) const SHAPES: &[Shape] = &[
    shape(
        "latency-10k-1",
        "10,000 messages a second to one subscriber",
    ),
    shape("latency-10k-8", "10,000 messages a second to 8 subscribers"),
    shape(
        "latency-100k-1",
        "100,000 messages a second to one subscriber",
    ),
    shape(
        "latency-100k-8",
        "100,000 messages a second to 8 subscribers",
    ),
];

const fn shape(name: &'static str, about: &'static str) -> Shape {
    Shape {
        name,
        about,
        run: measure,
    }
}

/// Before what is recorded, to warm up.
const WARM_UP: Duration = Duration::from_millis(10);

/// Messages a second, and subscribers.
fn pace_of(name: &str) -> (u64, usize) {
    let mut words = name.split('-').skip(1);
    let mut word = || words.next().expect("a shape of this file");
    let rate = word().strip_suffix('k').expect("thousands").parse::<u64>();
    let subscribers = word().parse().expect("a number");
    (rate.expect("a number") * 1_000, subscribers)
}

/// Many short rounds: what else a machine does holds up a round for milliseconds, and the median is to be of rounds
/// that it let alone. At the lower rate a round has some 3,000 messages, so its p99.99 is its greatest.
fn rounds_and_time(plan: Plan, rate: u64) -> (usize, Duration) {
    match (plan.is_quick, rate) {
        (true, _) => (3, Duration::from_millis(50)),
        (false, ..20_000) => (11, Duration::from_millis(320)),
        (false, _) => (11, Duration::from_millis(130)),
    }
}

/// Those that take part: what reuses messages cannot stamp them, and at this pace variants with batches, bounded
/// queues or messages in place are the same as their kin. Actors are left out as well: they are tasks with an mpsc.
fn takes_part(peer: &dyn Peer) -> bool {
    let how = peer.how();
    let variant = peer.name().split_once('/');
    let differs = variant.is_none_or(|(_, it)| how.kind == Kind::Ours && it != "batch");
    differs && how.kind != Kind::Actor && !matches!(how.messages, Messages::Reused(_))
}

/// A contender, and what its rounds have recorded.
pub(super) struct Contender {
    pub(super) peer: &'static dyn Peer,
    pub(super) rounds: usize,
    pub(super) times: Vec<Times>,
    /// Cores that were busy in each round, the publisher's included.
    cores: Vec<f64>,
}

pub(super) fn contenders(context: &Context, wiring: &Wiring, rounds: usize) -> Vec<Contender> {
    let peers = context.peers.iter().copied();
    let peers = peers.filter(|peer| takes_part(*peer) && peer.declines(wiring).is_none());
    let contender = |peer| Contender {
        peer,
        rounds,
        times: Vec::new(),
        cores: Vec::new(),
    };
    peers.map(contender).collect()
}

fn measure(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let (rate, subscribers) = pace_of(shape.name);
    let wiring = Wiring::one_topic(1, subscribers);
    let (rounds, time) = rounds_and_time(context.plan, rate);
    let mut contenders = contenders(context, &wiring, rounds);
    in_rounds(
        &mut contenders,
        |contender| contender.rounds,
        |contender| {
            let (cpu, begin) = (cpu_time(), Instant::now());
            let times = paced(contender.peer, wiring, rate, time)?;
            let wall = begin.elapsed().as_secs_f64();
            let cpu = cpu_time() - cpu;
            contender.times.push(times);
            contender.cores.push(cpu.as_secs_f64() / wall);
            Ok(())
        },
    )?;
    let lines = contenders.iter().flat_map(|it| {
        let (peer, all) = (it.peer.name(), PERCENTILES.len());
        let cores = Line::of(shape.name, peer, ("cores", "busy"), &it.cores);
        let times = percentiles::lines(shape.name, peer, all, ("us", 1e3), &it.times);
        times.into_iter().chain(cores)
    });
    Ok(lines.collect())
}

fn paced(
    peer: &'static dyn Peer,
    wiring: Wiring,
    rate: u64,
    time: Duration,
) -> Result<Times, Fault> {
    let origin = Instant::now();
    let warm_up = (rate * WARM_UP.as_millis() as u64 / 1_000).max(1);
    let count = (rate as f64 * time.as_secs_f64()) as u64;
    let recorders: Vec<Recorder> = (0..wiring.consumers()).map(|_| Recorder::new()).collect();
    let look = |idx: usize| -> Option<Look> {
        let recorder: Recorder = recorders[idx].clone();
        Some(Box::new(move |item| {
            if item.number >= warm_up {
                let now = origin.elapsed().as_nanos() as u64;
                recorder.record(now.saturating_sub(item.stamp));
            }
        }))
    };
    with_single(peer, wiring, look, |single| {
        publish_paced(single, origin, rate, warm_up + count);
        single.wait()
    })?;
    let mut times = Times::new();
    recorders.iter().for_each(|it| it.add_to(&mut times));
    if !peer.how().is_lossy && times.len() != count * wiring.subscribers as u64 {
        return Err(format!("{}: {} times", peer.name(), times.len()).into());
    }
    Ok(times)
}

/// Publishes so many, each when it is due.
fn publish_paced(single: &mut Single, origin: Instant, rate: u64, count: u64) {
    single.expect(count);
    let period = 1_000_000_000 / rate;
    let now = || origin.elapsed().as_nanos() as u64;
    let begin = now() + 1_000_000;
    for number in 0..count {
        let due = begin + number * period;
        while now() < due {
            spin_loop();
        }
        single.publish(due);
    }
}

#[test]
fn names_say_the_pace() {
    assert_eq!(pace_of("latency-10k-8"), (10_000, 8));
    assert_eq!(pace_of("latency-100k-1"), (100_000, 1));
    assert!(SHAPES.iter().all(|shape| pace_of(shape.name).0 > 0));
}
