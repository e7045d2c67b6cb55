//! How our costs grow: nanoseconds for a publish, and for a delivery from the first publish to the last delivery,
//! against subscribers, topics, publishers and the size of messages. Default options.

use super::figures::{Figure, Figures, figure, is_wanted};
use super::{Context, Shape};
use crate::driver::with_driver;
use crate::line::Line;
use crate::peer::{Fault, Peer, Wiring};
use crate::peers;
use crate::single::with_single;
use stasis_bus::Bus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub(crate) const SHAPES: &[Shape] = &[
    shape("growth-subscribers", "costs by subscribers of a topic"),
    shape("growth-topics", "costs by topics, published on round robin"),
    shape(
        "growth-publishers",
        "costs by publishers of a topic, to one subscriber and to 8",
    ),
    shape(
        "growth-bytes",
        "costs by size of the payload, to one subscriber and to 8",
    ),
];

const fn shape(name: &'static str, about: &'static str) -> Shape {
    Shape {
        name,
        about,
        run: measure,
    }
}

const OURS: &str = "stasis-bus";
const SUBSCRIBERS: [usize; 14] = [
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 100_000,
];
const TOPICS: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
const PUBLISHERS: [usize; 4] = [1, 2, 4, 8];

type BySize = fn(u64) -> Result<Vec<Figure>, Fault>;
type Cost = Box<dyn Fn(u64) -> Result<Vec<Figure>, Fault>>;

fn measure(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let (rounds, deliveries) = if context.plan.is_quick {
        (1, 50_000)
    } else {
        (5, 200_000)
    };
    let Some(peer) = peers::all().find(|peer| peer.name() == OURS) else {
        return Err("no peer of ours".into());
    };
    let costs: Vec<Cost> = match shape.name {
        "growth-subscribers" => {
            let cost = |count| -> Cost {
                Box::new(move |deliveries| by_subscribers(peer, count, deliveries))
            };
            SUBSCRIBERS.into_iter().map(cost).collect()
        }
        "growth-topics" => {
            let cost =
                |count| -> Cost { Box::new(move |deliveries| by_topics(peer, count, deliveries)) };
            TOPICS.into_iter().map(cost).collect()
        }
        "growth-publishers" => {
            let cost = |count| -> Cost {
                Box::new(move |deliveries| by_publishers(peer, count, deliveries))
            };
            PUBLISHERS.into_iter().map(cost).collect()
        }
        _ => {
            let sizes: [BySize; 5] = [
                by_size::<2>,
                by_size::<8>,
                by_size::<32>,
                by_size::<128>,
                by_size::<512>,
            ];
            sizes
                .into_iter()
                .map(|it| -> Cost { Box::new(it) })
                .collect()
        }
    };
    let mut figures = Figures::new(shape.name);
    if is_wanted(context, OURS) {
        figures.enter(OURS, move || {
            let mut all = Vec::new();
            for cost in &costs {
                all.extend(cost(deliveries)?);
            }
            Ok(all)
        });
    }
    figures.measure(rounds)
}

/// A publish and a delivery, of so many messages.
fn single(
    peer: &'static dyn Peer,
    wiring: Wiring,
    count: u64,
    at: usize,
) -> Result<Vec<Figure>, Fault> {
    let nobody = |_| None;
    with_single(peer, wiring, nobody, |single| {
        // The first ones have more to do.
        let unit = wiring.topics as u64;
        let mut run = |count: u64| {
            single.expect(count);
            let begin = Instant::now();
            (0..count).for_each(|_| single.publish(0));
            let published = begin.elapsed();
            single.wait()?;
            let (published, all) = (
                published.as_nanos() as f64,
                begin.elapsed().as_nanos() as f64,
            );
            let deliveries = count as f64 * wiring.subscribers as f64;
            Ok::<_, Fault>(vec![
                figure(format!("publish at {at}"), "ns", published / count as f64),
                figure(format!("delivery at {at}"), "ns", all / deliveries),
            ])
        };
        run((count / 8 / unit).max(1) * unit)?;
        run((count / unit).max(1) * unit)
    })
}

fn by_subscribers(
    peer: &'static dyn Peer,
    count: usize,
    deliveries: u64,
) -> Result<Vec<Figure>, Fault> {
    let messages = (deliveries / count as u64).max(10);
    single(peer, Wiring::one_topic(1, count), messages, count)
}

fn by_topics(peer: &'static dyn Peer, count: usize, deliveries: u64) -> Result<Vec<Figure>, Fault> {
    let wiring = Wiring {
        topics: count,
        ..Wiring::one_topic(1, 1)
    };
    single(peer, wiring, deliveries, count)
}

fn by_publishers(
    peer: &'static dyn Peer,
    count: usize,
    deliveries: u64,
) -> Result<Vec<Figure>, Fault> {
    let mut figures = Vec::new();
    for subscribers in [1, 8] {
        let each = deliveries / (count * subscribers) as u64;
        let wiring = Wiring::one_topic(count, subscribers);
        let ran = with_driver(peer, wiring, |driver| {
            driver.run(each / 8)?;
            driver.run(each)
        })?;
        let nanos = ran.wall.as_nanos() as f64 / ran.deliveries as f64;
        figures.push(figure(
            format!("delivery to {subscribers} at {count}"),
            "ns",
            nanos,
        ));
    }
    Ok(figures)
}

/// Payloads of so many words.
fn by_size<const WORDS: usize>(deliveries: u64) -> Result<Vec<Figure>, Fault> {
    let mut figures = Vec::new();
    for subscribers in [1, 8] {
        let bus = Bus::new()?;
        let topic = bus.topic("topic")?;
        let wrong = Arc::new(AtomicU64::new(0));
        let mut subscriptions = Vec::new();
        for _ in 0..subscribers {
            let (wrong, mut next) = (Arc::clone(&wrong), 0);
            let handler = move |words: &[u64; WORDS]| {
                if words[0] != next || words[WORDS - 1] != next {
                    wrong.fetch_add(1, Ordering::Relaxed); // Relaxed: read after a flush
                }
                next += 1;
            };
            subscriptions.push(topic.subscribe().run(handler)?);
        }
        let count = deliveries / subscribers;
        let begin = Instant::now();
        for number in 0..count {
            topic.publish([number; WORDS])?;
        }
        let published = begin.elapsed().as_nanos() as f64;
        for subscription in &subscriptions {
            subscription.flush()?;
        }
        let all = begin.elapsed().as_nanos() as f64;
        let delivered = subscriptions.iter().map(|it| it.stats().delivered);
        if delivered.sum::<u64>() != count * subscribers || wrong.load(Ordering::Relaxed) > 0 {
            return Err("messages are missing, or others than were published".into());
        }
        let at = WORDS * size_of::<u64>();
        let (publish, deliver) = (published / count as f64, all / (count * subscribers) as f64);
        figures.push(figure(
            format!("publish to {subscribers} at {at}"),
            "ns",
            publish,
        ));
        figures.push(figure(
            format!("delivery to {subscribers} at {at}"),
            "ns",
            deliver,
        ));
    }
    Ok(figures)
}
