//! What is counted under callgrind: each case calls something [`CALLS`] times in [`measured_calls`], in bursts that
//! no mailbox spills, with the mailboxes drained in between, uncounted. Consumers are where the case says: running
//! (they have not come to rest, so nobody is woken) or at rest.

use crate::support::{self, Other, Payload};
use stasis_bus::{
    Bus, Delivery, ManualExecutor, Message, MessageType, Receiver, Router, Subscription, Topic,
};
use std::hint::black_box;
use std::sync::{Arc, Barrier};

/// How often each case is called.
pub(crate) const CALLS: usize = 1_024;

const BURST: usize = 16;

static OTHER: MessageType<Other> = MessageType::new("other");

/// What is counted, and how far off the expected counts it may be.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// In read-modify-writes a call.
    pub(crate) slack: f64,
    /// In hundredths of the instructions.
    pub(crate) tolerance: f64,
    run: fn(),
}

const fn case(name: &'static str, run: fn()) -> Case {
    Case {
        name,
        slack: 0.2,
        tolerance: 10.0,
        run,
    }
}

/// The threads of the pool take part, and what they do in the meantime differs from run to run.
const fn with_wakeups(name: &'static str, run: fn()) -> Case {
    Case {
        name,
        slack: 4.0,
        tolerance: 25.0,
        run,
    }
}

pub(crate) const CASES: &[Case] = &[
    case("publish, nobody", || to_receivers(0)),
    case("publish, 1 running", || to_receivers(1)),
    case("publish, 8 running", || to_receivers(8)),
    case("publish, 64 running", || to_receivers(64)),
    case("publish, 1 in the pool, running", || to_running_pool(1)),
    case("publish, 64 in the pool, running", || to_running_pool(64)),
    with_wakeups("publish, 1 in the pool, at rest", || to_resting_pool(1)),
    with_wakeups("publish, 8 in the pool, at rest", || to_resting_pool(8)),
    with_wakeups("publish, 64 in the pool, at rest", || to_resting_pool(64)),
    case("publish, 64 of another type", to_others),
    case("publish a handle, 8 running", handle),
    case("publish through a forward, 1 running", forwarded),
    case("publish past a filter, 1 running", filtered),
    case("publish, 1 inline, handled", inline),
    case("publish and handle, 1 on an executor", executor),
    case("dispatch to one of 16 routes", || dispatched(16)),
    case("dispatch to one of 1000 routes", || dispatched(1_000)),
    case("has_subscribers_for, 64 of another type", asking),
    case("subscribe and unsubscribe beside 10", || churn(10)),
    case("subscribe and unsubscribe beside 100000", || churn(100_000)),
];

/// Runs the case of that name.
pub(crate) fn run(name: &str) {
    let case = CASES.iter().find(|case| case.name == name);
    (case.expect("the name of a case").run)();
}

/// What is counted.
#[inline(never)]
fn measured_calls(count: usize, call: &mut dyn FnMut()) {
    for _ in 0..count {
        call();
    }
}

/// Calls in bursts, with `drain` before the first burst and after each.
fn count(call: &mut dyn FnMut(), mut drain: impl FnMut()) {
    // What is there once in a thread comes into being.
    (0..BURST).for_each(|_| call());
    drain();
    for _ in 0..CALLS / BURST {
        measured_calls(BURST, call);
        drain();
    }
}

fn bus_and_topic() -> (Bus, Topic) {
    let bus = support::bus(1);
    let topic = bus.topic("t").expect("a topic");
    (bus, topic)
}

fn publish(topic: &Topic) -> impl FnMut() + '_ {
    || {
        black_box(topic.publish(Payload::new(1))).expect("an open topic");
    }
}

fn drain(receivers: &mut [Receiver]) {
    for receiver in receivers {
        assert_eq!(receiver.try_iter().count(), BURST);
    }
}

fn receivers(topic: &Topic, count: usize) -> Vec<Receiver> {
    let receivers = (0..count).map(|_| topic.subscribe().receiver());
    receivers.collect::<Result<_, _>>().expect("receivers")
}

/// Subscriptions of the pool that do next to nothing with a message.
pub(crate) fn pool_subscriptions(topic: &Topic, count: usize) -> Vec<Subscription> {
    let subscribe = |_| {
        let mut sum = 0_u64;
        topic.subscribe().run(move |it: &Payload| {
            sum = black_box(sum.wrapping_add(it.number));
        })
    };
    let subscriptions = (0..count).map(subscribe);
    subscriptions
        .collect::<Result<_, _>>()
        .expect("subscriptions")
}

fn to_receivers(subscribers: usize) {
    let (_bus, topic) = bus_and_topic();
    let mut receivers = receivers(&topic, subscribers);
    count(&mut publish(&topic), || drain(&mut receivers));
}

/// The only worker is kept away meanwhile, and the subscriptions are in its queue.
fn to_running_pool(subscribers: usize) {
    let (bus, topic) = bus_and_topic();
    let gate = bus.topic("gate").expect("a topic");
    let barrier = Arc::new(Barrier::new(2));
    let shared = Arc::clone(&barrier);
    let keeper = gate.subscribe().run(move |_: &Other| {
        shared.wait();
        shared.wait();
    });
    let _keeper = keeper.expect("a subscription");
    let subscribe = |_| topic.subscribe().capacity(2 * BURST).run(|_: &Payload| {});
    let subscriptions = (0..subscribers).map(subscribe);
    let _subscriptions: Vec<_> = subscriptions.collect::<Result<_, _>>().expect("open");
    for _ in 0..CALLS / BURST {
        support::wait_for_rest(&bus);
        gate.publish(Other).expect("an open topic");
        barrier.wait();
        publish(&topic)();
        measured_calls(BURST, &mut publish(&topic));
        barrier.wait();
    }
}

fn to_resting_pool(subscribers: usize) {
    let (bus, topic) = bus_and_topic();
    let _subscriptions = pool_subscriptions(&topic, subscribers);
    for _ in 0..CALLS {
        support::wait_for_rest(&bus);
        measured_calls(1, &mut publish(&topic));
    }
}

fn to_others() {
    let (_bus, topic) = bus_and_topic();
    let others = (0..64).map(|_| topic.subscribe().accept(&OTHER).receiver());
    let _others: Vec<Receiver> = others.collect::<Result<_, _>>().expect("receivers");
    count(&mut publish(&topic), || ());
}

fn handle() {
    let (_bus, topic) = bus_and_topic();
    let mut receivers = receivers(&topic, 8);
    let message = Message::new(Payload::new(1));
    let mut publish = || {
        black_box(topic.publish(message.clone())).expect("an open topic");
    };
    count(&mut publish, || drain(&mut receivers));
}

fn forwarded() {
    let (bus, topic) = bus_and_topic();
    let far = bus.topic("far").expect("a topic");
    let _forward = topic.forward_to(&far).expect("a forward");
    let mut receivers = receivers(&far, 1);
    count(&mut publish(&topic), || drain(&mut receivers));
}

fn filtered() {
    let (_bus, topic) = bus_and_topic();
    let receiver = topic
        .subscribe()
        .filter(|message| !message.is(&OTHER))
        .receiver();
    let mut receivers = [receiver.expect("a receiver")];
    count(&mut publish(&topic), || drain(&mut receivers));
}

fn inline() {
    let (_bus, topic) = bus_and_topic();
    let mut sum = 0_u64;
    let subscription = topic
        .subscribe()
        .delivery(Delivery::Inline)
        .run(move |it: &Payload| {
            sum = black_box(sum.wrapping_add(it.number));
        });
    let subscription = subscription.expect("a subscription");
    count(&mut publish(&topic), || {
        assert_eq!(subscription.stats().depth, 0)
    });
}

fn executor() {
    let (_bus, topic) = bus_and_topic();
    let executor = Arc::new(ManualExecutor::new());
    let delivery = Delivery::Executor(executor.clone());
    let subscription = topic.subscribe().delivery(delivery).run(|_: &Payload| {});
    let subscription = subscription.expect("a subscription");
    let mut number = 0;
    let mut publish = || {
        topic.publish(Payload::new(1)).expect("an open topic");
        number += 1;
        if number % BURST == 0 {
            executor.run_until_idle();
        }
    };
    count(&mut publish, || assert_eq!(subscription.stats().depth, 0));
    subscription.unsubscribe();
    executor.run_until_idle();
}

/// By who has received the messages already.
fn dispatched(routes: usize) {
    let (_bus, topic) = bus_and_topic();
    let types = (0..routes).map(|_| MessageType::leak("routed"));
    let types: Vec<&'static MessageType<Payload>> = types.collect();
    let mut builder = Router::builder();
    for message_type in &types {
        let mut sum = 0_u64;
        builder = builder.on(message_type, move |it| {
            sum = black_box(sum.wrapping_add(it.number));
        });
    }
    let receiver = builder.receiver(topic.subscribe());
    let (_receiver, mut dispatcher) = receiver.expect("a router");
    let numbered = types.iter().map(|it| it.message(Payload::new(1)));
    let messages: Vec<Message> = numbered.collect();
    let mut turns = messages.iter().cycle();
    let mut call = || dispatcher.dispatch(turns.next().expect("it has no end"));
    count(&mut call, || {});
}

fn asking() {
    let (_bus, topic) = bus_and_topic();
    let others = (0..64).map(|_| topic.subscribe().accept(&OTHER).receiver());
    let _others: Vec<Receiver> = others.collect::<Result<_, _>>().expect("receivers");
    let mut ask = || {
        assert!(!black_box(topic.has_subscribers_for_payload::<Payload>()));
    };
    count(&mut ask, || ());
}

fn churn(others: usize) {
    let (_bus, topic) = bus_and_topic();
    let others = receivers(&topic, others);
    let mut subscribe = || {
        drop(black_box(topic.subscribe().receiver()).expect("a receiver"));
    };
    count(&mut subscribe, || ());
    // To take them off one by one is not what is counted.
    std::mem::forget(others);
}
