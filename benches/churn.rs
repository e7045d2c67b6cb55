//! What changes cost: subscribing and unsubscribing, on a topic that is idle, that is under fire, that somebody
//! hears the changes of, that has many subscribers already; accepting a type and declining it; forwarding and cancelling, with many topics upstream;
//! making a topic and dropping it. Each is one pair, so the state is the same after each.

#![expect(missing_docs, reason = "criterion's macros")]

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use stasis_bus::{Bus, MessageType, Receiver, Topic};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use support::Payload;

static TYPE: MessageType<Payload> = MessageType::new("type");
static ANOTHER: MessageType<Payload> = MessageType::new("another");

/// As large as it gets here.
const MANY: usize = 100_000;

fn bus_and_topic() -> (Bus, Topic) {
    let bus = support::bus(1);
    let topic = bus.topic("t").expect("a topic");
    (bus, topic)
}

fn receivers(topic: &Topic, count: usize) -> Vec<Receiver> {
    let receivers = (0..count).map(|_| topic.subscribe().receiver());
    receivers.collect::<Result<_, _>>().expect("receivers")
}

fn subscribe_receiver(topic: &Topic) {
    drop(topic.subscribe().receiver().expect("a receiver"));
}

/// Waits for the end, so that no more than one is ending at a time.
fn subscribe_pool(topic: &Topic) {
    let subscription = topic.subscribe().run(|_: &Payload| {});
    let subscription = subscription.expect("a subscription");
    subscription.unsubscribe();
    subscription.join().expect("the end");
}

/// A thread that publishes without a pause.
struct Fire {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Fire {
    fn on(topic: &Topic) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (topic, stopped) = (topic.clone(), Arc::clone(&stop));
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut count = 0;
            // Relaxed: it says when to end, and nothing else.
            while !stopped.load(Ordering::Relaxed) {
                topic.publish(Payload::new(count)).expect("an open topic");
                if count == 0 {
                    tell.send(()).expect("somebody waits for the first");
                }
                count += 1;
            }
            count
        });
        told.recv().expect("the first message");
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Fire {
    fn drop(&mut self) {
        // Relaxed: as above.
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is dropped once");
        assert!(thread.join().expect("no panic") > 0, "it fired");
    }
}

/// Subscribes and unsubscribes.
type Pair = fn(&Topic);

fn subscriptions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("subscribe and unsubscribe");
    let cases: [(&str, Pair); 2] = [
        ("receiver", subscribe_receiver),
        ("pool, joined", subscribe_pool),
    ];
    for (kind, pair) in cases {
        let (_bus, topic) = bus_and_topic();
        group.bench_function(format!("{kind}, idle"), |bencher| {
            bencher.iter(|| pair(&topic))
        });
        let fire = Fire::on(&topic);
        group.bench_function(format!("{kind}, under fire"), |bencher| {
            bencher.iter(|| pair(&topic));
        });
        drop(fire);
        let listener = topic.subscribe().change_notices().receiver();
        let mut listener = listener.expect("a receiver");
        group.bench_function(format!("{kind}, somebody hears of it"), |bencher| {
            bencher.iter(|| {
                pair(&topic);
                let notices = listener.try_iter().filter(|it| it.as_change().is_some());
                assert!(notices.count() >= 2);
            });
        });
    }
    group.finish();
}

fn many_subscribers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("subscribe and unsubscribe, receiver");
    for count in [10, MANY] {
        let (_bus, topic) = bus_and_topic();
        let _receivers = receivers(&topic, count);
        group.bench_function(format!("beside {count} others"), |bencher| {
            bencher.iter(|| subscribe_receiver(&topic));
        });
    }
    group.finish();
}

/// A type that one subscription accepts and declines, and all others accept.
fn types(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("accept a type and decline it");
    for count in [10, MANY] {
        let (bus, topic) = bus_and_topic();
        let others = (0..count).map(|_| topic.subscribe().accept(&TYPE).receiver());
        let _others: Vec<Receiver> = others.collect::<Result<_, _>>().expect("receivers");
        let builder = topic.subscribe().accept(&ANOTHER).changeable();
        let mut receiver = builder.receiver().expect("a receiver");
        let pair = |receiver: &Receiver| {
            let subscription = receiver.subscription();
            subscription.accept(&TYPE).expect("a type");
            subscription.decline(&TYPE).expect("a type");
        };
        group.bench_function(format!("beside {count} others"), |bencher| {
            bencher.iter(|| pair(&receiver));
        });
        let fire = Fire::on(&bus.topic("another").expect("a topic"));
        group.bench_function(
            format!("beside {count} others, while somebody publishes"),
            |bencher| {
                bencher.iter(|| pair(&receiver));
            },
        );
        drop(fire);
        topic
            .publish(TYPE.message(Payload::new(1)))
            .expect("published");
        assert!(receiver.try_recv().is_err(), "it was declined");
    }
    group.finish();
}

fn forwards(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward and cancel");
    for count in [0, MANY] {
        let bus = support::bus(1);
        let (hub, sink) = (
            bus.topic("hub").expect("one"),
            bus.topic("sink").expect("one"),
        );
        let legs: Vec<Topic> = (0..count)
            .map(|number| bus.topic(&format!("leg/{number}")).expect("a topic"))
            .collect();
        let _forwards: Vec<_> = legs
            .iter()
            .map(|leg| leg.forward_to(&hub).expect("a forward"))
            .collect();
        let leg = bus.topic("leg").expect("a topic");
        let mut receiver = sink.subscribe().receiver().expect("a receiver");
        group.bench_function(format!("to a hub that {count} forward to"), |bencher| {
            bencher.iter(|| leg.forward_to(&hub).expect("a forward").cancel());
        });
        group.bench_function(format!("from a hub that {count} forward to"), |bencher| {
            bencher.iter(|| hub.forward_to(&sink).expect("a forward").cancel());
        });
        // The edge is there when `forward_to` returns, and gone when `cancel` does.
        let forward = hub.forward_to(&sink).expect("a forward");
        let first = legs.first().unwrap_or(&hub);
        first.publish(Payload::new(1)).expect("published");
        assert!(receiver.try_recv().is_ok());
        forward.cancel();
        first.publish(Payload::new(2)).expect("published");
        assert!(receiver.try_recv().is_err());
    }
    group.finish();
}

fn topics(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topic");
    for count in [0, MANY] {
        let bus = support::bus(1);
        let _topics: Vec<Topic> = (0..count)
            .map(|number| bus.topic(&format!("topic/{number}")).expect("a topic"))
            .collect();
        group.bench_function(
            format!("made and dropped, beside {count} others"),
            |bencher| {
                bencher.iter(|| drop(bus.topic("a name").expect("a topic")));
            },
        );
        let topic = bus.topic("a name").expect("a topic");
        group.bench_function(format!("found, beside {count} others"), |bencher| {
            bencher.iter(|| assert!(bus.topic("a name").expect("a topic").is_same(&topic)));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(20);
    targets = subscriptions, many_subscribers, types, forwards, topics
}
criterion_main!(benches);
