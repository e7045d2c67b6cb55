//! Routers whose routes change while others publish: exactly one handler a message, in order, and none lost.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{
    DEADLINE, DropFlag, Gate, Log, Setup, for_each_handler_kind, wait_until, with_deadline,
};
use stasis_bus::{Bus, Message, MessageType, Overflow, Router, Routes, Topic};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

static A: MessageType<u64> = MessageType::new("a");
static B: MessageType<u64> = MessageType::new("b");

fn topic() -> (Bus, Topic) {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("topic").unwrap();
    (bus, topic)
}

/// A handler for numbers that writes down who it is.
fn note(log: &Log<(&'static str, u64)>, who: &'static str) -> impl FnMut(&u64) + Send + 'static {
    let log = log.clone();
    move |n| log.push((who, *n))
}

fn offered(topic: &Topic, message: Message) -> u64 {
    topic.publish(message).unwrap().offered()
}

type Handled = Log<(u64, u64)>;

/// Publishes numbered messages until it is stopped. Gives those that were offered.
fn publish(topic: &Topic, publisher: u64, stop: &AtomicBool) -> Vec<u64> {
    let (mut n, mut offers) = (0, Vec::new());
    while !stop.load(Ordering::Acquire) {
        n += 1;
        let tag = publisher << 32 | n;
        if offered(topic, A.message(tag)) == 1 {
            offers.push(tag);
        }
        if n % 8 == 0 {
            thread::yield_now();
        }
    }
    offers
}

/// Adds and removes a route for one type again and again, while it is published. Each handler has a number,
/// and writes down what it gets.
fn change(routes: &Routes, log: &Handled) {
    const ROUNDS: u64 = 60;
    let mut removed = Vec::new();
    for round in 1..=ROUNDS {
        let log = log.clone();
        routes.add(&A, move |n| log.push((round, *n))).unwrap();
        thread::yield_now();
        removed.push(routes.remove(&A).unwrap());
        if round % 7 == 0 {
            routes.remove(&A).unwrap_err();
        }
    }
    for handler in removed {
        handler.wait_timeout(DEADLINE).unwrap();
    }
}

fn change_under_fire(setup: &Setup, with_default: bool) {
    let topic = setup.topic("topic");
    let log = Handled::new();
    let mut builder = Router::builder();
    if with_default {
        let defaults = log.clone();
        builder = builder.default(move |message| {
            if let Some(n) = message.get::<u64>() {
                defaults.push((0, *n));
            }
        });
    }
    let router = builder.subscribe(setup.builder(&topic)).unwrap();
    let stop = AtomicBool::new(false);
    let mut offers: Vec<u64> = thread::scope(|scope| {
        let publishers = [0, 1].map(|id| {
            scope.spawn({
                let (topic, stop) = (&topic, &stop);
                move || publish(topic, id, stop)
            })
        });
        // Another route of the same router changes, too.
        let other = scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                router.add(&B, |_| {}).unwrap();
                let removed = router.remove(&B).unwrap();
                removed.wait_timeout(DEADLINE).unwrap();
            }
        });
        change(&router, &log);
        stop.store(true, Ordering::Release);
        other.join().unwrap();
        let offers = publishers.map(|publisher| publisher.join().unwrap());
        offers.concat()
    });
    router.subscription().flush_timeout(DEADLINE).unwrap();
    let got = log.get();
    for publisher in 0..2 {
        let tags = got.iter().map(|(_, tag)| *tag);
        let tags: Vec<u64> = tags.filter(|tag| tag >> 32 == publisher).collect();
        assert!(tags.is_sorted(), "in order");
    }
    let routes = got.iter().map(|(who, _)| *who).filter(|who| *who > 0);
    assert!(routes.is_sorted(), "one route after the other");
    let mut handled: Vec<u64> = got.iter().map(|(_, tag)| *tag).collect();
    handled.sort_unstable();
    offers.sort_unstable();
    assert_eq!(handled, offers, "what was offered was handled, once");
}

#[test]
fn changes_under_fire_lose_nothing() {
    for_each_handler_kind(|setup| {
        change_under_fire(setup, false);
        change_under_fire(setup, true);
    });
}

#[test]
fn many_change_the_same_routes() {
    with_deadline("many", || {
        let (_bus, topic) = topic();
        let router = Router::builder().subscribe(topic.subscribe()).unwrap();
        let dropped = DropFlag::new();
        let mut added = 0;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let (routes, dropped) = (router.routes().clone(), dropped.clone());
                    scope.spawn(move || {
                        let mut added = 0_u64;
                        for round in 0..150 {
                            let guard = dropped.guard();
                            let handler = move |_: &u64| {
                                let _ = &guard;
                            };
                            let result = match round % 3 {
                                0 => routes.add(&A, handler),
                                1 => routes.add(&B, handler),
                                _ => routes.set_default(move |message| {
                                    message.get::<u64>().into_iter().for_each(&handler);
                                }),
                            };
                            added += u64::from(result.is_ok());
                            let _ = routes.remove(&A);
                            let _ = routes.remove_default();
                            let _ = routes.remove(&B);
                        }
                        added
                    })
                })
                .collect();
            for thread in threads {
                added += thread.join().unwrap();
            }
        });
        let _ = (
            router.remove(&A),
            router.remove(&B),
            router.remove_default(),
        );
        assert!(added > 0);
        router.subscription().flush_timeout(DEADLINE).unwrap();
        assert_eq!(dropped.count(), 600, "of those that were refused, too");
        for message in [A.message(1), B.message(2), Message::new(3_u64)] {
            assert_eq!(offered(&topic, message), 0);
        }
        // And it is a router still.
        let log = Log::new();
        router.add(&A, note(&log, "a")).unwrap();
        assert_eq!(offered(&topic, A.message(4)), 1);
        router.subscription().flush_timeout(DEADLINE).unwrap();
        assert_eq!(log.get(), [("a", 4)]);
    });
}

#[test]
fn a_blocked_publisher_of_a_removed_route_gives_up() {
    with_deadline("blocked", || {
        let (_bus, topic) = topic();
        let (gate, log) = (Gate::new(), Log::new());
        let opens = gate.clone();
        let router = Router::builder()
            .on(&B, move |_| opens.pass())
            .on(&A, note(&log, "a"))
            .subscribe(
                topic
                    .subscribe()
                    .capacity(1)
                    .overflow(Overflow::Block { timeout: None }),
            )
            .unwrap();
        topic.publish(B.message(0)).unwrap();
        gate.wait_arrived(1);
        topic.publish(A.message(1)).unwrap();
        let publisher = topic.clone();
        let blocked = thread::spawn(move || publisher.publish(A.message(2)).unwrap());
        wait_until("it was published", || topic.stats().published == 3);
        thread::sleep(std::time::Duration::from_millis(10));
        let removed = router.remove(&A).unwrap();
        assert_eq!(blocked.join().unwrap().filtered(), 1);
        gate.open();
        removed.wait_timeout(DEADLINE).unwrap();
        assert_eq!(log.get(), [("a", 1)]);
    });
}
