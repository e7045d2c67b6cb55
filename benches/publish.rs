//! What one call of publish costs its caller: by number of subscribers and how many of them match, by delivery
//! kind, with a filter closure, through a forward, in batches, and what `has_subscribers_for` costs. What
//! subscribers then do is *not* timed, except for inline ones; it is checked.
//!
//! Receivers show the offers alone: nobody is woken. A pool subscription is at rest when a burst of
//! [`BURST`] begins, so its first message wakes a worker.

#![expect(missing_docs, reason = "criterion's macros")]

mod support;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use stasis_bus::{
    Bus, Delivery, ManualExecutor, Message, MessageType, OwnThread, Receiver, Subscription, Topic,
    WaitStrategy,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Other, Payload};

static OTHER: MessageType<Other> = MessageType::new("other");

/// So many calls are timed at once; no mailbox spills.
const BURST: u64 = 16;

const SUBSCRIBERS: [usize; 4] = [0, 1, 8, 64];

/// Times `iterations` calls of `publish` in bursts, with `drain` after each burst, untimed.
fn time(iterations: u64, mut publish: impl FnMut(u64), mut drain: impl FnMut(u64)) -> Duration {
    let mut total = Duration::ZERO;
    let mut left = iterations;
    while left > 0 {
        let burst = left.min(BURST);
        let start = Instant::now();
        (0..burst).for_each(&mut publish);
        total += start.elapsed();
        drain(burst);
        left -= burst;
    }
    total
}

fn publish(topic: &Topic) -> impl FnMut(u64) + '_ {
    |number| {
        black_box(topic.publish(Payload::new(number))).expect("an open topic");
    }
}

fn receivers(topic: &Topic, count: usize) -> Vec<Receiver> {
    let receivers = (0..count).map(|_| topic.subscribe().receiver());
    receivers.collect::<Result<_, _>>().expect("receivers")
}

/// Takes the messages of a burst, each in its place.
fn drain(receivers: &mut [Receiver], burst: u64) {
    for receiver in receivers {
        for number in 0..burst {
            let message = receiver.try_recv().expect("a message");
            assert_eq!(message.get::<Payload>().map(|it| it.number), Some(number));
        }
        assert!(receiver.try_recv().is_err());
    }
}

fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    for count in SUBSCRIBERS {
        let bus = support::bus(1);
        let topic = bus.topic("t").expect("a topic");
        let mut receivers = receivers(&topic, count);
        group.bench_function(BenchmarkId::new("to receivers", count), |bencher| {
            bencher.iter_custom(|iterations| {
                time(iterations, publish(&topic), |burst| {
                    drain(&mut receivers, burst);
                })
            });
        });
    }
    for count in &SUBSCRIBERS[1..] {
        let bus = support::bus(1);
        let topic = bus.topic("t").expect("a topic");
        let subscriptions: Vec<_> = (0..*count)
            .map(|_| subscribe(&topic, Delivery::Pool))
            .collect();
        support::wait_for_rest(&bus);
        group.bench_function(BenchmarkId::new("to the pool", count), |bencher| {
            bencher.iter_custom(|iterations| {
                let before = delivered(&subscriptions);
                let total = time(iterations, publish(&topic), |_| {
                    support::wait_for_rest(&bus)
                });
                let after = delivered(&subscriptions);
                assert_eq!(after - before, iterations * *count as u64);
                total
            });
        });
    }
    group.finish();
}

fn subscribe(topic: &Topic, delivery: Delivery) -> Subscription {
    let mut sum = 0_u64;
    let subscription = topic
        .subscribe()
        .delivery(delivery)
        .run(move |it: &Payload| {
            sum = black_box(sum.wrapping_add(it.number));
        });
    subscription.expect("a subscription")
}

fn delivered(subscriptions: &[Subscription]) -> u64 {
    let stats = subscriptions.iter().map(Subscription::stats);
    stats.map(|stats| stats.delivered).sum()
}

/// Subscribers that want another type: publish does not look at them.
fn not_matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    for count in &SUBSCRIBERS[1..] {
        let bus = support::bus(1);
        let topic = bus.topic("t").expect("a topic");
        let mut others: Vec<Receiver> = (0..*count)
            .map(|_| topic.subscribe().accept(&OTHER).receiver())
            .collect::<Result<_, _>>()
            .expect("receivers");
        group.bench_function(BenchmarkId::new("none matching", count), |bencher| {
            bencher.iter_custom(|iterations| time(iterations, publish(&topic), |_| ()));
        });
        let receipt = topic.publish(Payload::new(0)).expect("published");
        assert_eq!((receipt.offered(), receipt.filtered()), (0, *count as u64));
        drain(&mut others, 0);
    }
    group.finish();
}

fn asking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("has_subscribers_for");
    for (name, count, wanted) in [("nobody", 0, false), ("64 of it", 64, true)] {
        let bus = support::bus(1);
        let topic = bus.topic("t").expect("a topic");
        let _receivers = receivers(&topic, count);
        assert_eq!(topic.has_subscribers_for_payload::<Payload>(), wanted);
        group.bench_function(name, |bencher| {
            bencher.iter(|| topic.has_subscribers_for_payload::<Payload>());
        });
    }
    let bus = support::bus(1);
    let topic = bus.topic("t").expect("a topic");
    let _others: Vec<_> = (0..64)
        .map(|_| topic.subscribe().accept(&OTHER).receiver())
        .collect();
    assert!(!topic.has_subscribers_for_payload::<Payload>());
    group.bench_function("64 of another", |bencher| {
        bencher.iter(|| topic.has_subscribers_for_payload::<Payload>());
    });
    group.finish();
}

fn kinds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish to one");
    let executor = Arc::new(ManualExecutor::new());
    let own = |wait| Delivery::OwnThread(OwnThread::new(wait));
    for (name, delivery) in [
        ("pool", Delivery::Pool),
        ("own thread, park", own(WaitStrategy::Park)),
        (
            "own thread, spin then park",
            own(WaitStrategy::SpinThenPark),
        ),
        ("own thread, yield", own(WaitStrategy::Yield)),
        ("inline", Delivery::Inline),
        ("executor", Delivery::Executor(executor.clone())),
    ] {
        let bus = support::bus(1);
        let topic = bus.topic("t").expect("a topic");
        let subscription = subscribe(&topic, delivery);
        let is_empty = || {
            executor.run_until_idle();
            subscription.stats().depth == 0
        };
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let before = subscription.stats().delivered;
                let total = time(iterations, publish(&topic), |_| {
                    support::wait_until("it is drained", is_empty);
                });
                let all = before + iterations;
                support::wait_until("all are delivered", || {
                    subscription.stats().delivered == all
                });
                total
            });
        });
        subscription.unsubscribe();
        executor.run_until_idle();
    }
    group.finish();
}

fn ways(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish to a receiver");
    let bus = support::bus(1);
    let near = bus.topic("near").expect("a topic");
    let far = bus.topic("far").expect("a topic");
    let mut receivers = receivers(&far, 1);
    let mut case = |name: &str, topic: &Topic, receivers: &mut [Receiver]| {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                time(iterations, publish(topic), |burst| drain(receivers, burst))
            });
        });
    };
    case("directly", &far, &mut receivers);
    let forward = near.forward_to(&far).expect("a forward");
    case("through a forward", &near, &mut receivers);
    forward.cancel();
    let passes = near.subscribe().filter(|message| !message.is(&OTHER));
    let mut passes = [passes.receiver().expect("a receiver")];
    case("past a filter", &near, &mut passes);
    drop(passes);
    let declines = near.subscribe().filter(|message| message.is(&OTHER));
    let declines = declines.receiver().expect("a receiver");
    case("stopped by a filter", &near, &mut []);
    assert!(declines.subscription().stats().offered == 0);
    drop(declines);
    group.finish();
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish a burst of 16");
    let bus: Bus = support::bus(1);
    let topic = bus.topic("t").expect("a topic");
    let mut receivers = receivers(&topic, 1);
    group.bench_function("one by one", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                total += time(BURST, publish(&topic), |burst| drain(&mut receivers, burst));
            }
            total
        });
    });
    group.bench_function("as a batch", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                let start = Instant::now();
                let receipt = topic.publish_batch((0..BURST).map(Payload::new));
                total += start.elapsed();
                assert_eq!(receipt.expect("published").offered(), BURST);
                drain(&mut receivers, BURST);
            }
            total
        });
    });
    let message = Message::new(Payload::new(0));
    group.bench_function("the same message", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                let again = |_| {
                    black_box(topic.publish(message.clone())).expect("an open topic");
                };
                total += time(BURST, again, |burst| {
                    for _ in 0..burst {
                        receivers[0].try_recv().expect("a message");
                    }
                });
            }
            total
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(30);
    targets = matching, not_matching, asking, kinds, ways, batches
}
criterion_main!(benches);
