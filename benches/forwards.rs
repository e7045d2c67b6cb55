//! What forwards cost: a publish through one, through two in a row, and into an aggregate of many topics, over a
//! publish on the topic itself; and what it costs to subscribe to an aggregate of 100,000 topics over a single
//! one. Ratios are of one run, in turns. It is *not* about making forwards: see `churn`.

mod support;

#[path = "support/contest.rs"]
mod contest;

use contest::Contest;
use stasis_bus::{Bus, Forward, Receiver, Topic};
use std::hint::black_box;
use std::time::{Duration, Instant};
use support::{Flags, Payload};

/// So many calls are timed at once; no mailbox spills.
const BURST: u64 = 16;

/// How many topics are forwarded to the aggregate.
const MANY: usize = 100_000;

fn topics<const N: usize>(bus: &Bus, names: [&str; N]) -> [Topic; N] {
    names.map(|name| bus.topic(name).expect("a topic"))
}

fn receiver(topic: &Topic) -> Receiver {
    topic.subscribe().receiver().expect("a receiver")
}

/// Publishes in bursts. What is taken out after each burst is not timed, but checked.
fn publish(topic: &Topic, receiver: &mut Receiver, iterations: u64) -> Duration {
    let mut total = Duration::ZERO;
    let mut left = iterations;
    while left > 0 {
        let burst = left.min(BURST);
        let start = Instant::now();
        for number in 0..burst {
            black_box(topic.publish(Payload::new(number))).expect("an open topic");
        }
        total += start.elapsed();
        assert_eq!(receiver.try_iter().count() as u64, burst);
        left -= burst;
    }
    total
}

fn publish_through(flags: Flags) {
    let bus = support::bus(1);
    let [direct, from, to] = topics(&bus, ["direct", "from", "to"]);
    let [first, second, third] = topics(&bus, ["first", "second", "third"]);
    let [left, right, own] = topics(&bus, ["left", "right", "own"]);
    let link = |a: &Topic, b: &Topic| a.forward_to(b).expect("a forward");
    let _forwards = [
        link(&from, &to),
        link(&first, &second),
        link(&second, &third),
        link(&own, &left),
        link(&own, &right),
    ];
    let mut receivers = [&direct, &to, &third, &right].map(receiver);
    let [at_direct, at_to, at_third, at_right] = &mut receivers;
    let mut contest = Contest::new("publish to one receiver", flags, 160_000);
    contest.enter("direct", |n| publish(&direct, at_direct, n));
    contest.enter("through one forward", |n| publish(&from, at_to, n));
    contest.enter("through two in a row", |n| publish(&first, at_third, n));
    contest.enter("through one of two", |n| publish(&own, at_right, n));
    contest.run();
    contest.ratio("through one forward", "direct", Some(1.3));
    contest.ratio("through two in a row", "direct", None);
    contest.ratio("through one of two", "direct", None);
}

/// A topic with the forwards of so many others; all of these are kept.
fn aggregate(bus: &Bus, name: &str, count: usize) -> (Topic, Vec<(Topic, Forward)>) {
    let all = bus.topic(name).expect("a topic");
    let legs = (0..count).map(|n| {
        let leg = bus.topic(&format!("{name}/{n}")).expect("a topic");
        let forward = leg.forward_to(&all).expect("a forward");
        (leg, forward)
    });
    let legs = legs.collect();
    (all, legs)
}

fn subscribe(topic: &Topic, iterations: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..iterations {
        drop(receiver(topic));
    }
    start.elapsed()
}

fn subscribe_to_many(flags: Flags) {
    let bus = support::bus(1);
    let count = if flags.test { MANY / 100 } else { MANY };
    let (all, legs) = aggregate(&bus, "all", count);
    let [single] = topics(&bus, ["single"]);
    let mut contest = Contest::new("subscribe and unsubscribe", flags, 1_000);
    contest.enter("single topic", |n| subscribe(&single, n));
    contest.enter("aggregate of 100,000", |n| subscribe(&all, n));
    contest.run();
    contest.ratio("aggregate of 100,000", "single topic", Some(2.0));

    let (mut at_all, mut at_single) = (receiver(&all), receiver(&single));
    let (leg, _) = &legs[legs.len() / 2];
    let mut contest = Contest::new("publish to one receiver", flags, 160_000);
    contest.enter("direct", |n| publish(&single, &mut at_single, n));
    contest.enter("through the aggregate of 100,000", |n| {
        publish(leg, &mut at_all, n)
    });
    contest.run();
    contest.ratio("through the aggregate of 100,000", "direct", Some(1.3));
}

fn main() {
    let flags = Flags::read();
    publish_through(flags);
    subscribe_to_many(flags);
}
