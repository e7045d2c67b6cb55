//! From the first message to the last: subscribed first (L1), one final message (L2), unsubscribe (L3), join (L4),
//! change notices (L5).

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{
    DEADLINE, DropFlag, Gate, Log, Setup, all_overflows, block_on, for_each_handler_kind,
    for_each_kind, number, with_deadline,
};
use stasis_bus::{
    ChangeKind, Delivery, FinalReason, ManualExecutor, Message, Overflow, PanicPolicy,
    PublishError, SubscriptionChange, WaitError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A message in one word.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Number(u64),
    Came(u64),
    Left(u64),
    Final(FinalReason),
    Gap,
    Other,
}

fn seen(message: &Message) -> Seen {
    if let Some(n) = number(message) {
        return Seen::Number(n);
    }
    if let Some(last) = message.as_final() {
        return Seen::Final(last.reason);
    }
    match message.as_change() {
        Some(change) if change.kind == ChangeKind::Subscribed => Seen::Came(change.subscription),
        Some(change) => Seen::Left(change.subscription),
        None if message.as_gap().is_some() => Seen::Gap,
        None => Seen::Other,
    }
}

#[test]
fn its_own_subscribed_notice_is_the_first_message() {
    for_each_kind(|setup| {
        let topic = setup.topic("first");
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, publishes) = (Arc::clone(&stop), topic.clone());
        let publisher = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // A mailbox of one that fails when it is full may well fail here.
                let _ = publishes.publish(1_u64);
                thread::yield_now();
            }
        });
        for overflow in all_overflows().into_iter().chain(all_overflows()) {
            let log = Log::new();
            let logs = log.clone();
            let builder = topic
                .subscribe()
                .capacity(1)
                .overflow(overflow)
                .filter(|_| true)
                .change_notices();
            let sub = setup.run_with(builder, move |message| logs.push(seen(message)));
            let id = sub.id();
            sub.end();
            let got = log.take();
            assert_eq!(got[0], Seen::Came(id));
            let own = got.iter().filter(|seen| **seen == Seen::Came(id)).count();
            assert_eq!(own, 1);
            assert!(
                !got.contains(&Seen::Left(id)),
                "its end is told by the final"
            );
        }
        stop.store(true, Ordering::Relaxed);
        publisher.join().unwrap();
    });
}

#[test]
fn no_gap_notice_comes_before_it() {
    with_deadline("gap", || {
        for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
            let bus = common::bus_with(1);
            let topic = bus.topic("gap").unwrap();
            let executor = Arc::new(ManualExecutor::new());
            let log = Log::new();
            let logs = log.clone();
            let sub = topic
                .subscribe()
                .capacity(2)
                .overflow(overflow)
                .change_notices()
                .delivery(Delivery::Executor(executor.clone()))
                .run(move |message: &Message| logs.push(seen(message)))
                .unwrap();
            topic.publish_batch(1..=4_u64).unwrap();
            executor.run_until_idle();
            let got = log.take();
            assert_eq!(got[0], Seen::Came(sub.id()));
            assert!(got.contains(&Seen::Gap), "{got:?}");
            drop(sub);
            executor.run_until_idle();
        }
    });
}

#[test]
fn a_handler_may_use_its_handle_as_soon_as_it_runs() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("handle");
        let slot = Arc::new(std::sync::OnceLock::new());
        let uses = Arc::clone(&slot);
        let ids = Log::new();
        let logs = ids.clone();
        let builder = setup.builder(&topic).change_notices();
        let subscription = builder
            .run(move |message: &Message| {
                if message.as_final().is_none() {
                    let handle: Option<&Arc<stasis_bus::Subscription>> = uses.get();
                    logs.push(handle.map(|handle| handle.id()));
                }
            })
            .unwrap();
        let subscription = Arc::new(subscription);
        let _ = slot.set(Arc::clone(&subscription));
        topic.publish(1_u64).unwrap();
        subscription.unsubscribe();
        subscription.join_timeout(DEADLINE).unwrap();
        assert_eq!(ids.get()[1], Some(subscription.id()));
    });
}

#[test]
fn one_final_message_last_for_every_overflow_and_filter() {
    for_each_kind(|setup| {
        for total_order in [false, true] {
            for overflow in all_overflows() {
                if total_order && matches!(overflow, Overflow::Block { .. }) {
                    continue;
                }
                let topic = match total_order {
                    false => setup.topic("relaxed"),
                    true => setup.bus.topic_with_total_order("total").unwrap(),
                };
                let log = Log::new();
                let logs = log.clone();
                let name = format!("{overflow:?}");
                let builder = topic
                    .subscribe()
                    .accept_payload::<u64>()
                    .filter(|message| number(message) != Some(1))
                    .capacity(1)
                    .overflow(overflow);
                let sub = setup.run_with(builder, move |message| logs.push(seen(message)));
                topic.publish(1_u64).unwrap();
                let full = topic.publish(2_u64);
                assert!(full.is_ok() || name == "Fail");
                let last = sub.end();
                let got = log.take();
                let expected = [Seen::Number(2), Seen::Final(last.reason)];
                // With total order the filter acts behind the mailbox, so the first may take the only place.
                if !total_order || ["Spill { limit: None }"].contains(&&*name) {
                    assert_eq!(got, expected, "{name}");
                }
                let finals = got.iter().filter(|seen| matches!(seen, Seen::Final(_)));
                assert_eq!(finals.count(), 1, "{name}: {got:?}");
                assert!(
                    matches!(got.last(), Some(Seen::Final(_))),
                    "{name}: {got:?}"
                );
                assert_eq!(topic.publish(3_u64).unwrap().offered(), 0);
                assert!(log.is_empty(), "{name}: nothing follows the final message");
            }
        }
    });
}

#[test]
fn the_reason_and_the_totals() {
    for_each_kind(|setup| {
        let topic = setup.topic("reasons");
        let log = Log::new();
        let listen = |log: &Log<Seen>| {
            let logs = log.clone();
            setup.run(&topic, move |message| logs.push(seen(message)))
        };
        let first = listen(&log);
        topic.publish_batch(0..5_u64).unwrap();
        let last = first.end();
        assert_eq!(
            (last.reason, last.delivered, last.shed, last.discarded),
            (FinalReason::Unsubscribed, 5, 0, 0)
        );
        let second = listen(&log);
        topic.publish(6_u64).unwrap();
        topic.close();
        let last = second.join();
        assert_eq!((last.reason, last.delivered), (FinalReason::TopicClosed, 1));
        // The first reason stays.
        second.unsubscribe();
        assert_eq!(second.join(), last);
        assert_eq!(log.take().last(), Some(&Seen::Final(last.reason)));
    });
}

#[test]
fn eviction_is_a_reason_too() {
    for_each_kind(|setup| {
        let topic = setup.topic("evict");
        let (log, gate) = (Log::new(), Gate::new());
        let (logs, stops) = (log.clone(), gate.clone());
        let builder = topic.subscribe().capacity(2).overflow(Overflow::Evict);
        let sub = setup.run_with(builder, move |message| {
            if number(message) == Some(0) {
                stops.pass();
            }
            logs.push(seen(message));
        });
        let first = topic.clone();
        let publisher = thread::spawn(move || first.publish(0_u64).unwrap());
        gate.wait_arrived(1);
        let mut closed = 0;
        for n in 1..6_u64 {
            closed += topic.publish(n).unwrap().closed();
        }
        gate.open();
        publisher.join().unwrap();
        let last = sub.join();
        assert_eq!(last.reason, FinalReason::Evicted);
        assert_eq!(
            closed, 1,
            "the one that evicted it; then it is off the list"
        );
        let expected = [
            Seen::Number(0),
            Seen::Number(1),
            Seen::Number(2),
            Seen::Final(FinalReason::Evicted),
        ];
        assert_eq!(log.take(), expected);
    });
}

#[test]
fn a_final_message_cannot_be_forged() {
    for_each_kind(|setup| {
        let topic = setup.topic("forged");
        let log = Log::new();
        let logs = log.clone();
        let first = setup.run(&topic, move |message| logs.push(message.clone()));
        topic.publish(1_u64).unwrap();
        let last = first.end();
        let genuine = log.take().pop().unwrap();
        let second = setup.run(&topic, {
            let log = log.clone();
            move |message| log.push(message.clone())
        });
        // The very message of another subscription, and its payload as a message.
        let refused = topic.publish(genuine).unwrap_err();
        assert!(matches!(refused, PublishError::ControlType(_)));
        topic.publish(last).unwrap();
        topic.publish(2_u64).unwrap();
        second.end();
        let got = log.take();
        assert_eq!(got.len(), 3);
        assert!(got[0].as_final().is_none() && got[0].get::<stasis_bus::FinalMessage>().is_some());
        assert_eq!(number(&got[1]), Some(2));
        assert!(got[2].as_final().is_some());
    });
}

#[test]
fn accepted_before_the_close_is_delivered_and_nothing_after() {
    for_each_kind(|setup| {
        for round in 0..8_u64 {
            let topic = setup.topic("close");
            let log = Log::new();
            let logs = log.clone();
            let sub = setup.run_with(topic.subscribe().capacity(4), move |message| {
                logs.push(seen(message));
            });
            let publishes = topic.clone();
            let publisher = thread::spawn(move || {
                let mut offered = Vec::new();
                for n in 0..200_u64 {
                    if publishes.publish(n).unwrap().offered() == 1 {
                        offered.push(n);
                    }
                    if n % 16 == 0 {
                        thread::yield_now();
                    }
                }
                offered
            });
            for _ in 0..round * 4 {
                thread::yield_now();
            }
            sub.unsubscribe();
            let receipt = topic.publish(1000_u64).unwrap();
            assert_eq!(
                (receipt.offered(), receipt.closed()),
                (0, 0),
                "off the list"
            );
            assert!(!sub.is_subscribed());
            let last = sub.join();
            let offered = publisher.join().unwrap();
            let mut expected: Vec<_> = offered.into_iter().map(Seen::Number).collect();
            assert_eq!(last.delivered, expected.len() as u64);
            expected.push(Seen::Final(FinalReason::Unsubscribed));
            assert_eq!(log.take(), expected);
        }
    });
}

#[test]
fn unsubscribe_from_several_threads_at_once() {
    for_each_kind(|setup| {
        for _ in 0..20 {
            let topic = setup.topic("twice");
            let log = Log::new();
            let logs = log.clone();
            let sub = setup.run(&topic, move |message| logs.push(seen(message)));
            topic.publish(1_u64).unwrap();
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        sub.unsubscribe();
                        // Whoever returns: it is over.
                        assert_eq!(topic.publish(2_u64).unwrap().offered(), 0);
                    });
                }
                scope.spawn(|| topic.publish(1_u64).map(|_| ()).unwrap());
            });
            sub.join();
            sub.unsubscribe();
            let got = log.take();
            assert!(!got.contains(&Seen::Number(2)));
            let finals = got.iter().filter(|seen| matches!(seen, Seen::Final(_)));
            assert_eq!(finals.count(), 1);
        }
    });
}

#[test]
fn join_returns_after_the_handler_and_its_captures_are_gone() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("join");
        for _ in 0..20 {
            let (handler, on_final, ran) = (DropFlag::new(), DropFlag::new(), DropFlag::new());
            let (guard, final_guard, last_run) = (handler.guard(), on_final.guard(), ran.clone());
            let sub = setup
                .builder(&topic)
                .on_final(move |_| drop(final_guard))
                .run(move |message: &Message| {
                    let _ = &guard;
                    if message.as_final().is_some() {
                        thread::yield_now();
                        drop(last_run.guard());
                    }
                })
                .unwrap();
            topic.publish(1_u64).unwrap();
            sub.unsubscribe();
            sub.join_timeout(DEADLINE).unwrap();
            assert!(sub.is_done());
            assert_eq!((ran.count(), handler.count(), on_final.count()), (1, 1, 1));
        }
    });
}

#[test]
fn any_number_may_join() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("joiners");
        let sub = setup.builder(&topic).run(|_: &Message| {}).unwrap();
        assert_eq!(
            sub.join_timeout(Duration::from_millis(1)),
            Err(WaitError::TimedOut)
        );
        let async_join = sub.join_async();
        drop(sub.join_async());
        let gate = Gate::new();
        thread::scope(|scope| {
            let joiners: Vec<_> = (0..6)
                .map(|n| {
                    let (sub, gate) = (&sub, &gate);
                    scope.spawn(move || {
                        gate.pass();
                        match n % 3 {
                            0 => sub.join().unwrap(),
                            1 => sub.join_timeout(DEADLINE).unwrap(),
                            _ => block_on(sub.join_async()),
                        }
                    })
                })
                .collect();
            gate.wait_arrived(6);
            gate.open();
            thread::yield_now();
            topic.publish(1_u64).unwrap();
            sub.unsubscribe();
            let finals: Vec<_> = joiners.into_iter().map(|j| j.join().unwrap()).collect();
            assert!(finals.iter().all(|last| last.delivered == 1));
        });
        assert_eq!(block_on(async_join).delivered, 1);
        assert_eq!(sub.join().unwrap().delivered, 1, "and again");
        assert_eq!(sub.flush(), Err(WaitError::Closed));
    });
}

#[test]
fn a_panic_in_the_final_run_still_completes_it() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("panics");
        for policy in [
            PanicPolicy::Continue,
            PanicPolicy::Close,
            PanicPolicy::CloseWithFinal,
        ] {
            let captured = DropFlag::new();
            let guard = captured.guard();
            let sub = setup
                .builder(&topic)
                .panic_policy(policy)
                .on_final(|_| panic!("in on_final"))
                .run(move |message: &Message| {
                    let _ = &guard;
                    assert!(message.as_final().is_none(), "in the final run");
                })
                .unwrap();
            topic.publish(1_u64).unwrap();
            sub.unsubscribe();
            let last = sub.join_timeout(DEADLINE).unwrap();
            assert_eq!(last.reason, FinalReason::Unsubscribed);
            assert_eq!((last.delivered, captured.count()), (1, 1));
            assert_eq!(sub.stats().panics, 2, "{policy:?}");
        }
    });
}

#[test]
fn dropping_the_handle_unsubscribes_and_detaching_does_not() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("handles");
        let log = Log::new();
        let (dropped, detached) = (log.clone(), log.clone());
        let first = setup
            .builder(&topic)
            .run(move |message: &Message| dropped.push((1, seen(message))))
            .unwrap();
        setup
            .builder(&topic)
            .run(move |message: &Message| detached.push((2, seen(message))))
            .unwrap()
            .detach();
        topic.publish(1_u64).unwrap();
        drop(first);
        assert_eq!(topic.publish(2_u64).unwrap().offered(), 1);
        log.wait_len(4);
        // The topic lives on with it.
        drop(topic);
        let topic = setup.bus.get_topic("handles").expect("kept");
        topic.close();
        log.wait_len(5);
        let mut got = log.get();
        got.sort_by_key(|(who, _)| *who);
        let expected = [
            (1, Seen::Number(1)),
            (1, Seen::Final(FinalReason::Unsubscribed)),
            (2, Seen::Number(1)),
            (2, Seen::Number(2)),
            (2, Seen::Final(FinalReason::TopicClosed)),
        ];
        assert_eq!(got, expected);
    });
}

#[test]
fn changes_are_heard_downstream_and_not_upstream() {
    for_each_kind(|setup| {
        let (up, middle, down) = (
            setup.topic("up"),
            setup.topic("middle"),
            setup.topic("down"),
        );
        let _forwards = [
            up.forward_to(&middle).unwrap(),
            middle.forward_to(&down).unwrap(),
        ];
        let logs: Vec<Log<Seen>> = (0..4).map(|_| Log::new()).collect();
        let listen = |topic: &stasis_bus::Topic, log: &Log<Seen>, notices: bool| {
            let log = log.clone();
            let builder = topic.subscribe();
            let builder = if notices {
                builder.change_notices()
            } else {
                builder
            };
            setup.run_with(builder, move |message| log.push(seen(message)))
        };
        let at_up = listen(&up, &logs[0], true);
        let at_down = listen(&down, &logs[1], true);
        let deaf = listen(&down, &logs[2], false);
        let newcomer = listen(&middle, &logs[3], true);
        let id = newcomer.id();
        newcomer.end();
        at_up.end();
        at_down.flush();
        assert_eq!(
            logs[3].get(),
            [Seen::Came(id), Seen::Final(FinalReason::Unsubscribed)]
        );
        assert_eq!(
            logs[0].get(),
            [
                Seen::Came(at_up.id()),
                Seen::Final(FinalReason::Unsubscribed)
            ]
        );
        let expected = [
            Seen::Came(at_down.id()),
            Seen::Came(deaf.id()),
            Seen::Came(id),
            Seen::Left(id),
            Seen::Left(at_up.id()),
        ];
        assert_eq!(logs[1].get(), expected);
        deaf.end();
        assert_eq!(logs[2].get(), [Seen::Final(FinalReason::Unsubscribed)]);
    });
}

#[test]
fn a_change_notice_says_who_and_where() {
    with_deadline("notice", || {
        let setup = Setup::new(common::Kind::Inline);
        let (topic, all) = (setup.topic("where"), setup.topic("all"));
        let _forward = topic.forward_to(&all).unwrap();
        let log: Log<SubscriptionChange> = Log::new();
        let logs = log.clone();
        let _listener = setup.run_with(all.subscribe().change_notices(), move |message| {
            logs.extend_change(message);
        });
        let sub = setup.run_with(topic.subscribe().name("who"), |_| {});
        let id = sub.id();
        sub.end();
        let got = log.take();
        for (change, kind) in got[1..]
            .iter()
            .zip([ChangeKind::Subscribed, ChangeKind::Unsubscribed])
        {
            assert_eq!((&*change.name, &*change.topic), ("who", "where"));
            assert_eq!((change.subscription, change.kind), (id, kind));
        }
        assert_eq!(got.len(), 3);
        // A genuine notice cannot be published again.
        let typed = Log::new();
        let logs = typed.clone();
        let general = setup.run_with(all.subscribe().change_notices(), move |message| {
            logs.push(message.clone());
        });
        let notice = typed.take().remove(0);
        assert!(matches!(
            all.publish(notice),
            Err(PublishError::ControlType(_))
        ));
        general.end();
    });
}

trait ExtendChange {
    fn extend_change(&self, message: &Message);
}

impl ExtendChange for Log<SubscriptionChange> {
    fn extend_change(&self, message: &Message) {
        if let Some(change) = message.as_change() {
            self.push(change.clone());
        }
    }
}
