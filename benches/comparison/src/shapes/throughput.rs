//! How much gets through: publishers send as fast as they can, and the clock stops at the last delivery. How many
//! messages a run has is found out for each contender, so that runs take about the same time.

use super::{Context, Plan, Shape};
use crate::contest::in_rounds;
use crate::driver::{Driver, Ran, with_driver};
use crate::limits;
use crate::line::Line;
use crate::peer::{Fault, Peer, Wiring};
use std::time::Duration;

/// As many deliveries as a run has at most: what waits in unbounded queues stays within memory, and within what
/// this bus lets wait by default.
const MOST_DELIVERIES: u64 = 2_000_000;

/// Who needs that many times the time that a run is to have, for the least that can be sent, has fewer rounds.
const SLOW: u32 = 10;
const ROUNDS_IF_SLOW: usize = 2;

/// The least that is sent, if topics do not ask for more.
const LEAST: u64 = 64;

pub(crate) const SHAPES: &[Shape] = &[
    shape("1:1", "one publisher, one subscriber"),
    shape("1:4", "one publisher, 4 subscribers, each gets everything"),
    shape("1:8", "one publisher, 8 subscribers"),
    shape("1:64", "one publisher, 64 subscribers"),
    shape("1:512", "one publisher, 512 subscribers"),
    shape("2:1", "2 publishers, one subscriber"),
    shape("4:1", "4 publishers, one subscriber"),
    shape("4:8", "4 publishers, 8 subscribers"),
    shape(
        "topics-10k",
        "10,000 topics with a subscriber each, round robin",
    ),
    shape(
        "aggregate-10k",
        "one subscriber on an aggregate of 10,000 topics, round robin",
    ),
];

const fn shape(name: &'static str, about: &'static str) -> Shape {
    Shape {
        name,
        about,
        run: measure,
    }
}

fn wiring(name: &str) -> Wiring {
    let many = Wiring {
        topics: 10_000,
        ..Wiring::one_topic(1, 1)
    };
    match name {
        "topics-10k" => many,
        "aggregate-10k" => Wiring {
            is_aggregate: true,
            ..many
        },
        _ => {
            let (publishers, subscribers) = name.split_once(':').expect("a shape of this file");
            let number = |text: &str| text.parse().expect("a number");
            Wiring::one_topic(number(publishers), number(subscribers))
        }
    }
}

struct Contender {
    peer: &'static dyn Peer,
    rounds: usize,
    /// Messages in a run.
    count: u64,
    ran: Vec<Ran>,
}

fn measure(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let wiring = wiring(shape.name);
    let (mut contenders, mut left_out) = (Vec::new(), Vec::new());
    for peer in &context.peers {
        match peer.declines(&wiring) {
            None => contenders.push(calibrate(*peer, wiring, context.plan)?),
            Some(why) => left_out.push(format!("{} ({why})", peer.name())),
        }
    }
    if !left_out.is_empty() {
        println!("\nnot in {}: {}", shape.name, left_out.join(", "));
    }
    let mut trips = Vec::new();
    in_rounds(
        &mut contenders,
        |contender| contender.rounds,
        |contender| {
            trips.extend(limits::line_round_trip_now());
            let ran = with_driver(contender.peer, wiring, |driver| {
                let unit = driver.unit();
                driver.run(whole(contender.count / 16, unit))?;
                driver.run(contender.count)
            });
            contender.ran.push(ran?);
            Ok(())
        },
    )?;
    let machine = Line::of(shape.name, limits::SHAPE, limits::LINE_ROUND_TRIP, &trips);
    let lines = contenders.iter().flat_map(|it| lines(shape.name, it));
    Ok(lines.chain(machine).collect())
}

/// Units that are about `count`, and at least one.
fn whole(count: u64, unit: u64) -> u64 {
    (count / unit).max(1) * unit
}

/// Sends more and more until it takes long enough to tell how much a run is to have.
fn calibrate(peer: &'static dyn Peer, wiring: Wiring, plan: Plan) -> Result<Contender, Fault> {
    let each = if wiring.is_aggregate || wiring.topics == 1 {
        wiring.subscribers
    } else {
        1
    };
    with_driver(peer, wiring, |driver: &mut Driver| {
        let unit = driver.unit();
        let most = MOST_DELIVERIES / (wiring.publishers * each) as u64;
        let (mut count, mut best) = (whole(LEAST, unit), 0.0);
        loop {
            let took = driver.run(count)?.wall.max(Duration::from_micros(1));
            let rate = count as f64 / took.as_secs_f64();
            let wanted = whole(((rate * plan.run.as_secs_f64()) as u64).min(most), unit);
            // Where threads wait for their turn on a core, four times as much may take no longer.
            let has_settled = took > plan.run / 3 && rate < 1.5 * best;
            if has_settled || took > plan.run * 2 || count >= most {
                let is_slow = took > plan.run * SLOW;
                return Ok(Contender {
                    peer,
                    rounds: if is_slow { ROUNDS_IF_SLOW } else { plan.rounds },
                    count: wanted,
                    ran: Vec::new(),
                });
            }
            best = rate.max(best);
            count = wanted.clamp(count * 4, count * 16).min(whole(most, unit));
        }
    })
}

fn lines(shape: &str, contender: &Contender) -> Vec<Line> {
    let line = |metric, of: fn(&Ran) -> f64| {
        let measured: Vec<f64> = contender.ran.iter().map(of).collect();
        Line::of(shape, contender.peer.name(), metric, &measured)
    };
    let mut lines = vec![
        line(("deliveries", "M/s"), |ran| {
            ran.deliveries as f64 / ran.wall.as_secs_f64() / 1e6
        }),
        line(("cpu", "ns/delivery"), |ran| {
            ran.cpu.as_nanos() as f64 / ran.deliveries.max(1) as f64
        }),
        line(("cores", "busy"), |ran| {
            ran.cpu.as_secs_f64() / ran.wall.as_secs_f64()
        }),
    ];
    if contender.peer.how().is_lossy {
        lines.push(line(("lost", "%"), |ran| {
            100.0 * ran.lost as f64 / (ran.lost + ran.deliveries) as f64
        }));
    }
    lines.into_iter().flatten().collect()
}

#[test]
fn every_shape_has_its_wiring() {
    for shape in SHAPES {
        assert!(wiring(shape.name).consumers() > 0, "{}", shape.name);
    }
    assert_eq!(wiring("4:8"), Wiring::one_topic(4, 8));
    assert_eq!(wiring("topics-10k").consumers(), 10_000);
    assert_eq!(wiring("aggregate-10k").consumers(), 1);
}
