//! Types that are changed while a subscription runs: each message is offered once or not at all, also to whoever
//! changes them meanwhile, and nothing of a type comes once to decline it has returned.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{
    DEADLINE, Gate, Kind, Log, Setup, all_overflows, for_each_kind, number, wait_until,
    with_deadline,
};
use stasis_bus::{AcceptError, Bus, Handled, Message, MessageType, Overflow, Receiver, Topic};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

static A: MessageType<u64> = MessageType::new("a");
static B: MessageType<u64> = MessageType::new("b");
static C: MessageType<u64> = MessageType::new("c");

fn topic() -> (Bus, Topic) {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("topic").unwrap();
    (bus, topic)
}

/// Publishes one of each; gives how many were offered.
fn one_of_each(topic: &Topic, n: u64) -> [u64; 3] {
    [&A, &B, &C].map(|kind| topic.publish(kind.message(n)).unwrap().offered())
}

fn numbers(receiver: &mut Receiver) -> Vec<(&'static str, u64)> {
    receiver
        .try_iter()
        .map(|message| (message.type_name(), number(&message).unwrap_or_default()))
        .collect()
}

#[test]
fn it_begins_with_nothing_and_is_there_all_the_same() {
    let (_bus, topic) = topic();
    let mut receiver = topic.subscribe().changeable().receiver().unwrap();
    assert_eq!(one_of_each(&topic, 1), [0, 0, 0]);
    assert!(receiver.subscription().is_subscribed());
    assert!(!topic.has_subscribers_for(&A));
    let stats = topic.stats();
    assert_eq!(stats.subscriptions.len(), 1);
    assert_eq!(topic.publish(A.message(1)).unwrap().filtered(), 1);
    topic.close();
    assert!(receiver.recv().unwrap().as_final().is_some());
}

#[test]
fn types_come_and_go_for_every_kind() {
    for_each_kind(|setup| {
        let topic = setup.topic("topic");
        let log = Log::new();
        let logs = log.clone();
        let sub = setup.run_with(topic.subscribe().changeable(), move |message| {
            if let Some(n) = number(message) {
                logs.push((message.type_name(), n));
            }
        });
        assert_eq!(one_of_each(&topic, 1), [0, 0, 0]);
        sub.with(|sub| sub.accept(&B)).unwrap();
        assert_eq!(one_of_each(&topic, 2), [0, 1, 0]);
        sub.with(|sub| sub.accept(&A)).unwrap();
        sub.with(|sub| sub.accept(&A)).unwrap();
        assert_eq!(one_of_each(&topic, 3), [1, 1, 0]);
        sub.with(|sub| sub.decline(&B)).unwrap();
        sub.with(|sub| sub.decline(&B)).unwrap();
        assert_eq!(one_of_each(&topic, 4), [1, 0, 0]);
        sub.with(|sub| sub.accept_all()).unwrap();
        assert_eq!(one_of_each(&topic, 5), [1, 1, 1]);
        sub.with(|sub| sub.accept_only([C.info(), A.info(), C.info()]))
            .unwrap();
        assert_eq!(one_of_each(&topic, 6), [1, 0, 1]);
        sub.with(|sub| sub.accept_only([])).unwrap();
        assert_eq!(one_of_each(&topic, 7), [0, 0, 0]);
        assert!(sub.is_subscribed());
        let last = sub.end();
        assert_eq!(last.delivered, 9);
        let expected = [
            ("b", 2),
            ("a", 3),
            ("b", 3),
            ("a", 4),
            ("a", 5),
            ("b", 5),
            ("c", 5),
            ("a", 6),
            ("c", 6),
        ];
        assert_eq!(log.get(), expected);
    });
}

#[test]
fn what_the_builder_accepts_is_what_it_begins_with() {
    let (_bus, topic) = topic();
    let begin = topic.subscribe().accept(&A).changeable();
    let mut some = begin.receiver().unwrap();
    let mut all = topic
        .subscribe()
        .accept(&A)
        .accept_all()
        .changeable()
        .receiver()
        .unwrap();
    assert_eq!(one_of_each(&topic, 1), [2, 1, 1]);
    some.subscription().accept(&C).unwrap();
    all.subscription().accept_only([A.info()]).unwrap();
    assert_eq!(one_of_each(&topic, 2), [2, 0, 1]);
    assert_eq!(numbers(&mut some), [("a", 1), ("a", 2), ("c", 2)]);
    assert_eq!(numbers(&mut all), [("a", 1), ("b", 1), ("c", 1), ("a", 2)]);
    let mut plain = topic
        .subscribe()
        .accept(&A)
        .accept_all()
        .receiver()
        .unwrap();
    one_of_each(&topic, 3);
    assert_eq!(numbers(&mut plain), [("a", 3), ("b", 3), ("c", 3)]);
}

#[test]
fn what_cannot_be_changed_says_why() {
    let bus = Bus::builder().decline("b").build().unwrap();
    let topic = bus.topic("topic").unwrap();
    let fixed = topic.subscribe().accept(&A).receiver().unwrap();
    let fixed = fixed.subscription();
    for result in [
        fixed.accept(&A),
        fixed.decline(&A),
        fixed.accept_all(),
        fixed.accept_only([]),
    ] {
        assert_eq!(result, Err(AcceptError::NotChangeable));
    }
    let receiver = topic.subscribe().changeable().receiver().unwrap();
    let changeable = receiver.subscription();
    let declined = Err(AcceptError::DeclinedType { name: "b" });
    assert_eq!(changeable.accept(&B), declined);
    assert_eq!(changeable.accept_only([A.info(), B.info()]), declined);
    assert_eq!(changeable.decline(&B), Ok(()));
    assert_eq!(
        topic.publish(C.message(1)).unwrap().offered(),
        0,
        "as it was"
    );
    changeable.accept_all().unwrap();
    assert_eq!(changeable.accept(&A), Ok(()), "it does already");
    assert_eq!(changeable.decline(&A), Err(AcceptError::AcceptsAll));
    changeable.unsubscribe();
    for result in [
        changeable.accept(&A),
        changeable.accept_all(),
        changeable.accept_only([A.info()]),
    ] {
        assert_eq!(result, Err(AcceptError::Ended));
    }
    for error in [
        AcceptError::NotChangeable,
        AcceptError::DeclinedType { name: "b" },
        AcceptError::AcceptsAll,
        AcceptError::Ended,
    ] {
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn change_notices_come_whatever_is_accepted() {
    let (_bus, topic) = topic();
    let mut receiver = topic
        .subscribe()
        .changeable()
        .change_notices()
        .receiver()
        .unwrap();
    let notices = |receiver: &mut Receiver| {
        receiver
            .try_iter()
            .filter_map(|it| it.as_change().cloned())
            .count()
    };
    assert_eq!(notices(&mut receiver), 1);
    drop(topic.subscribe().receiver().unwrap());
    assert_eq!(notices(&mut receiver), 2);
    receiver.subscription().accept_all().unwrap();
    drop(topic.subscribe().receiver().unwrap());
    assert_eq!(notices(&mut receiver), 2);
    receiver.subscription().accept_only([B.info()]).unwrap();
    drop(topic.subscribe().receiver().unwrap());
    assert_eq!(one_of_each(&topic, 1), [0, 1, 0]);
    assert_eq!(notices(&mut receiver), 2);
}

#[test]
fn with_a_filter_and_with_a_key_and_in_total_order() {
    let bus = Bus::new().unwrap();
    let relaxed = bus.topic("relaxed").unwrap();
    let total = bus.topic_with_total_order("total").unwrap();
    for topic in [&relaxed, &total] {
        for overflow in [
            Overflow::default(),
            Overflow::conflate(|message: &Message| message.id().get()),
        ] {
            let mut receiver = topic
                .subscribe()
                .changeable()
                .overflow(overflow)
                .filter(|message| number(message) != Some(13))
                .receiver()
                .unwrap();
            assert!(!topic.has_subscribers_for(&A));
            assert_eq!(one_of_each(topic, 1), [0, 0, 0]);
            receiver.subscription().accept(&A).unwrap();
            assert!(topic.has_subscribers_for(&A) && !topic.has_subscribers_for(&B));
            assert_eq!(one_of_each(topic, 2), [1, 0, 0]);
            one_of_each(topic, 13);
            receiver.subscription().accept(&B).unwrap();
            receiver.subscription().decline(&A).unwrap();
            assert_eq!(one_of_each(topic, 3), [0, 1, 0]);
            assert!(receiver.subscription().is_subscribed());
            assert_eq!(numbers(&mut receiver), [("a", 2), ("b", 3)]);
        }
    }
}

#[test]
fn a_type_that_is_declined_while_its_filter_runs_is_not_offered() {
    let (_bus, topic) = topic();
    let (inside, go_on) = (Gate::new(), Gate::new());
    let gates = (inside.clone(), go_on.clone());
    let filter = move |_: &Message| {
        gates.0.pass();
        gates.1.pass();
        true
    };
    inside.open();
    let mut receiver = topic
        .subscribe()
        .accept(&A)
        .changeable()
        .filter(filter)
        .receiver()
        .unwrap();
    let publisher = topic.clone();
    let publish = thread::spawn(move || publisher.publish(A.message(1)).unwrap());
    inside.wait_arrived(1);
    receiver.subscription().decline(&A).unwrap();
    go_on.open();
    let receipt = publish.join().unwrap();
    assert_eq!((receipt.offered(), receipt.filtered()), (0, 1));
    assert_eq!(receiver.try_iter().count(), 0);
}

#[test]
fn who_waits_for_room_with_a_declined_type_gives_up() {
    with_deadline("blocked", || {
        let (_bus, topic) = topic();
        let mut receiver = topic
            .subscribe()
            .changeable()
            .accept(&A)
            .accept(&B)
            .capacity(1)
            .overflow(Overflow::Block { timeout: None })
            .receiver()
            .unwrap();
        topic.publish(B.message(0)).unwrap();
        let publisher = topic.clone();
        let plain = thread::spawn(move || publisher.publish(A.message(1)).unwrap());
        let publisher = topic.clone();
        let future = thread::spawn(move || common::block_on(publisher.publish_async(A.message(2))));
        wait_until("both wait", || {
            receiver.subscription().stats().depth == 1 && topic.stats().published == 3
        });
        thread::sleep(std::time::Duration::from_millis(20));
        receiver.subscription().decline(&A).unwrap();
        assert_eq!(plain.join().unwrap().filtered(), 1);
        assert_eq!(future.join().unwrap().unwrap().filtered(), 1);
        assert_eq!(numbers(&mut receiver), [("b", 0)]);
    });
}

#[test]
fn publish_sync_of_a_type_that_is_not_accepted_is_filtered() {
    let (_bus, topic) = topic();
    let subscription = topic
        .subscribe()
        .changeable()
        .run(|_: &Message| {})
        .unwrap();
    let publish = |n| topic.publish_sync(&subscription, A.message(n)).unwrap();
    assert_eq!(publish(1), Handled::Filtered);
    subscription.accept(&A).unwrap();
    assert_eq!(publish(2), Handled::Handled);
    subscription.decline(&A).unwrap();
    assert_eq!(publish(3), Handled::Filtered);
}

#[test]
fn its_own_handler_may_change_it() {
    common::for_each_handler_kind(|setup| {
        let topic = setup.topic("topic");
        let me: Arc<std::sync::OnceLock<stasis_bus::Subscription>> = Arc::default();
        let inner = Arc::clone(&me);
        let log = Log::new();
        let logs = log.clone();
        let sub = setup
            .builder(&topic)
            .changeable()
            .accept(&A)
            .run(move |message: &Message| {
                let me = inner.get().expect("set before the first message");
                if message.is(&A) {
                    me.accept(&B).unwrap();
                    me.decline(&A).unwrap();
                }
                logs.push(message.type_name());
            })
            .unwrap();
        me.set(sub).unwrap();
        topic.publish(A.message(1)).unwrap();
        log.wait_len(1);
        assert_eq!(one_of_each(&topic, 2), [0, 1, 0]);
        log.wait_len(2);
        assert_eq!(log.get(), ["a", "b"]);
        me.get().unwrap().unsubscribe();
    });
}

/// One thread publishes numbered messages, by a forward or directly; another one changes what is accepted. What
/// is offered comes once and in order, and nothing comes after decline has returned.
fn race(setup: &Setup, overflow: Overflow, filtered: bool) {
    const ROUNDS: u64 = 60;
    let topic = setup.topic("to");
    let from = setup.topic("from");
    let _forward = from.forward_to(&topic).unwrap();
    let log = Log::new();
    let logs = log.clone();
    let is_accepted = Arc::new(AtomicBool::new(false));
    let mut builder = topic
        .subscribe()
        .changeable()
        .overflow(overflow)
        .capacity(1 << 16);
    if filtered {
        builder = builder.filter(|_| true);
    }
    // B is on the same lists at all times, so that lists with one place hint change.
    let sub = setup.run_with(builder.accept(&B), move |message| {
        if let Some(n) = number(message) {
            logs.push(n);
        }
    });
    let stop = Arc::new(AtomicBool::new(false));
    let offered = Arc::new(AtomicU64::new(0));
    let publisher = {
        let (stop, offered) = (Arc::clone(&stop), Arc::clone(&offered));
        let (from, topic) = (from.clone(), topic.clone());
        thread::spawn(move || {
            let mut n = 0;
            while !stop.load(Ordering::Acquire) {
                n += 1;
                let to = if n % 2 == 0 { &from } else { &topic };
                let receipt = to.publish(A.message(n)).unwrap();
                offered.fetch_add(receipt.offered(), Ordering::Relaxed);
                assert!(receipt.offered() <= 1);
                assert_eq!(receipt.shed(), 0);
                if n % 16 == 0 {
                    thread::yield_now();
                }
            }
        })
    };
    for round in 0..ROUNDS {
        sub.with(|sub| match round % 3 {
            0 => sub.accept(&A).unwrap(),
            1 => sub.accept_all().unwrap(),
            _ => sub.accept_only([A.info()]).unwrap(),
        });
        is_accepted.store(true, Ordering::Release);
        sub.with(|sub| sub.accept_only([A.info(), C.info()]))
            .unwrap();
        sub.with(|sub| sub.decline(&A)).unwrap();
        // Nothing comes in from here on, although the other one goes on publishing.
        let before = sub.with(|sub| sub.stats().offered);
        thread::yield_now();
        assert_eq!(sub.with(|sub| sub.stats().offered), before);
    }
    stop.store(true, Ordering::Release);
    publisher.join().unwrap();
    sub.flush();
    let got = log.get();
    assert!(
        got.windows(2).all(|pair| pair[0] < pair[1]),
        "in order, and none twice"
    );
    assert_eq!(got.len() as u64, offered.load(Ordering::Relaxed));
}

#[test]
fn each_is_offered_once_or_not_at_all_while_types_change() {
    for_each_kind(|setup| race(setup, Overflow::Spill { limit: None }, false));
}

#[test]
fn the_same_with_every_overflow_policy_and_a_filter() {
    for filtered in [false, true] {
        for overflow in all_overflows() {
            let what = format!("{overflow:?}, filtered: {filtered}");
            with_deadline(&what, move || {
                race(&Setup::new(Kind::PoolOfThree), overflow, filtered);
            });
        }
    }
}

#[test]
fn many_change_at_once_and_all_are_found() {
    const THREADS: usize = 4;
    const EACH: usize = 8;
    let (_bus, topic) = topic();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let topic = &topic;
            scope.spawn(move || {
                let mut receivers: Vec<_> = (0..EACH)
                    .map(|_| topic.subscribe().changeable().receiver().unwrap())
                    .collect();
                for round in 0..60 {
                    for (index, receiver) in receivers.iter().enumerate() {
                        let sub = receiver.subscription();
                        match (round + index + thread) % 5 {
                            0 => sub.accept(&A).unwrap(),
                            1 => sub.accept(&B).unwrap(),
                            2 => sub.accept_all().unwrap(),
                            3 => sub.accept_only([B.info(), C.info()]).unwrap(),
                            _ => sub.accept_only([]).unwrap(),
                        }
                        assert!(sub.is_subscribed());
                    }
                }
                for receiver in &receivers {
                    receiver.subscription().accept_only([C.info()]).unwrap();
                }
                // Half of them end here.
                receivers.truncate(EACH / 2);
                for receiver in receivers {
                    let mut receiver = receiver;
                    topic.publish(C.message(7)).unwrap();
                    let got = receiver.iter().find(|message| number(message) == Some(7));
                    assert!(got.is_some());
                    receiver.subscription().unsubscribe();
                    assert!(receiver.iter().last().unwrap().as_final().is_some());
                }
            });
        }
    });
    assert_eq!(topic.stats().subscriptions.len(), 0);
    assert_eq!(one_of_each(&topic, 1), [0, 0, 0]);
    let _ = DEADLINE;
}
