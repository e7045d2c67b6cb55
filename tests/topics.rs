//! Topics: found and made by name, closed and made again, published to, waited for.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{
    DEADLINE, Gate, Kind, Log, Setup, bus_with, for_each_handler_kind, for_each_kind, number,
    with_deadline,
};
use stasis_bus::{
    Bus, FinalReason, Handled, Message, MessageType, Overflow, PublishError, SubscribeError,
    SyncError, TopicError, WaitError,
};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

#[test]
fn one_name_is_one_topic_for_sixteen_threads() {
    with_deadline("sixteen", || {
        let bus = bus_with(1);
        for round in 0..50 {
            let name = format!("topic {round}");
            let barrier = Arc::new(Barrier::new(16));
            let threads: Vec<_> = (0..16)
                .map(|_| {
                    let (bus, name, barrier) = (bus.clone(), name.clone(), Arc::clone(&barrier));
                    thread::spawn(move || {
                        barrier.wait();
                        bus.topic(&name).unwrap()
                    })
                })
                .collect();
            let topics: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
            assert!(topics.iter().all(|topic| topic.is_same(&topics[0])));
            assert_eq!(bus.stats().topics, 1);
        }
    });
}

#[test]
fn made_and_dropped_by_several_threads_it_is_never_refused() {
    with_deadline("dropped", || {
        let bus = bus_with(1);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let bus = bus.clone();
                thread::spawn(move || {
                    for _ in 0..2000 {
                        let topic = bus.topic("flickers").unwrap();
                        // For as long as somebody has it, there is no twin.
                        assert!(bus.topic("flickers").unwrap().is_same(&topic));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(bus.stats().topics, 0, "the registry forgets");
    });
}

#[test]
fn the_registry_forgets_what_nobody_has() {
    for_each_kind(|setup| {
        let topic = setup.topic("forgotten");
        assert!(setup.bus.get_topic("forgotten").unwrap().is_same(&topic));
        let sub = setup.run(&topic, |_| {});
        drop(topic);
        assert!(setup.bus.get_topic("forgotten").is_some(), "a subscription");
        sub.end();
        drop(sub);
        common::wait_until("it is forgotten", || {
            setup.bus.get_topic("forgotten").is_none()
        });
        assert!(setup.bus.get_topic("never made").is_none());
    });
}

#[test]
fn a_closed_topic_makes_way() {
    for_each_kind(|setup| {
        let old = setup.topic("name");
        let log = Log::new();
        let logs = log.clone();
        let sub = setup.run(&old, move |message| {
            logs.push(message.as_final().map(|last| last.reason));
        });
        old.close();
        old.close();
        assert_eq!(sub.join().reason, FinalReason::TopicClosed);
        assert_eq!(log.take(), [Some(FinalReason::TopicClosed)]);
        let error = old.publish(7_u64).unwrap_err();
        assert!(matches!(&error, PublishError::Closed(_)));
        assert_eq!(number(&error.into_message()), Some(7), "handed back");
        assert!(matches!(
            old.subscribe().run(|_: &u64| {}),
            Err(SubscribeError::TopicClosed)
        ));
        assert!(setup.bus.get_topic("name").is_none(), "it does not live");
        let new = setup.topic("name");
        assert!(!new.is_same(&old) && !new.is_closed() && old.is_closed());
        // The end of the old one takes nothing from the new one.
        drop((old, sub));
        assert!(setup.bus.get_topic("name").unwrap().is_same(&new));
        assert_eq!(new.publish(1_u64).unwrap().offered(), 0);
    });
}

#[test]
fn a_topic_of_another_order_makes_way_once_it_is_closed() {
    with_deadline("order", || {
        let bus = bus_with(1);
        let relaxed = bus.topic("name").unwrap();
        assert_eq!(
            bus.topic_with_total_order("name").err(),
            Some(TopicError::OtherOrder)
        );
        relaxed.close();
        let total = bus.topic_with_total_order("name").unwrap();
        assert!(total.has_total_order() && !relaxed.has_total_order());
        assert!(bus.topic("name").unwrap().is_same(&total));
        let blocks = total
            .subscribe()
            .overflow(Overflow::Block { timeout: None });
        assert!(matches!(
            blocks.run(|_: &u64| {}),
            Err(SubscribeError::BlockingOnTotalOrder)
        ));
    });
}

#[test]
fn names() {
    with_deadline("names", || {
        let bus = bus_with(1);
        assert_eq!(bus.topic("").err(), Some(TopicError::EmptyName));
        let long = "x".repeat(stasis_bus::MAX_NAME_LEN);
        assert_eq!(bus.topic(&long).unwrap().name(), long);
        let len = long.len() + 1;
        assert_eq!(
            bus.topic(&format!("{long}x")).err(),
            Some(TopicError::NameTooLong { len })
        );
        let (lower, upper) = (bus.topic("name").unwrap(), bus.topic("Name").unwrap());
        assert!(!lower.is_same(&upper));
        let named = lower.subscribe().name("\u{1f54a}");
        let named = named.receiver().unwrap();
        assert_eq!(named.subscription().name(), "\u{1f54a}");
        assert_eq!(named.subscription().topic_name(), "name");
    });
}

#[test]
fn publish_races_with_close() {
    for_each_kind(|setup| {
        for _ in 0..10 {
            let topic = setup.topic("race");
            let log = Log::new();
            let logs = log.clone();
            let sub = setup.run(&topic, move |message| logs.push(number(message)));
            let publishes = topic.clone();
            let publisher = thread::spawn(move || {
                let mut offered = Vec::new();
                for n in 0.. {
                    match publishes.publish(n as u64) {
                        Ok(receipt) if receipt.offered() == 1 => offered.push(Some(n as u64)),
                        Ok(_) => {}
                        Err(error) => {
                            assert!(matches!(error, PublishError::Closed(_)));
                            return offered;
                        }
                    }
                    if n % 8 == 0 {
                        thread::yield_now();
                    }
                }
                offered
            });
            log.wait_len(3);
            topic.close();
            sub.join();
            let mut offered = publisher.join().unwrap();
            offered.push(None);
            assert_eq!(log.take(), offered);
        }
    });
}

#[test]
fn publish_sync_is_handled_with_all_before_it() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("sync");
        let log = Log::new();
        let logs = log.clone();
        let sub = setup.run_with(topic.subscribe().capacity(2), move |message| {
            logs.push(number(message));
        });
        for n in 0..50_u64 {
            topic.publish(n).unwrap();
            let handled = topic.publish_sync(sub.handle(), n + 100).unwrap();
            assert_eq!(handled, Handled::Handled);
            assert_eq!(log.take(), [Some(n), Some(n + 100)]);
        }
        topic.publish_batch(0..50_u64).unwrap();
        sub.handle().flush().unwrap();
        assert_eq!(log.take().len(), 50);
    });
}

#[test]
fn publish_sync_goes_to_the_others_too_and_waits_for_none() {
    with_deadline("others", || {
        for kind in [Kind::PoolOfThree, Kind::OwnPark] {
            let setup = Setup::new(kind);
            let topic = setup.topic("others");
            let gate = Gate::new();
            let stops = gate.clone();
            let stuck = setup.run(&topic, move |message| {
                if number(message).is_some() {
                    stops.pass();
                }
            });
            let quick = setup.run(&topic, |_| {});
            let handled = topic.publish_sync_timeout(quick.handle(), 1_u64, DEADLINE);
            assert_eq!(handled.unwrap(), Handled::Handled);
            gate.wait_arrived(1);
            let short = Duration::from_millis(5);
            let late = topic.publish_sync_timeout(stuck.handle(), 2_u64, short);
            assert!(matches!(late, Err(SyncError::TimedOut)));
            assert_eq!(
                stuck.handle().flush_timeout(short),
                Err(WaitError::TimedOut)
            );
            gate.open();
            assert_eq!(stuck.end().delivered, 2, "it is handled later");
        }
    });
}

#[test]
fn publish_sync_says_why_it_was_not_handled() {
    static WANTED: MessageType<u64> = MessageType::new("wanted");
    for_each_handler_kind(|setup| {
        for total_order in [false, true] {
            let topic = match total_order {
                false => setup.topic("relaxed"),
                true => setup.bus.topic_with_total_order("total").unwrap(),
            };
            let elsewhere = setup.topic("elsewhere");
            let by_type = setup.run_with(topic.subscribe().accept(&WANTED), |_| {});
            let by_closure = setup.run_with(
                topic
                    .subscribe()
                    .filter(|message| number(message) != Some(1)),
                |_| {},
            );
            let sync = |sub: &common::Sub, message: Message| {
                topic
                    .publish_sync_timeout(sub.handle(), message, DEADLINE)
                    .unwrap()
            };
            assert_eq!(sync(&by_type, Message::new(1_u64)), Handled::Filtered);
            assert_eq!(sync(&by_type, WANTED.message(1)), Handled::Handled);
            assert_eq!(sync(&by_closure, Message::new(1_u64)), Handled::Filtered);
            assert_eq!(sync(&by_closure, Message::new(2_u64)), Handled::Handled);
            let stranger = setup.run(&elsewhere, |_| {});
            assert_eq!(sync(&stranger, Message::new(2_u64)), Handled::NotSubscribed);
            let forward = topic.forward_to(&elsewhere).unwrap();
            assert_eq!(sync(&stranger, Message::new(2_u64)), Handled::Handled);
            drop(forward);
            by_type.end();
            assert_eq!(sync(&by_type, WANTED.message(1)), Handled::Closed);
            let other_bus = bus_with(1);
            let foreign = other_bus.topic("relaxed").unwrap().subscribe();
            let foreign = foreign.run(|_: &u64| {}).unwrap();
            let handled = topic.publish_sync(&foreign, 1_u64).unwrap();
            assert_eq!(handled, Handled::NotSubscribed);
            topic.close();
            assert!(matches!(
                topic.publish_sync(by_closure.handle(), 1_u64),
                Err(SyncError::Refused(PublishError::Closed(_)))
            ));
        }
    });
}

#[test]
fn publish_sync_to_a_receiver() {
    with_deadline("receiver", || {
        for total_order in [false, true] {
            let bus = bus_with(1);
            let topic = match total_order {
                false => bus.topic("sync").unwrap(),
                true => bus.topic_with_total_order("sync").unwrap(),
            };
            let mut receiver = topic
                .subscribe()
                .filter(|message| number(message) != Some(1))
                .receiver()
                .unwrap();
            let outcome = |n: u64, receiver: &mut stasis_bus::Receiver| {
                let mut got = Vec::new();
                // The handle stands in the receiver: a scoped thread borrows neither, so one takes turns.
                let short = Duration::from_millis(1);
                let sync = topic.publish_sync_timeout(receiver.subscription(), n, short);
                got.extend(receiver.try_iter().filter_map(|message| number(&message)));
                (sync, got)
            };
            let (sync, got) = outcome(2, &mut receiver);
            assert!(matches!(sync, Err(SyncError::TimedOut)));
            assert_eq!(got, [2]);
            let (sync, got) = outcome(1, &mut receiver);
            assert!(got.is_empty());
            if !total_order {
                assert_eq!(sync.unwrap(), Handled::Filtered);
            }
        }
    });
}

#[test]
fn publish_sync_that_is_shed() {
    with_deadline("shed", || {
        for overflow in [
            Overflow::DropNewest,
            Overflow::Fail,
            Overflow::DropOldest,
            Overflow::conflate(|_: &Message| 1_u64),
            Overflow::Block {
                timeout: Some(Duration::from_millis(1)),
            },
            Overflow::Evict,
        ] {
            let name = format!("{overflow:?}");
            let setup = Setup::new(Kind::PoolOfOne);
            let topic = setup.topic("shed");
            let gate = Gate::new();
            let stops = gate.clone();
            let builder = topic.subscribe().capacity(1).overflow(overflow);
            let sub = setup.run_with(builder, move |message| {
                if number(message) == Some(0) {
                    stops.pass();
                }
            });
            topic.publish(0_u64).unwrap();
            gate.wait_arrived(1);
            let sheds_older = ["DropOldest", "Conflate"].contains(&&*name);
            let outcome = thread::scope(|scope| {
                if !sheds_older {
                    topic.publish(1_u64).unwrap();
                }
                let waits = scope.spawn(|| topic.publish_sync(sub.handle(), 2_u64).unwrap());
                if sheds_older {
                    common::wait_until("it waits", || sub.stats().depth == 1);
                    topic.publish(3_u64).unwrap();
                }
                waits.join().unwrap()
            });
            let expected = match &*name {
                "Evict" => Handled::Closed,
                _ => Handled::Shed,
            };
            assert_eq!(outcome, expected, "{name}");
            gate.open();
            sub.end();
        }
    });
}

#[test]
fn waiting_for_a_subscription_that_ends() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("ends");
        let sub = setup.run(&topic, |_| {});
        sub.handle().flush_timeout(DEADLINE).unwrap();
        sub.end();
        assert_eq!(sub.handle().flush(), Err(WaitError::Closed));
        let sync = topic.publish_sync(sub.handle(), 1_u64);
        assert_eq!(sync.unwrap(), Handled::Closed);
    });
}

#[test]
fn has_subscribers_for_tells_by_type_and_through_forwards() {
    static KNOWN: MessageType<u64> = MessageType::new("known");
    static UNKNOWN: MessageType<u64> = MessageType::new("unknown");
    for_each_kind(|setup| {
        let (topic, down) = (setup.topic("topic"), setup.topic("down"));
        let wants = |a: bool, b: bool, c: bool| {
            assert_eq!(topic.has_subscribers_for(&KNOWN), a);
            assert_eq!(topic.has_subscribers_for(&UNKNOWN), b);
            assert_eq!(topic.has_subscribers_for_payload::<u64>(), c);
        };
        wants(false, false, false);
        let known = setup.run_with(down.subscribe().accept(&KNOWN), |_| {});
        wants(false, false, false);
        let forward = topic.forward_to(&down).unwrap();
        wants(true, false, false);
        let filtering = topic.subscribe().accept_payload::<u64>().filter(|_| false);
        let filtering = setup.run_with(filtering, |_| {});
        wants(true, false, true);
        known.end();
        wants(false, false, true);
        let general = setup.run(&topic, |_| {});
        wants(true, true, true);
        general.end();
        filtering.end();
        wants(false, false, false);
        drop(forward);
    });
}

#[test]
fn a_batch_is_published_in_order_as_far_as_it_goes() {
    for_each_kind(|setup| {
        static DECLINED: MessageType<u64> = MessageType::new("declined");
        let bus = Bus::builder().workers(1).decline("declined").build();
        let setup = Setup::with_bus(setup.kind, bus.unwrap());
        let topic = setup.topic("batch");
        let log = Log::new();
        let logs = log.clone();
        let sub = setup.run(&topic, move |message| logs.push(number(message)));
        assert_eq!(topic.publish_batch(0..100_u64).unwrap().offered(), 100);
        assert_eq!(topic.publish_batch([0_u64; 0]).unwrap().offered(), 0);
        sub.flush();
        assert_eq!(log.take(), (0..100).map(Some).collect::<Vec<_>>());
        let batch = [
            Message::new(1_u64),
            DECLINED.message(2),
            Message::new(3_u64),
        ];
        let refused = topic.publish_batch(batch).unwrap_err();
        assert!(matches!(&refused, PublishError::Declined(_)));
        assert_eq!(number(&refused.into_message()), Some(2));
        assert!(topic.publish(DECLINED.message(2)).is_err());
        assert!(topic.subscribe().accept(&DECLINED).receiver().is_err());
        // An iterator that panics ends its batch: what came before is delivered.
        let panics = std::panic::AssertUnwindSafe(|| {
            let batch = (10_u64..20).inspect(|n| assert!(*n < 12, "enough"));
            topic.publish_batch(batch)
        });
        assert!(std::panic::catch_unwind(panics).is_err());
        topic.publish(20_u64).unwrap();
        sub.end();
        assert_eq!(log.take(), [Some(1), Some(10), Some(11), Some(20), None]);
    });
}
