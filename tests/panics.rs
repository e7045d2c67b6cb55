//! A panic harms its own subscription only (R2): it is counted, reported to a hook, and then the policy decides.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{
    DEADLINE, DropFlag, Log, Setup, for_each_handler_kind, for_each_kind, number, with_deadline,
};
use stasis_bus::{
    Bus, Delivery, FinalReason, Gap, Handled, ManualExecutor, Message, Overflow, PanicPolicy,
};
use std::sync::Arc;

/// What the hook of a bus heard: subscription, type, text.
type Heard = (String, String, String);

fn bus_with_hook() -> (Bus, Log<Heard>) {
    let heard = Log::new();
    let hears = heard.clone();
    let bus = Bus::builder()
        .workers(2)
        .on_panic(move |panic| {
            let parts = (panic.subscription, panic.message_type, panic.panic);
            assert_eq!(panic.topic, "panics");
            hears.push((parts.0.into(), parts.1.into(), parts.2.into()));
        })
        .build()
        .unwrap();
    (bus, heard)
}

fn hooked(setup: &Setup) -> (Setup, Log<Heard>) {
    let (bus, heard) = bus_with_hook();
    (Setup::with_bus(setup.kind, bus), heard)
}

/// Panics at 3, and logs everything else.
fn touchy(log: &Log<Option<u64>>) -> impl FnMut(&Message) + Send + 'static {
    let log = log.clone();
    move |message| {
        let n = number(message);
        assert!(n != Some(3), "three it was");
        log.push(n);
    }
}

#[test]
fn policies_decide_what_comes_next() {
    for_each_handler_kind(|setup| {
        let (setup, heard) = hooked(setup);
        let topic = setup.topic("panics");
        let policies = [
            (PanicPolicy::Continue, vec![Some(1), Some(2), Some(4), None]),
            (PanicPolicy::Close, vec![Some(1), Some(2)]),
            (PanicPolicy::CloseWithFinal, vec![Some(1), Some(2), None]),
        ];
        for (policy, expected) in policies {
            let (log, other, finals) = (Log::new(), Log::new(), Log::new());
            let (ends, captured) = (finals.clone(), DropFlag::new());
            let guard = captured.guard();
            let mut handler = touchy(&log);
            let sub = setup
                .builder(&topic)
                .name("touchy")
                .panic_policy(policy)
                .on_final(move |last| ends.push(*last))
                .run(move |message: &Message| {
                    let _ = &guard;
                    handler(message);
                })
                .unwrap();
            let others = other.clone();
            let beside = setup.run(&topic, move |message| others.push(number(message)));
            for n in 1..=4_u64 {
                topic.publish(n).unwrap();
            }
            sub.unsubscribe();
            let last = sub.join_timeout(DEADLINE).unwrap();
            assert_eq!(log.get(), expected, "{policy:?}");
            assert_eq!(captured.count(), 1);
            let told = usize::from(policy != PanicPolicy::Close);
            assert_eq!(finals.len(), told, "{policy:?}");
            assert!(finals.get().iter().all(|told| *told == last));
            assert_eq!(sub.stats().panics, 1);
            // It may have panicked before or after the last publish and the unsubscribe.
            if policy == PanicPolicy::Continue {
                assert_eq!((last.delivered, last.discarded), (4, 0));
            } else {
                assert_eq!(last.delivered, 3);
                assert!(last.discarded <= 1);
            }
            beside.end();
            assert_eq!(other.get(), [Some(1), Some(2), Some(3), Some(4), None]);
            let expected = ("touchy".into(), "u64".into(), "three it was".into());
            assert_eq!(heard.take(), [expected]);
        }
    });
}

/// A manual executor, so that all is accepted before anything is run.
fn manual() -> (Arc<ManualExecutor>, Delivery) {
    let executor = Arc::new(ManualExecutor::new());
    (executor.clone(), Delivery::Executor(executor))
}

#[test]
fn what_waits_behind_a_panic_is_discarded_and_counted() {
    with_deadline("discarded", || {
        for policy in [PanicPolicy::Close, PanicPolicy::CloseWithFinal] {
            let discarded = Log::new();
            let tells = discarded.clone();
            let bus = Bus::builder().on_discard(move |what| {
                tells.push((what.subscription.to_owned(), what.count));
            });
            let bus = bus.build().unwrap();
            let topic = bus.topic("panics").unwrap();
            let (executor, delivery) = manual();
            let log = Log::new();
            let sub = topic
                .subscribe()
                .name("touchy")
                .delivery(delivery)
                .panic_policy(policy)
                .run(touchy(&log))
                .unwrap();
            topic.publish_batch(1..=10_u64).unwrap();
            executor.run_until_idle();
            let last = sub.join_timeout(DEADLINE).unwrap();
            assert_eq!(last.reason, FinalReason::HandlerPanicked);
            assert_eq!((last.delivered, last.discarded), (3, 7));
            assert_eq!(discarded.take(), [("touchy".to_owned(), 7)]);
            assert!(!sub.is_subscribed());
            assert_eq!(topic.publish(1_u64).unwrap().offered(), 0);
        }
    });
}

/// The handler is owed its final message, whoever was first to end the subscription.
#[test]
fn the_final_message_comes_if_it_was_unsubscribed_before_it_panicked() {
    with_deadline("owed", || {
        let (bus, _) = bus_with_hook();
        let topic = bus.topic("panics").unwrap();
        let (executor, delivery) = manual();
        let (log, finals) = (Log::new(), Log::new());
        let ends = finals.clone();
        let sub = topic
            .subscribe()
            .delivery(delivery)
            .panic_policy(PanicPolicy::CloseWithFinal)
            .on_final(move |last| ends.push(last.reason))
            .run(touchy(&log))
            .unwrap();
        topic.publish_batch(1..=5_u64).unwrap();
        sub.unsubscribe();
        executor.run_until_idle();
        let last = sub.join_timeout(DEADLINE).unwrap();
        assert_eq!(last.reason, FinalReason::Unsubscribed);
        assert_eq!((last.delivered, last.discarded), (3, 2));
        assert_eq!(log.take(), [Some(1), Some(2), None]);
        assert_eq!(finals.take(), [FinalReason::Unsubscribed]);
    });
}

#[test]
fn batch_handlers_panic_as_a_batch() {
    with_deadline("batch", || {
        for (policy, expected) in [
            (PanicPolicy::Continue, vec![2, 2, 1]),
            (PanicPolicy::Close, vec![2]),
            (PanicPolicy::CloseWithFinal, vec![2, 1]),
        ] {
            let (bus, heard) = bus_with_hook();
            let topic = bus.topic("panics").unwrap();
            let (executor, delivery) = manual();
            let lens = Log::new();
            let logs = lens.clone();
            let sub = topic
                .subscribe()
                .delivery(delivery)
                .max_batch(2)
                .panic_policy(policy)
                .run_batch(move |batch| {
                    assert!(!batch.iter().any(|m| number(m) == Some(3)), "a batch");
                    logs.push(batch.len());
                })
                .unwrap();
            topic.publish_batch(1..=6_u64).unwrap();
            sub.unsubscribe();
            executor.run_until_idle();
            let last = sub.join_timeout(DEADLINE).unwrap();
            assert_eq!(lens.take(), expected, "{policy:?}");
            assert_eq!(last.delivered + last.discarded, 6);
            assert_eq!(heard.len(), 1);
        }
    });
}

#[test]
fn a_gap_callback_that_closes_it_comes_after_the_batch_before_the_gap() {
    with_deadline("gap", || {
        let (bus, heard) = bus_with_hook();
        let topic = bus.topic("panics").unwrap();
        let (executor, delivery) = manual();
        let log = Log::new();
        let logs = log.clone();
        let sub = topic
            .subscribe()
            .delivery(delivery)
            .capacity(2)
            .overflow(Overflow::DropNewest)
            .panic_policy(PanicPolicy::Close)
            .on_gap(|_: &Gap| panic!("at the gap"))
            .run_batch(move |batch| logs.push(batch.len()))
            .unwrap();
        topic.publish_batch(1..=4_u64).unwrap();
        executor.run_until_idle();
        let last = sub.join_timeout(DEADLINE).unwrap();
        assert_eq!(last.reason, FinalReason::HandlerPanicked);
        assert_eq!(
            log.take(),
            [2],
            "what came before the gap, and nothing more"
        );
        assert_eq!((last.delivered, last.shed, last.discarded), (2, 2, 0));
        assert_eq!(heard.len(), 1);
    });
}

/// Panics as it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_payload_whose_drop_panics() {
    for_each_kind(|setup| {
        let (setup, _) = hooked(setup);
        let topic = setup.topic("panics");
        let log = Log::new();
        let logs = log.clone();
        let sub = setup.run(&topic, move |message| logs.push(message.type_name()));
        let declines = setup.run_with(topic.subscribe().filter(|_| false), |_| {});
        assert_eq!(topic.publish(Bomb).unwrap().offered(), 1);
        topic.publish(1_u64).unwrap();
        declines.end();
        sub.end();
        // To nobody, and to a closed topic.
        assert_eq!(topic.publish(Bomb).unwrap().offered(), 0);
        topic.close();
        drop(topic.publish(Bomb).unwrap_err());
        assert_eq!(log.len(), 3);
    });
}

#[test]
fn a_payload_whose_drop_panics_is_shed() {
    for_each_kind(|setup| {
        let (setup, _) = hooked(setup);
        let topic = setup.topic("panics");
        for overflow in [
            Overflow::DropOldest,
            Overflow::DropNewest,
            Overflow::Fail,
            Overflow::conflate(|_: &Message| 1_u64),
            Overflow::Evict,
        ] {
            let builder = topic.subscribe().capacity(1).overflow(overflow);
            let sub = setup.run_with(builder, |_| {});
            for _ in 0..20 {
                let _ = topic.publish(Bomb);
            }
            sub.end();
        }
    });
}

#[test]
fn a_panic_that_carries_a_bomb_and_captures_that_are_one() {
    for_each_handler_kind(|setup| {
        let (setup, heard) = hooked(setup);
        let topic = setup.topic("panics");
        let bomb = Bomb;
        let captured = DropFlag::new();
        let guard = captured.guard();
        let sub = setup
            .builder(&topic)
            .run(move |message: &Message| {
                let _ = (&bomb, &guard);
                if number(message).is_some() {
                    std::panic::panic_any(Bomb);
                }
            })
            .unwrap();
        topic.publish_batch(1..=3_u64).unwrap();
        sub.unsubscribe();
        let last = sub.join_timeout(DEADLINE).unwrap();
        assert_eq!((last.delivered, captured.count()), (3, 1));
        assert_eq!(heard.len(), 3);
        assert_eq!(heard.take()[0].2, "(a panic without a text)");
    });
}

/// Publishes as it is dropped, which may be while a panic unwinds.
struct LastWords(stasis_bus::Topic);

impl Drop for LastWords {
    fn drop(&mut self) {
        let _ = self.0.publish(3_u64);
    }
}

#[test]
fn a_handler_that_panics_while_its_publisher_unwinds() {
    for_each_handler_kind(|setup| {
        let (setup, heard) = hooked(setup);
        let topic = setup.topic("panics");
        let log = Log::new();
        let sub = setup.builder(&topic).run(touchy(&log)).unwrap();
        let publishes = topic.clone();
        let unwinding = std::thread::spawn(move || {
            let _words = LastWords(publishes);
            panic!("the publisher");
        });
        assert!(unwinding.join().is_err());
        topic.publish(4_u64).unwrap();
        sub.unsubscribe();
        assert_eq!(sub.join_timeout(DEADLINE).unwrap().delivered, 2);
        assert_eq!((log.take(), heard.len()), (vec![Some(4), None], 1));
    });
}

#[test]
fn a_filter_that_panics_lets_nothing_through() {
    for_each_kind(|setup| {
        for total_order in [false, true] {
            let (setup, _) = hooked(setup);
            let topic = match total_order {
                false => setup.topic("panics"),
                true => setup.bus.topic_with_total_order("panics").unwrap(),
            };
            let log = Log::new();
            let logs = log.clone();
            let builder = topic.subscribe().filter(|message| {
                assert!(number(message) != Some(2), "in a filter");
                true
            });
            let sub = setup.run_with(builder, move |message| logs.push(number(message)));
            let receipts: Vec<_> = (1..=3_u64).map(|n| topic.publish(n).unwrap()).collect();
            if !total_order {
                assert_eq!((receipts[1].offered(), receipts[1].filtered()), (0, 1));
            }
            sub.end();
            assert_eq!(log.take(), [Some(1), Some(3), None]);
            assert_eq!((sub.stats().panics, sub.stats().filtered), (1, 1));
        }
    });
}

#[test]
fn a_key_function_that_panics_lets_nothing_through() {
    for_each_kind(|setup| {
        let (setup, _) = hooked(setup);
        let topic = setup.topic("panics");
        let log = Log::new();
        let logs = log.clone();
        let key = Overflow::conflate(|message: &Message| {
            assert!(number(message) != Some(2), "in a key function");
            message.id().get()
        });
        let sub = setup.run_with(topic.subscribe().overflow(key), move |message| {
            logs.push(number(message));
        });
        for n in 1..=3_u64 {
            topic.publish(n).unwrap();
        }
        sub.end();
        assert_eq!(log.take(), [Some(1), Some(3), None]);
        assert_eq!(sub.stats().panics, 1);
    });
}

#[test]
fn hooks_and_callbacks_may_panic_too() {
    for_each_handler_kind(|setup| {
        let bus = Bus::builder()
            .on_panic(|_| panic!("in the hook"))
            .on_discard(|_| std::panic::panic_any(Bomb))
            .build()
            .unwrap();
        let setup = Setup::with_bus(setup.kind, bus);
        let topic = setup.topic("panics");
        let log = Log::new();
        let mut handler = touchy(&log);
        let sub = setup
            .builder(&topic)
            .congestion(1, 0, |_| panic!("in congestion"))
            .panic_policy(PanicPolicy::CloseWithFinal)
            .run(move |message: &Message| handler(message))
            .unwrap();
        topic.publish_batch(1..=9_u64).unwrap();
        sub.unsubscribe();
        sub.join_timeout(DEADLINE).unwrap();
        assert_eq!(log.take(), [Some(1), Some(2), None]);
        // The threads that ran all this are as good as new.
        let next = Log::new();
        let nexts = next.clone();
        let sub = setup.run(&topic, move |message| nexts.push(number(message)));
        topic.publish(5_u64).unwrap();
        sub.end();
        assert_eq!(next.take(), [Some(5), None]);
    });
}

#[test]
fn publish_sync_tells_of_the_panic() {
    for_each_handler_kind(|setup| {
        let (setup, _) = hooked(setup);
        let topic = setup.topic("panics");
        for policy in [PanicPolicy::Continue, PanicPolicy::Close] {
            let log = Log::new();
            let builder = setup.builder(&topic).panic_policy(policy);
            let sub = builder.run(touchy(&log)).unwrap();
            let publish = |n: u64| topic.publish_sync_timeout(&sub, n, DEADLINE);
            assert_eq!(publish(1).unwrap(), Handled::Handled);
            assert_eq!(publish(3).unwrap(), Handled::HandlerPanicked);
            let next = match policy {
                PanicPolicy::Continue => Handled::Handled,
                _ => Handled::Closed,
            };
            assert_eq!(publish(4).unwrap(), next, "{policy:?}");
        }
    });
}
