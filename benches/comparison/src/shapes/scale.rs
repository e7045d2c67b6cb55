//! What is many: 100,000 subscriptions of one topic, an aggregate of 100,000 topics, a million topics.

use super::figures::{Figure, Figures, figure, is_wanted};
use super::{Context, Shape, memory};
use crate::driver::with_driver;
use crate::line::Line;
use crate::peer::{Fault, Peer, Wiring};
use stasis_bus::{Bus, Forward, Topic};
use std::time::Instant;

pub(crate) const SHAPES: &[Shape] = &[
    Shape {
        name: "scale-subscriptions",
        about: "what a delivery costs on a topic with 64 and with 100,000 subscriptions",
        run: subscriptions,
    },
    Shape {
        name: "scale-aggregate",
        about: "subscribe and unsubscribe on an aggregate of 100,000 topics, and on a topic",
        run: aggregate,
    },
    Shape {
        name: "scale-topics",
        about: "memory for 1,000,000 topics",
        run: topics,
    },
];

const FEW: usize = 64;
const MANY: usize = 100_000;
const TOPICS: usize = 1_000_000;
const MEBIBYTE: f64 = 1_048_576.0;

fn rounds(context: &Context) -> usize {
    if context.plan.is_quick { 1 } else { 3 }
}

/// Those that have no thread for each of so many.
fn subscriptions(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let names = ["stasis-bus", "tokio-mpsc", "async-broadcast"];
    let mut figures = Figures::new(shape.name);
    let peers = context.peers.iter().copied();
    for peer in peers.filter(|peer| names.contains(&peer.name())) {
        figures.enter(peer.name(), move || {
            let few = delivery(peer, FEW, 10_000)?;
            let many = delivery(peer, MANY, 10)?;
            Ok(vec![
                figure("with 64", "ns", few),
                figure("with 100,000", "ns", many),
                figure("ratio", "x", many / few),
            ])
        });
    }
    figures.measure(rounds(context))
}

/// Nanoseconds from the first publish to the last delivery, for each delivery.
fn delivery(peer: &'static dyn Peer, subscribers: usize, messages: u64) -> Result<f64, Fault> {
    with_driver(peer, Wiring::one_topic(1, subscribers), |driver| {
        driver.run(messages.div_ceil(10))?;
        let ran = driver.run(messages)?;
        Ok(ran.wall.as_nanos() as f64 / ran.deliveries as f64)
    })
}

fn aggregate(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let mut figures = Figures::new(shape.name);
    if is_wanted(context, "stasis-bus") {
        let bus = Bus::new()?;
        let (hub, alone) = (bus.topic("hub")?, bus.topic("alone")?);
        let topic = |number| bus.topic(&format!("topic/{number}"));
        let topics: Vec<Topic> = (0..MANY).map(topic).collect::<Result<_, _>>()?;
        let forwards = topics.iter().map(|it| it.forward_to(&hub));
        let forwards: Vec<Forward> = forwards.collect::<Result<_, _>>()?;
        figures.enter("stasis-bus", move || {
            // Without its bus a topic is closed.
            assert_eq!(bus.stats().topics, MANY + 2);
            let last = &topics[forwards.len() - 1];
            let mut receiver = hub.subscribe().receiver()?;
            last.publish(0_u64)?;
            receiver.try_recv()?;
            let (many, one) = (pairs(&hub)?, pairs(&alone)?);
            Ok(vec![
                figure("on the aggregate", "us", many),
                figure("on a topic", "us", one),
                figure("ratio", "x", many / one),
            ])
        });
    }
    figures.measure(rounds(context).max(3))
}

/// Microseconds for one.
fn pairs(topic: &Topic) -> Result<f64, Fault> {
    const PAIRS: u32 = 5_000;
    let begin = Instant::now();
    for _ in 0..PAIRS {
        drop(topic.subscribe().receiver()?);
    }
    Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(PAIRS))
}

fn topics(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let mut figures = Figures::new(shape.name);
    if is_wanted(context, "stasis-bus") {
        figures.enter("stasis-bus", || {
            let weighed = memory::in_child(memory::MANY_TOPICS, TOPICS, 1)?;
            let in_mebibytes = |(metric, _, bytes): Figure| (metric, "MiB", bytes / MEBIBYTE);
            // Nothing is asked for where nobody counts.
            let figures = weighed.into_iter().map(in_mebibytes);
            Ok(figures.filter(|(_, _, size)| *size > 0.0).collect())
        });
    }
    figures.measure(1)
}
