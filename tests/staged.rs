//! Publishing in steps: one order for a change and its announcement.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{Gate, Log, wait_until, with_deadline};
use stasis_bus::{Bus, Delivery, Message, Overflow, PublishError};
use std::sync::Mutex;
use std::thread;

#[test]
fn all_see_the_order_of_the_lock() {
    with_deadline("one order", || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let logs: Vec<Log<u64>> = (0..5).map(|_| Log::new()).collect();
        let blocking = || {
            topic
                .subscribe()
                .capacity(2)
                .overflow(Overflow::Block { timeout: None })
        };
        let builders = [
            topic.subscribe(),
            topic.subscribe().delivery(Delivery::Inline),
            blocking(),
            blocking().filter(|_| true),
            topic.subscribe().filter(|_| true).filter_on_delivery(),
        ];
        let subscriptions: Vec<_> = builders
            .into_iter()
            .zip(&logs)
            .map(|(builder, log)| {
                let log = log.clone();
                builder.run(move |n: &u64| log.push(*n)).unwrap()
            })
            .collect();
        let counter = Mutex::new(0_u64);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        let mut count = counter.lock().unwrap();
                        *count += 1;
                        let offered = topic.stage(*count).unwrap().offer();
                        drop(count);
                        assert_eq!(offered.settle().unwrap().offered(), 5);
                    }
                });
            }
        });
        for (subscription, log) in subscriptions.iter().zip(&logs) {
            subscription.flush().unwrap();
            assert!(
                log.get().into_iter().eq(1..=2_000),
                "{}",
                subscription.name()
            );
        }
    });
}

#[test]
fn nobody_is_waited_for_and_that_is_counted() {
    with_deadline("past the limit", || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let mut receiver = topic
            .subscribe()
            .capacity(1)
            .overflow(Overflow::Block { timeout: None })
            .receiver()
            .unwrap();
        for n in 0..5_u64 {
            topic.stage(n).unwrap().offer().settle().unwrap();
        }
        assert_eq!(receiver.subscription().stats().past_limit, 4);
        for n in 0..5_u64 {
            assert_eq!(receiver.recv().unwrap().get(), Some(&n));
        }
    });
}

#[test]
fn filters_have_their_say_and_the_receipt_tells() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let _odd = topic
        .subscribe()
        .filter(|m| m.get::<u64>().is_some_and(|n| n % 2 == 1))
        .receiver()
        .unwrap();
    let _texts = topic
        .subscribe()
        .accept_payload::<String>()
        .receiver()
        .unwrap();
    let receipt = topic.stage(2_u64).unwrap().offer().settle().unwrap();
    assert_eq!((receipt.offered(), receipt.filtered()), (0, 2));
    let receipt = topic.stage(3_u64).unwrap().offer().settle().unwrap();
    assert_eq!((receipt.offered(), receipt.filtered()), (1, 1));
}

#[test]
fn who_comes_between_the_steps_may_miss_it_but_who_came_before_does_not() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let mut before = topic.subscribe().filter(|_| true).receiver().unwrap();
    let staged = topic.stage(1_u64).unwrap();
    let gone = topic.subscribe().receiver().unwrap();
    drop(gone);
    staged.offer().settle().unwrap();
    assert_eq!(before.try_recv().unwrap().get(), Some(&1_u64));
}

#[test]
fn errors_hand_the_message_back() {
    let bus = Bus::builder().decline("no").build().unwrap();
    let topic = bus.topic("t").unwrap();
    static NO: stasis_bus::MessageType<u8> = stasis_bus::MessageType::new("no");
    assert!(matches!(
        topic.stage(NO.message(1)),
        Err(PublishError::Declined(_))
    ));
    let _full = topic
        .subscribe()
        .capacity(1)
        .overflow(Overflow::Fail)
        .receiver()
        .unwrap();
    topic.stage(1_u64).unwrap().offer().settle().unwrap();
    let full = topic.stage(2_u64).unwrap().offer().settle();
    assert!(
        matches!(full, Err(PublishError::Full { message, .. }) if message.get() == Some(&2_u64))
    );
    topic.close();
    assert!(matches!(topic.stage(3_u64), Err(PublishError::Closed(_))));
}

#[test]
fn what_is_sent_is_for_one_and_passes_everything() {
    with_deadline("send", || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let policies = [
            Overflow::DropOldest,
            Overflow::DropNewest,
            Overflow::Fail,
            Overflow::Block { timeout: None },
            Overflow::conflate(|_: &Message| 0_u64),
            Overflow::Spill { limit: Some(1) },
        ];
        for policy in policies {
            let name = format!("{policy:?}");
            let mut receiver = topic
                .subscribe()
                .capacity(1)
                .overflow(policy)
                .accept_payload::<u64>()
                .filter(|m| m.get::<u64>().is_some())
                .receiver()
                .unwrap();
            let mut other = topic.subscribe().receiver().unwrap();
            topic.publish(1_u64).unwrap();
            receiver.subscription().send("here").unwrap();
            receiver.subscription().send("and here").unwrap();
            let got: Vec<_> = (0..3).map(|_| receiver.try_recv().unwrap()).collect();
            assert_eq!(got[0].get(), Some(&1_u64), "{name}");
            assert_eq!(got[1].get(), Some(&"here"), "{name}");
            assert_eq!(got[2].get(), Some(&"and here"), "{name}");
            assert_eq!(other.try_recv().unwrap().get(), Some(&1_u64));
            assert!(other.try_recv().is_err());
            receiver.subscription().unsubscribe();
            let refused = receiver.subscription().send("late").unwrap_err();
            assert_eq!(refused.into_message().get(), Some(&"late"));
        }
    });
}

#[test]
fn sent_inside_the_own_handler_it_comes_later() {
    with_deadline("send to self", || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        for delivery in [Delivery::Pool, Delivery::Inline] {
            let own = std::sync::Arc::new(Mutex::new(None::<stasis_bus::Subscription>));
            let (slot, log) = (own.clone(), Log::new());
            let seen = log.clone();
            let subscription = topic
                .subscribe()
                .delivery(delivery)
                .run(move |m: &Message| {
                    if let Some(n) = m.get::<u64>() {
                        seen.push(*n);
                        if *n < 3 {
                            slot.lock().unwrap().as_ref().unwrap().send(n + 1).unwrap();
                        }
                    }
                })
                .unwrap();
            *own.lock().unwrap() = Some(subscription);
            topic.publish(0_u64).unwrap();
            wait_until("the chain", || log.get() == [0, 1, 2, 3]);
            drop(own.lock().unwrap().take());
        }
    });
}

/// Each pool is told of its own: the one's workers cannot run what the other's are to.
#[test]
fn what_is_gathered_on_two_buses_is_run_by_both() {
    with_deadline("two buses", || {
        let buses = [(), ()].map(|()| Bus::builder().workers(1).build().unwrap());
        let topics = buses.each_ref().map(|bus| bus.topic("t").unwrap());
        let (stuck, seen) = (Gate::new(), Log::new());
        let (gate, log) = (stuck.clone(), seen.clone());
        let first = topics[0].subscribe().run(move |_: &u64| gate.pass());
        let second = topics[1].subscribe().run(move |n: &u64| log.push(*n));
        let mut offered = topics[0].stage(1_u64).unwrap().offer();
        topics[1].stage(2_u64).unwrap().offer_into(&mut offered);
        assert_eq!(offered.settle().unwrap().offered(), 2);
        seen.wait_len(1);
        stuck.wait_arrived(1);
        stuck.open();
        first.unwrap().flush().unwrap();
        second.unwrap().flush().unwrap();
        assert_eq!(seen.get(), [2]);
    });
}

#[test]
fn a_late_filter_is_serial_and_counts() {
    with_deadline("late filter", || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let last = Mutex::new(0_u64);
        let log = Log::new();
        let seen = log.clone();
        let subscription = topic
            .subscribe()
            .filter(move |m| {
                // Nobody else is in here: `try_lock` would fail.
                let mut last = last.try_lock().expect("one at a time");
                let n = *m.get::<u64>().unwrap();
                let is_new = n > *last;
                *last = (*last).max(n);
                is_new
            })
            .filter_on_delivery()
            .run(move |n: &u64| seen.push(*n))
            .unwrap();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    (1..=500_u64).for_each(|n| {
                        topic.publish(n).unwrap();
                    })
                });
            }
        });
        subscription.flush().unwrap();
        let got = log.get();
        assert!(got.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(got.len() as u64 + subscription.stats().filtered, 1_000);
        assert_eq!(*got.last().unwrap(), 500);
    });
}

#[test]
fn filters_add_up() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    for late in [false, true] {
        let number = |message: &Message| *message.get::<u64>().unwrap_or(&0);
        let builder = topic.subscribe().filter(move |it| number(it) % 2 == 0);
        let builder = builder.filter(move |it| number(it) % 3 == 0);
        let builder = if late {
            builder.filter_on_delivery()
        } else {
            builder
        };
        let mut receiver = builder.receiver().unwrap();
        topic.publish_batch(1..=12_u64).unwrap();
        let got: Vec<u64> = receiver.try_iter().map(|it| number(&it)).collect();
        assert_eq!(got, [6, 12]);
    }
}
