//! What the consumer pays: from one run of the handler to the next, and all that its thread does in between.

use super::{BURST, CALLS, FEW_CALLS, bus_and_topic, count, measured_calls, publish};
use crate::probe::toggle;
use crate::support::Payload;
use crate::threads::Others;
use stasis_bus::{
    Delivery, ManualExecutor, Message, MessageType, OwnThread, Receiver, Router, Subscription,
    Topic, WaitStrategy,
};
use std::hint::black_box;
use std::sync::{Arc, Barrier};

/// How many messages come before the first one that is counted.
const AHEAD: usize = 256;

/// Handles messages, and has what happens between two of them counted.
struct Counted {
    handled: usize,
    begin: usize,
    calls: usize,
    sum: u64,
}

impl Counted {
    fn new(begin: usize, calls: usize) -> Self {
        Self {
            handled: 0,
            begin,
            calls,
            sum: 0,
        }
    }

    fn handle(&mut self, it: &Payload) {
        self.sum = black_box(self.sum.wrapping_add(it.number));
        self.handled += 1;
        if self.handled == self.begin || self.handled == self.begin + self.calls {
            toggle();
        }
    }
}

/// Publishes what is counted while the first message holds the consumer up: it finds all of them when it goes on.
fn backlog(topic: &Topic, delivery: impl Into<Delivery>, capacity: Option<usize>, others: usize) {
    let mut counted = Counted::new(AHEAD, CALLS);
    let barrier = Arc::new(Barrier::new(2));
    let shared = Arc::clone(&barrier);
    let mut builder = topic.subscribe().delivery(delivery);
    if let Some(capacity) = capacity {
        builder = builder.capacity(capacity);
    }
    let subscription = builder.run(move |it: &Payload| {
        if counted.handled == 0 {
            shared.wait();
            shared.wait();
        }
        counted.handle(it);
    });
    let subscription = subscription.expect("a subscription");
    publish(topic)();
    barrier.wait();
    let others = (0..others).map(|_| topic.subscribe().capacity(2 * CALLS).receiver());
    let mut others: Vec<Receiver> = others.collect::<Result<_, _>>().expect("receivers");
    (0..2 * AHEAD + CALLS).for_each(|_| publish(topic)());
    barrier.wait();
    finish(topic, subscription);
    others
        .iter_mut()
        .for_each(|other| other.try_iter().for_each(drop));
}

fn finish(topic: &Topic, subscription: Subscription) {
    topic.close();
    subscription.join().expect("the end");
}

pub(super) fn pool() {
    let (_bus, topic) = bus_and_topic();
    backlog(&topic, Delivery::Pool, Some(2 * CALLS), 0);
}

/// The last reference is somebody else's.
pub(super) fn shared() {
    let (_bus, topic) = bus_and_topic();
    backlog(&topic, Delivery::Pool, Some(2 * CALLS), 7);
}

pub(super) fn spilled() {
    let (_bus, topic) = bus_and_topic();
    backlog(&topic, Delivery::Pool, None, 0);
}

pub(super) fn own_thread() {
    let (_bus, topic) = bus_and_topic();
    let thread = OwnThread::new(WaitStrategy::Park);
    backlog(&topic, thread, Some(2 * CALLS), 0);
}

pub(super) fn receiver() {
    let (_bus, topic) = bus_and_topic();
    let mut receiver = topic
        .subscribe()
        .capacity(BURST)
        .receiver()
        .expect("a receiver");
    let mut publish = publish(&topic);
    for _ in 0..=CALLS / BURST {
        (0..BURST).for_each(|_| publish());
        measured_calls(BURST, &mut || {
            drop(black_box(receiver.try_recv()).expect("a message"));
        });
        assert_eq!(receiver.try_iter().count(), 0);
    }
}

pub(super) fn executor() {
    let (_bus, topic) = bus_and_topic();
    let executor = Arc::new(ManualExecutor::new());
    let delivery = Delivery::Executor(executor.clone());
    let subscription = topic
        .subscribe()
        .capacity(BURST)
        .delivery(delivery)
        .run(|_: &Payload| {});
    let subscription = subscription.expect("a subscription");
    for _ in 0..CALLS / BURST {
        (0..BURST).for_each(|_| publish(&topic)());
        measured_calls(1, &mut || assert_eq!(executor.run_until_idle(), 1));
        assert_eq!(subscription.stats().depth, 0);
    }
    subscription.unsubscribe();
    executor.run_until_idle();
}

/// One message at a time, each when its consumer sleeps.
fn one_by_one(topic: &Topic) {
    let threads = Others::now();
    for _ in 0..FEW_CALLS + 4 {
        threads.wait_until_asleep();
        publish(topic)();
    }
    threads.wait_until_asleep();
}

fn woken(delivery: impl Into<Delivery>) {
    let (_bus, topic) = bus_and_topic();
    let mut counted = Counted::new(2, FEW_CALLS);
    let builder = topic.subscribe().delivery(delivery);
    let subscription = builder.run(move |it: &Payload| counted.handle(it));
    let subscription = subscription.expect("a subscription");
    one_by_one(&topic);
    finish(&topic, subscription);
}

pub(super) fn woken_worker() {
    woken(Delivery::Pool);
}

pub(super) fn woken_thread() {
    woken(OwnThread::new(WaitStrategy::Park));
}

pub(super) fn woken_receiver() {
    let (_bus, topic) = bus_and_topic();
    let mut receiver = topic.subscribe().receiver().expect("a receiver");
    let mut counted = Counted::new(2, FEW_CALLS);
    let thread = std::thread::spawn(move || {
        for message in receiver.iter() {
            if let Some(it) = message.get::<Payload>() {
                counted.handle(it);
            }
        }
    });
    one_by_one(&topic);
    topic.close();
    thread.join().expect("no panic");
}

/// By who has received the messages already.
pub(super) fn dispatched(routes: usize) {
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
