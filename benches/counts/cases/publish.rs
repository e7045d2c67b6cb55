//! What the publisher pays.

use super::{
    BURST, CALLS, FEW_CALLS, Keeper, OTHER, bus_and_topic, count, measured_calls, publish,
    receivers,
};
use crate::support::{Other, Payload};
use crate::threads::Others;
use stasis_bus::{Delivery, Message, OwnThread, Receiver, Subscription, Topic, WaitStrategy};
use std::hint::black_box;

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

fn drain(receivers: &mut [Receiver]) {
    for receiver in receivers {
        assert_eq!(receiver.try_iter().count(), BURST);
    }
}

/// In the queue of the worker already.
pub(super) fn running(subscribers: usize) {
    let (bus, topic) = bus_and_topic();
    let keeper = Keeper::new(&bus);
    let subscribe = |_| topic.subscribe().capacity(2 * BURST).run(|_: &Payload| {});
    let subscriptions = (0..subscribers).map(subscribe);
    let _subscriptions: Vec<_> = subscriptions.collect::<Result<_, _>>().expect("open");
    for _ in 0..CALLS / BURST {
        keeper.keep_away(|| {
            publish(&topic)();
            measured_calls(BURST, &mut publish(&topic));
        });
    }
}

pub(super) fn batch() {
    let (bus, topic) = bus_and_topic();
    let keeper = Keeper::new(&bus);
    let subscribe = |_| topic.subscribe().capacity(2 * BURST).run(|_: &Payload| {});
    let subscriptions = (0..8).map(subscribe);
    let _subscriptions: Vec<_> = subscriptions.collect::<Result<_, _>>().expect("open");
    for _ in 0..CALLS {
        keeper.keep_away(|| {
            publish(&topic)();
            measured_calls(1, &mut || {
                let payloads = (0..BURST as u64).map(Payload::new);
                black_box(topic.publish_batch(payloads)).expect("an open topic");
            });
        });
    }
}

/// Behind a ring that is full.
pub(super) fn spilling() {
    let (bus, topic) = bus_and_topic();
    let keeper = Keeper::new(&bus);
    let _subscription = topic.subscribe().run(|_: &Payload| {}).expect("open");
    keeper.keep_away(|| {
        (0..10 * BURST).for_each(|_| publish(&topic)());
        measured_calls(CALLS, &mut publish(&topic));
    });
}

/// The worker sleeps.
pub(super) fn at_rest(subscribers: usize) {
    let (_bus, topic) = bus_and_topic();
    let _subscriptions = pool_subscriptions(&topic, subscribers);
    let threads = Others::now();
    for round in 0..=FEW_CALLS {
        threads.wait_until_asleep();
        match round {
            0 => publish(&topic)(),
            _ => measured_calls(1, &mut publish(&topic)),
        }
    }
}

/// A subscription each, in the pool.
pub(super) fn unwanted(others: usize) {
    let (_bus, topic) = bus_and_topic();
    let others = (0..others).map(|_| topic.subscribe().run_type(&OTHER, |_: &Other| {}));
    let _others: Vec<_> = others.collect::<Result<_, _>>().expect("subscriptions");
    count(&mut publish(&topic), || ());
}

pub(super) fn to_receivers(subscribers: usize) {
    let (_bus, topic) = bus_and_topic();
    let mut receivers = receivers(&topic, subscribers);
    count(&mut publish(&topic), || drain(&mut receivers));
}

/// A thread waits in `recv`.
pub(super) fn to_waiting_receiver() {
    let (_bus, topic) = bus_and_topic();
    let mut receiver = topic.subscribe().receiver().expect("a receiver");
    let thread = std::thread::spawn(move || receiver.iter().count());
    let threads = Others::now();
    for round in 0..=FEW_CALLS {
        threads.wait_until_asleep();
        match round {
            0 => publish(&topic)(),
            _ => measured_calls(1, &mut publish(&topic)),
        }
    }
    topic.close();
    let received = thread.join().expect("no panic");
    assert_eq!(received, FEW_CALLS + 2, "the final message included");
}

pub(super) fn to_parked_thread() {
    let (_bus, topic) = bus_and_topic();
    let subscription = topic
        .subscribe()
        .delivery(OwnThread::new(WaitStrategy::Park))
        .run(|_: &Payload| {});
    let _subscription = subscription.expect("a subscription");
    let threads = Others::now();
    for round in 0..=FEW_CALLS {
        threads.wait_until_asleep();
        match round {
            0 => publish(&topic)(),
            _ => measured_calls(1, &mut publish(&topic)),
        }
    }
}

/// A message that has been published before.
pub(super) fn handle() {
    let (_bus, topic) = bus_and_topic();
    let mut receivers = receivers(&topic, 8);
    let message = Message::new(Payload::new(1));
    let mut publish = || {
        black_box(topic.publish(message.clone())).expect("an open topic");
    };
    count(&mut publish, || drain(&mut receivers));
}

pub(super) fn forwarded() {
    let (bus, topic) = bus_and_topic();
    let far = bus.topic("far").expect("a topic");
    let _forward = topic.forward_to(&far).expect("a forward");
    let mut receivers = receivers(&far, 1);
    count(&mut publish(&topic), || drain(&mut receivers));
}

pub(super) fn filtered() {
    let (_bus, topic) = bus_and_topic();
    let receiver = topic
        .subscribe()
        .capacity(BURST)
        .filter(|message| !message.is(&OTHER))
        .receiver();
    let mut receivers = [receiver.expect("a receiver")];
    count(&mut publish(&topic), || drain(&mut receivers));
}

pub(super) fn inline() {
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

pub(super) fn asking() {
    let (_bus, topic) = bus_and_topic();
    let others = (0..64).map(|_| topic.subscribe().accept(&OTHER).receiver());
    let _others: Vec<Receiver> = others.collect::<Result<_, _>>().expect("receivers");
    let mut ask = || {
        assert!(!black_box(topic.has_subscribers_for_payload::<Payload>()));
    };
    count(&mut ask, || ());
}
