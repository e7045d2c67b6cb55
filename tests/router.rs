//! Routers: each message goes to one handler, whatever routes come and go meanwhile and however it is run; a
//! change of routes has its place in the order of the messages, and none is lost to it.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{
    DEADLINE, DropFlag, Gate, Log, all_overflows, for_each_handler_kind, wait_until, with_deadline,
};
use stasis_bus::{
    Bus, Format, Formatter, Gap, Handled, Message, MessageType, Overflow, PanicPolicy, Router,
    RouterError, SubscribeError, Topic, WaitError,
};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

static A: MessageType<u64> = MessageType::new("a");
static B: MessageType<u64> = MessageType::new("b");
static C: MessageType<String> = MessageType::new("c");

type Entries = Log<(&'static str, u64)>;

fn topic() -> (Bus, Topic) {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("topic").unwrap();
    (bus, topic)
}

/// A handler for numbers that writes down who it is.
fn note(log: &Entries, who: &'static str) -> impl FnMut(&u64) + Send + 'static {
    let log = log.clone();
    move |n| log.push((who, *n))
}

fn note_message(log: &Entries, who: &'static str) -> impl FnMut(&Message) + Send + 'static {
    let log = log.clone();
    move |message| match message.get::<u64>() {
        Some(n) => log.push((who, *n)),
        None => log.push((message.type_name(), 0)),
    }
}

fn offered(topic: &Topic, message: Message) -> u64 {
    topic.publish(message).unwrap().offered()
}

#[test]
fn each_message_goes_to_the_handler_of_its_type() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("topic");
        let log = Log::new();
        let texts = log.clone();
        let ended = Log::new();
        let ends = ended.clone();
        let router = Router::builder()
            .on(&A, note(&log, "a"))
            .on_message(&B, note_message(&log, "b"))
            .on(&C, move |text: &String| {
                texts.push(("c", text.len() as u64))
            })
            .on_payload(note(&log, "payload"))
            .on_final(move |last| ends.push(last.delivered))
            .subscribe(setup.builder(&topic).name("router"))
            .unwrap();
        assert_eq!(router.subscription().name(), "router");
        assert_eq!(offered(&topic, A.message(1)), 1);
        assert_eq!(offered(&topic, C.message("four".into())), 1);
        assert_eq!(offered(&topic, Message::new(2_u64)), 1);
        assert_eq!(offered(&topic, B.message(3)), 1);
        assert_eq!(offered(&topic, Message::new("nobody's")), 0);
        router.subscription().flush_timeout(DEADLINE).unwrap();
        assert_eq!(log.get(), [("a", 1), ("c", 4), ("payload", 2), ("b", 3)]);
        router.subscription().unsubscribe();
        router.subscription().join_timeout(DEADLINE).unwrap();
        assert_eq!(ended.get(), [4]);
    });
}

#[test]
fn the_default_gets_what_has_no_route() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("topic");
        let log = Log::new();
        let router = Router::builder()
            .on(&A, note(&log, "a"))
            .default(note_message(&log, "default"))
            .subscribe(setup.builder(&topic))
            .unwrap();
        for message in [A.message(1), B.message(2), Message::new(3_u64)] {
            assert_eq!(offered(&topic, message), 1);
        }
        router.subscription().unsubscribe();
        router.subscription().join_timeout(DEADLINE).unwrap();
        let expected = [("a", 1), ("default", 2), ("default", 3), ("final", 0)];
        assert_eq!(log.get(), expected);
    });
}

static TEXT: Format = Format::new("text");
static WITH_TEXT: MessageType<u64> = MessageType::with_formats(
    "with text",
    &[Formatter::new(&TEXT, |n, _| Some(n.to_string()))],
);
static ROUTED_WITH_TEXT: MessageType<u64> = MessageType::with_formats(
    "routed with text",
    &[Formatter::new(&TEXT, |n, _| Some(n.to_string()))],
);

#[test]
fn a_default_by_format_gets_what_has_it_and_no_route() {
    let (_bus, topic) = topic();
    let log = Log::new();
    let router = Router::builder()
        .on(&A, note(&log, "a"))
        .on(&ROUTED_WITH_TEXT, note(&log, "routed"))
        .default_for(&[&TEXT], note_message(&log, "text"))
        .subscribe(topic.subscribe())
        .unwrap();
    let publish = |n| {
        [
            A.message(n),
            B.message(n),
            WITH_TEXT.message(n),
            ROUTED_WITH_TEXT.message(n),
        ]
        .map(|message| offered(&topic, message))
    };
    assert_eq!(publish(1), [1, 0, 1, 1]);
    router.remove(&ROUTED_WITH_TEXT).unwrap().wait().unwrap();
    assert_eq!(publish(2), [1, 0, 1, 1], "it has the format");
    router.add(&B, note(&log, "b")).unwrap();
    assert_eq!(publish(3), [1, 1, 1, 1]);
    router.remove_default().unwrap().wait().unwrap();
    assert_eq!(publish(4), [1, 1, 0, 0]);
    router.set_default(note_message(&log, "all")).unwrap();
    assert_eq!(publish(5), [1, 1, 1, 1]);
    router.subscription().flush().unwrap();
    let expected = [
        [("a", 1), ("text", 1), ("routed", 1)].as_slice(),
        &[("a", 2), ("text", 2), ("text", 2)],
        &[("a", 3), ("b", 3), ("text", 3), ("text", 3)],
        &[("a", 4), ("b", 4)],
        &[("a", 5), ("b", 5), ("all", 5), ("all", 5)],
    ];
    assert_eq!(log.get(), expected.concat());
}

#[test]
fn routes_come_and_go_in_the_order_of_the_messages() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("topic");
        let log = Log::new();
        let router = Router::builder().subscribe(setup.builder(&topic)).unwrap();
        assert_eq!(offered(&topic, A.message(0)), 0, "nothing is routed yet");
        router.add(&A, note(&log, "first")).unwrap();
        assert!(router.has_route(&A) && !router.has_route(&B));
        assert_eq!(offered(&topic, A.message(1)), 1);
        let first = router.remove(&A).unwrap();
        assert_eq!(offered(&topic, A.message(2)), 0, "it is not even queued");
        router
            .add_message(&A, note_message(&log, "second"))
            .unwrap();
        assert_eq!(offered(&topic, A.message(3)), 1);
        let second = router.remove(&A).unwrap();
        router.set_default(note_message(&log, "default")).unwrap();
        assert_eq!(offered(&topic, A.message(4)), 1);
        router.add(&A, note(&log, "third")).unwrap();
        assert_eq!(offered(&topic, A.message(5)), 1);
        let third = router.remove(&A).unwrap();
        assert_eq!(offered(&topic, A.message(6)), 1, "by the default");
        let default = router.remove_default().unwrap();
        assert_eq!(offered(&topic, A.message(7)), 0);
        router.add_payload(note(&log, "payload")).unwrap();
        assert_eq!(offered(&topic, Message::new(8_u64)), 1);
        router.remove_payload::<u64>().unwrap();
        assert_eq!(offered(&topic, Message::new(9_u64)), 0);
        for removed in [first, second, third, default] {
            removed.wait_timeout(DEADLINE).unwrap();
            assert!(removed.is_done());
        }
        router.subscription().flush_timeout(DEADLINE).unwrap();
        let expected = [
            ("first", 1),
            ("second", 3),
            ("default", 4),
            ("third", 5),
            ("default", 6),
            ("payload", 8),
        ];
        assert_eq!(log.get(), expected);
    });
}

#[test]
fn what_was_accepted_before_a_removal_is_handled_by_the_old_route() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("topic");
        let (log, gate, dropped) = (Log::new(), Gate::new(), DropFlag::new());
        let (opens, guard, logs) = (gate.clone(), dropped.guard(), log.clone());
        let router = Router::builder()
            .on(&A, move |n| {
                let _ = &guard;
                if *n == 0 {
                    opens.pass();
                }
                logs.push(("old", *n));
            })
            .subscribe(setup.builder(&topic))
            .unwrap();
        // The handler stands at its gate, which holds the publisher where it runs inline.
        let publisher = topic.clone();
        let held = thread::spawn(move || offered(&publisher, A.message(0)));
        gate.wait_arrived(1);
        for n in 1..=20 {
            assert_eq!(offered(&topic, A.message(n)), 1);
        }
        let removed = router.remove(&A).unwrap();
        router.add(&A, note(&log, "new")).unwrap();
        for n in 21..=25 {
            assert_eq!(offered(&topic, A.message(n)), 1);
        }
        assert!(!removed.is_done() && !dropped.is_dropped());
        assert_eq!(
            removed.wait_timeout(std::time::Duration::from_millis(5)),
            Err(WaitError::TimedOut)
        );
        gate.open();
        removed.wait_timeout(DEADLINE).unwrap();
        assert!(dropped.is_dropped());
        assert_eq!(held.join().unwrap(), 1);
        router.subscription().flush_timeout(DEADLINE).unwrap();
        let old = (0..=20).map(|n| ("old", n));
        let new = (21..=25).map(|n| ("new", n));
        assert_eq!(log.get(), old.chain(new).collect::<Vec<_>>());
    });
}

#[test]
fn policies_that_shed_do_not_shed_changes() {
    for overflow in all_overflows() {
        // Who blocks has its own test; who evicts ends.
        if matches!(overflow, Overflow::Evict | Overflow::Block { .. }) {
            continue;
        }
        let what = format!("{overflow:?}");
        with_deadline(&what, move || {
            let (_bus, topic) = topic();
            let (log, gate) = (Log::new(), Gate::new());
            let (opens, gaps) = (gate.clone(), Log::new());
            let told = gaps.clone();
            let router = Router::builder()
                .on(&B, move |_| opens.pass())
                .on_gap(move |gap: &Gap| told.push(gap.count))
                .subscribe(topic.subscribe().capacity(1).overflow(overflow))
                .unwrap();
            topic.publish(B.message(0)).unwrap();
            gate.wait_arrived(1);
            // Full, and more than that: changes come in all the same.
            let mut shed = 0;
            let mut publish = |n| match topic.publish(A.message(n)) {
                Ok(receipt) => shed += receipt.shed(),
                Err(error) => shed += u64::from(error.to_string().contains("full")),
            };
            router.add(&A, note(&log, "first")).unwrap();
            (1..=4).for_each(&mut publish);
            let first = router.remove(&A).unwrap();
            router.add(&A, note(&log, "second")).unwrap();
            (5..=8).for_each(&mut publish);
            gate.open();
            first.wait_timeout(DEADLINE).unwrap();
            router.subscription().flush_timeout(DEADLINE).unwrap();
            publish(9);
            router.subscription().flush_timeout(DEADLINE).unwrap();
            let got = log.get();
            assert_eq!(got.last(), Some(&("second", 9)));
            for (who, n) in &got {
                assert_eq!(*who, if *n <= 4 { "first" } else { "second" });
            }
            assert!(got.windows(2).all(|pair| pair[0].1 < pair[1].1));
            let conflated = router.subscription().stats().conflated;
            assert_eq!(got.len() as u64 + shed + conflated, 9);
            assert_eq!(gaps.get().iter().sum::<u64>(), shed);
        });
    }
}

#[test]
fn a_filter_is_not_asked_about_changes() {
    let bus = Bus::new().unwrap();
    for topic in [
        bus.topic("relaxed").unwrap(),
        bus.topic_with_total_order("total").unwrap(),
    ] {
        for late in [false, true] {
            let log = Log::new();
            let mut builder = topic.subscribe().filter(|message| message.is(&A));
            if late {
                builder = builder.filter_on_delivery();
            }
            let router = Router::builder().subscribe(builder).unwrap();
            router.add(&A, note(&log, "a")).unwrap();
            router.add(&B, note(&log, "b")).unwrap();
            topic.publish(B.message(1)).unwrap();
            topic.publish(A.message(2)).unwrap();
            router.remove(&A).unwrap().wait().unwrap();
            router.subscription().flush().unwrap();
            assert_eq!(log.get(), [("a", 2)]);
        }
    }
}

#[test]
fn a_route_may_remove_itself_and_add_others() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("topic");
        let log = Log::new();
        let builder = Router::builder();
        let routes = builder.routes();
        let (logs, waits) = (log.clone(), Log::new());
        let waited = waits.clone();
        let router = builder
            .on(&A, move |n| {
                logs.push(("a", *n));
                let removed = routes.remove(&A).unwrap();
                waited.push(removed.wait());
                routes.add(&A, note(&logs, "again")).unwrap();
                routes.add(&B, note(&logs, "b")).unwrap();
            })
            .subscribe(setup.builder(&topic))
            .unwrap();
        topic.publish(A.message(1)).unwrap();
        log.wait_len(1);
        wait_until("added", || router.has_route(&B));
        router.subscription().flush_timeout(DEADLINE).unwrap();
        assert_eq!(offered(&topic, A.message(2)), 1);
        assert_eq!(offered(&topic, B.message(3)), 1);
        router.subscription().flush_timeout(DEADLINE).unwrap();
        assert_eq!(log.get(), [("a", 1), ("again", 2), ("b", 3)]);
        assert_eq!(waits.get(), [Err(WaitError::WouldDeadlock)]);
    });
}

#[test]
fn a_builder_that_asks_for_what_cannot_be_says_so() {
    let bus = Bus::builder().decline("b").build().unwrap();
    let topic = bus.topic("topic").unwrap();
    let nothing = |_: &u64| {};
    let twice = Router::builder().on(&A, nothing).on(&A, nothing);
    let error = twice.subscribe(topic.subscribe()).unwrap_err();
    assert!(matches!(error, RouterError::DuplicateRoute { name: "a" }));
    let twice = Router::builder()
        .default(|_| {})
        .default_for(&[&TEXT], |_| {});
    let error = twice.receiver(topic.subscribe()).unwrap_err();
    assert!(matches!(error, RouterError::DuplicateDefault));
    for with_default in [false, true] {
        let mut builder = Router::builder().on(&B, nothing);
        if with_default {
            builder = builder.default(|_| {});
        }
        let error = builder.subscribe(topic.subscribe()).unwrap_err();
        assert!(matches!(error, RouterError::DeclinedType { name: "b" }));
    }
    let empty = topic.subscribe().capacity(0);
    let error = Router::builder().subscribe(empty).unwrap_err();
    assert!(error.source().is_some());
    assert!(matches!(
        error,
        RouterError::Subscribe(SubscribeError::ZeroCapacity)
    ));
}

#[test]
fn a_change_that_cannot_be_says_so_and_changes_nothing() {
    let bus = Bus::builder().decline("b").build().unwrap();
    let topic = bus.topic("topic").unwrap();
    let nothing = |_: &u64| {};
    let builder = Router::builder();
    let early = builder.routes();
    let error = early.add(&A, nothing).unwrap_err();
    assert!(matches!(error, RouterError::NotSubscribed));
    let error = early.remove_default().unwrap_err();
    assert!(matches!(error, RouterError::NotSubscribed));
    let router = builder
        .on(&A, nothing)
        .subscribe(topic.subscribe())
        .unwrap();
    let dropped = DropFlag::new();
    let guard = dropped.guard();
    let another = move |_: &u64| {
        let _ = &guard;
    };
    let error = early.add(&A, another).unwrap_err();
    assert!(matches!(error, RouterError::DuplicateRoute { name: "a" }));
    assert!(dropped.is_dropped());
    let error = router.remove(&B).unwrap_err();
    assert!(matches!(error, RouterError::NoSuchRoute { name: "b" }));
    let error = router.remove_default().unwrap_err();
    assert!(matches!(error, RouterError::NoDefault));
    // With a default as without.
    for _ in 0..2 {
        let error = router.add(&B, nothing).unwrap_err();
        assert!(matches!(error, RouterError::DeclinedType { name: "b" }));
        assert!(!router.has_route(&B));
        let _ = router.set_default(|_| {});
    }
    let error = router.set_default(|_| {}).unwrap_err();
    assert!(matches!(error, RouterError::DuplicateDefault));
    assert!(router.has_route(&A));
}

#[test]
fn a_router_that_has_ended_takes_no_routes_and_has_none() {
    let (_bus, topic) = topic();
    let router = Router::builder()
        .on(&A, |_| {})
        .default(|_| {})
        .subscribe(topic.subscribe())
        .unwrap();
    router.subscription().unsubscribe();
    router.subscription().join().unwrap();
    let error = router.add(&C, |_| {}).unwrap_err();
    assert!(matches!(error, RouterError::Ended));
    assert!(!router.has_route(&C));
    // It cannot run any more, so there is nothing to wait for.
    assert!(router.remove(&A).unwrap().is_done());
    router.remove_default().unwrap().wait().unwrap();
    let error = router.set_default(|_| {}).unwrap_err();
    assert!(matches!(error, RouterError::Ended));
}

#[test]
fn every_error_has_a_text() {
    let name = "a";
    let texts = [
        RouterError::DuplicateRoute { name },
        RouterError::DuplicateDefault,
        RouterError::NoSuchRoute { name },
        RouterError::NoDefault,
        RouterError::DeclinedType { name },
        RouterError::NotSubscribed,
        RouterError::Ended,
        RouterError::Subscribe(SubscribeError::ShutDown),
    ]
    .map(|error| error.to_string());
    let different: std::collections::BTreeSet<_> = texts.iter().collect();
    assert_eq!(different.len(), texts.len());
    assert!(texts[0].contains("`a`"));
}

#[test]
fn handlers_are_dropped_in_the_end_whoever_ends_it() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("topic");
        let dropped = DropFlag::new();
        let (one, two, three) = (dropped.guard(), dropped.guard(), dropped.guard());
        let builder = Router::builder();
        let routes = builder.routes();
        // Handlers may keep the routes that they are part of.
        let kept = routes.clone();
        let router = builder
            .on(&A, move |_| {
                let _ = (&one, &kept);
            })
            .default(move |_| {
                let _ = &two;
            })
            .subscribe(setup.builder(&topic))
            .unwrap();
        router
            .add(&B, move |_| {
                let _ = &three;
            })
            .unwrap();
        let join = router.subscription().join_async();
        let removed = router.remove(&B).unwrap();
        drop(router);
        common::block_on(join);
        assert_eq!(dropped.count(), 3);
        removed.wait_timeout(DEADLINE).unwrap();
        assert!(matches!(routes.add(&B, |_| {}), Err(RouterError::Ended)));
    });
}

#[test]
fn a_detached_router_goes_on_and_can_be_changed() {
    let (_bus, topic) = topic();
    let log = Log::new();
    let router = Router::builder()
        .on(&A, note(&log, "a"))
        .subscribe(topic.subscribe())
        .unwrap();
    let routes = router.routes().clone();
    assert!(format!("{routes:?}").contains("\"a\""));
    router.detach();
    routes.add(&B, note(&log, "b")).unwrap();
    topic.publish(A.message(1)).unwrap();
    topic.publish(B.message(2)).unwrap();
    log.wait_len(2);
    topic.close();
    wait_until("it has ended", || routes.add_payload(|_: &u8| {}).is_err());
    assert_eq!(log.get(), [("a", 1), ("b", 2)]);
}

#[test]
fn a_handler_that_panics_harms_one_message_and_no_route() {
    let (_bus, topic) = topic();
    let log = Log::new();
    let logs = log.clone();
    let router = Router::builder()
        .on(&A, move |n| {
            assert_ne!(*n, 1, "on purpose");
            logs.push(("a", *n));
        })
        .subscribe(topic.subscribe())
        .unwrap();
    let publish = |n| {
        topic
            .publish_sync(router.subscription(), A.message(n))
            .unwrap()
    };
    assert_eq!(publish(1), Handled::HandlerPanicked);
    assert_eq!(publish(2), Handled::Handled);
    assert_eq!(
        topic
            .publish_sync(router.subscription(), B.message(3))
            .unwrap(),
        Handled::Filtered
    );
    assert_eq!(router.subscription().stats().panics, 1);
    // A drop that panics ends the removal all the same.
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let bomb = Bomb;
    router
        .add(&B, move |_| {
            let _ = &bomb;
        })
        .unwrap();
    router.remove(&B).unwrap().wait_timeout(DEADLINE).unwrap();
    assert_eq!(publish(4), Handled::Handled);
    assert_eq!(router.subscription().stats().panics, 2);

    let closing = Router::builder()
        .on(&A, |_| panic!("on purpose"))
        .subscribe(topic.subscribe().panic_policy(PanicPolicy::Close))
        .unwrap();
    topic
        .publish_sync(closing.subscription(), A.message(5))
        .unwrap();
    closing.subscription().join_timeout(DEADLINE).unwrap();
    closing.remove(&A).unwrap().wait_timeout(DEADLINE).unwrap();
}

#[test]
fn notices_of_the_bus_go_to_their_hooks() {
    let (_bus, topic) = topic();
    let log = Log::new();
    let (changes, ends) = (log.clone(), log.clone());
    let router = Router::builder()
        .on_change(move |change| changes.push(format!("{:?}", change.kind)))
        .on_final(move |last| ends.push(last.reason.to_string()))
        .default(|message| panic!("{} has a hook", message.type_name()))
        .subscribe(topic.subscribe())
        .unwrap();
    let other = topic.subscribe().receiver().unwrap();
    drop(other);
    topic.close();
    router.subscription().join().unwrap();
    let expected = ["Subscribed", "Subscribed", "Unsubscribed", "topic closed"];
    assert_eq!(log.get(), expected);
}

#[test]
fn who_has_a_receiver_dispatches() {
    let (_bus, topic) = topic();
    let log = Log::new();
    let builder = Router::builder();
    let routes = builder.routes();
    let (own, logs) = (routes.clone(), log.clone());
    let (mut receiver, mut dispatcher) = builder
        .on(&A, move |n| {
            logs.push(("a", *n));
            let removed = own.remove(&A).unwrap();
            assert_eq!(removed.wait(), Err(WaitError::WouldDeadlock));
        })
        .receiver(topic.subscribe())
        .unwrap();
    assert!(format!("{dispatcher:?}").contains("Dispatcher"));
    topic.publish(A.message(1)).unwrap();
    routes.add(&B, note(&log, "b")).unwrap();
    topic.publish(B.message(2)).unwrap();
    for message in receiver.try_iter() {
        dispatcher.dispatch(&message);
    }
    assert_eq!(offered(&topic, A.message(3)), 0);
    let removed = dispatcher.routes().remove(&B).unwrap();
    assert_eq!(
        removed.wait_timeout(std::time::Duration::from_millis(5)),
        Err(WaitError::TimedOut)
    );
    for message in receiver.try_iter() {
        dispatcher.dispatch(&message);
        // A message that comes twice changes nothing twice.
        dispatcher.dispatch(&message);
    }
    removed.wait_timeout(DEADLINE).unwrap();
    // What is not dispatched is waited for until the end.
    routes.add(&B, note(&log, "again")).unwrap();
    let removed = routes.remove(&B).unwrap();
    drop(receiver);
    removed.wait_timeout(DEADLINE).unwrap();
    assert_eq!(log.get(), [("a", 1), ("b", 2)]);
}

#[test]
fn a_thousand_routes() {
    const ROUTES: u64 = 1_000;
    let (_bus, topic) = topic();
    let types: Vec<&'static MessageType<u64>> = (0..ROUTES)
        .map(|n| MessageType::leak(format!("type {n}")))
        .collect();
    let sum = Arc::new(AtomicU64::new(0));
    let handler = |n: u64| {
        let sum = Arc::clone(&sum);
        move |m: &u64| {
            let weight = if n == *m { 1 } else { u64::from(u32::MAX) };
            sum.fetch_add(n * weight, Ordering::Relaxed);
        }
    };
    // Most of them before, some of them while it runs.
    let (before, while_it_runs) = types.split_at(ROUTES as usize - 100);
    let mut builder = Router::builder();
    for (n, message_type) in before.iter().enumerate() {
        builder = builder.on(message_type, handler(n as u64));
    }
    let router = builder.subscribe(topic.subscribe()).unwrap();
    for (n, message_type) in while_it_runs.iter().enumerate() {
        router
            .add(message_type, handler(n as u64 + ROUTES - 100))
            .unwrap();
    }
    for (n, message_type) in types.iter().enumerate() {
        assert_eq!(offered(&topic, message_type.message(n as u64)), 1);
    }
    for message_type in types.iter().step_by(10) {
        router.remove(message_type).unwrap();
    }
    let kept: u64 = types
        .iter()
        .zip(0..)
        .map(|(message_type, n)| offered(&topic, message_type.message(n)))
        .sum();
    assert_eq!(kept, ROUTES - ROUTES / 10);
    router.subscription().flush_timeout(DEADLINE).unwrap();
    let all = ROUTES * (ROUTES - 1) / 2;
    let others = (0..ROUTES).filter(|n| n % 10 > 0).sum::<u64>();
    assert_eq!(sum.load(Ordering::Relaxed), all + others);
}
