//! Aggregates of patterns: whoever matches is forwarded there, whichever of the two came first, and once.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{Log, Setup, for_each_kind, number, with_deadline};
use stasis_bus::{Bus, MAX_NAME_LEN, PatternError, Receiver, Topic};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

fn numbers(receiver: &mut Receiver) -> Vec<u64> {
    let all = receiver.try_iter();
    all.filter_map(|message| number(&message)).collect()
}

/// How many are offered what is published on a topic of that name.
fn offered(bus: &Bus, name: &str) -> u64 {
    let receipt = bus.topic(name).unwrap().publish(1_u64).unwrap();
    receipt.offered()
}

#[test]
fn before_and_after() {
    for_each_kind(|setup: &Setup| {
        let before = setup.topic("calls/7/legs/a");
        let aggregate = setup.bus.topics_matching("calls/*/legs/**").unwrap();
        assert_eq!(aggregate.name(), "calls/*/legs/**");
        let log = Log::new();
        let logs = log.clone();
        let sub = setup.run(&aggregate, move |message| logs.push(number(message)));
        before.publish(1_u64).unwrap();
        let after = setup.topic("calls/8/legs");
        after.publish(2_u64).unwrap();
        setup.topic("calls/8").publish(3_u64).unwrap();
        aggregate.publish(4_u64).unwrap();
        sub.flush();
        assert_eq!(log.get(), [Some(1), Some(2), Some(4)]);
    });
}

#[test]
fn what_matches() {
    let table: [(&str, &[&str], &[&str]); 8] = [
        ("a", &["a"], &["b", "A", "a/", "a/b", "/a"]),
        ("a/b", &["a/b"], &["a", "a/b/c", "b", "a/B"]),
        ("*", &["a", "channel:all", "*"], &["a/b", "/"]),
        ("a/*", &["a/b", "a/", "a/*"], &["a", "a/b/c", "b/a"]),
        ("*/b", &["a/b", "/b"], &["b", "a/a", "a/b/c"]),
        (
            "a/**",
            &["a", "a/b", "a/b/c/d", "a/", "a//x"],
            &["b", "ab", "A/b"],
        ),
        ("**", &["a", "a/b/c", "/", "é/ü"], &[]),
        (
            "a/*/c/**",
            &["a/b/c", "a/b/c/d/e", "a//c"],
            &["a/c", "a/b", "a/b/d/c"],
        ),
    ];
    for (pattern, matching, others) in table {
        for first in [true, false] {
            let bus = Bus::new().unwrap();
            let names = matching.iter().chain(others);
            let topics = || names.clone().map(|name| bus.topic(name).unwrap()).collect();
            let before: Vec<Topic> = if first { topics() } else { Vec::new() };
            let aggregate = bus.topics_matching(pattern).unwrap();
            let _receiver = aggregate.subscribe().receiver().unwrap();
            let _topics: Vec<Topic> = if first { before } else { topics() };
            for name in matching {
                assert_eq!(offered(&bus, name), 1, "{pattern} matches {name}");
            }
            for name in others {
                assert_eq!(offered(&bus, name), 0, "{pattern} does not match {name}");
            }
        }
    }
}

#[test]
fn what_is_no_pattern_is_named() {
    let bus = Bus::new().unwrap();
    let error = |pattern: &str| bus.topics_matching(pattern).unwrap_err();
    assert_eq!(error(""), PatternError::Empty);
    let long = "x".repeat(MAX_NAME_LEN + 1);
    assert_eq!(error(&long), PatternError::TooLong { len: 1025 });
    assert!(error(&long).to_string().contains("1025"));
    for pattern in ["/", "/a", "a/", "a//b", "**/"] {
        let expected = match pattern {
            "**/" => PatternError::RestNotLast,
            _ => PatternError::EmptyLevel,
        };
        assert_eq!(error(pattern), expected, "{pattern}");
    }
    for pattern in ["**/a", "a/**/b", "**/**"] {
        assert_eq!(error(pattern), PatternError::RestNotLast, "{pattern}");
    }
    for level in ["a*", "*a", "a*b", "***", "****"] {
        let expected = PatternError::MixedLevel {
            level: level.to_owned(),
        };
        assert_eq!(error(&format!("x/{level}")), expected);
        assert!(expected.to_string().contains(level));
    }
    assert_eq!(bus.stats().topics, 0, "what failed left nothing behind");
    for pattern in ["a", "*", "**", "*/*/**", "a b/ü/*", &long[1..]] {
        assert!(bus.topics_matching(pattern).is_ok(), "{pattern}");
    }
    bus.shutdown().unwrap();
    assert_eq!(
        bus.topics_matching("a").unwrap_err(),
        PatternError::ShutDown
    );
    for error in [
        PatternError::Empty,
        PatternError::EmptyLevel,
        PatternError::RestNotLast,
    ] {
        assert!(error.to_string().split(' ').count() > 3, "{error}");
    }
}

#[test]
fn the_same_pattern_is_the_same_aggregate_while_it_lives() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("a/b").unwrap();
    let first = bus.topics_matching("a/*").unwrap();
    assert!(bus.topics_matching("a/*").unwrap().is_same(&first));
    assert!(!bus.topics_matching("a/**").unwrap().is_same(&first));
    let mut receiver = first.subscribe().receiver().unwrap();
    drop(first);
    topic.publish(1_u64).unwrap();
    let again = bus.topics_matching("a/*").unwrap();
    again.publish(2_u64).unwrap();
    assert_eq!(numbers(&mut receiver), [1, 2]);
    drop((receiver, again));
    assert!(
        topic.stats().forwards_to.is_empty(),
        "its edges went with it"
    );
    assert_eq!(bus.stats().topics, 1);
    let new = bus.topics_matching("a/*").unwrap();
    let mut receiver = new.subscribe().receiver().unwrap();
    topic.publish(3_u64).unwrap();
    assert_eq!(numbers(&mut receiver), [3]);
}

#[test]
fn an_aggregate_keeps_no_topic() {
    let bus = Bus::new().unwrap();
    let aggregate = bus.topics_matching("**").unwrap();
    for n in 0..100 {
        drop(bus.topic(&format!("a/{n}")).unwrap());
    }
    assert_eq!(bus.stats().topics, 1);
    drop(aggregate);
    assert_eq!(bus.stats().topics, 0);
}

#[test]
fn an_aggregate_is_no_topic_of_that_name_and_matches_no_pattern() {
    let bus = Bus::new().unwrap();
    let all = bus.topics_matching("**").unwrap();
    let some = bus.topics_matching("calls/*").unwrap();
    assert!(bus.get_topic("calls/*").is_none());
    let named = bus.topic("calls/*").unwrap();
    assert!(!named.is_same(&some));
    assert!(some.stats().forwards_to.is_empty());
    let mut names: Vec<_> = named.stats().forwards_to;
    names.sort();
    assert_eq!(names, [Arc::from("**"), Arc::from("calls/*")]);
    // It is in the listing.
    let listed = bus.topics();
    let names: Vec<_> = listed.iter().map(|topic| &*topic.name).collect();
    assert_eq!(names, ["**", "calls/*", "calls/*"]);
    // To have one go to the other is legal, and duplicates nothing.
    some.forward_to(&all).unwrap().bind();
    let _receiver = all.subscribe().receiver().unwrap();
    assert_eq!(named.publish(1_u64).unwrap().offered(), 1);
}

#[test]
fn a_topic_of_several_patterns_and_a_pool_comes_once_to_each() {
    let bus = Bus::new().unwrap();
    let patterns = ["calls/**", "calls/*", "*/7", "**"];
    let mut receivers: Vec<_> = patterns
        .iter()
        .map(|it| {
            bus.topics_matching(it)
                .unwrap()
                .subscribe()
                .receiver()
                .unwrap()
        })
        .collect();
    let pool = bus.topic("calls").unwrap().pool().unwrap();
    let seven = pool.topic("7").unwrap();
    assert_eq!(seven.publish(7_u64).unwrap().offered(), 4);
    for receiver in &mut receivers {
        assert_eq!(numbers(receiver), [7]);
    }
}

#[test]
fn closed_topics_and_closed_aggregates_make_way() {
    let bus = Bus::new().unwrap();
    let aggregate = bus.topics_matching("a/*").unwrap();
    let mut receiver = aggregate.subscribe().receiver().unwrap();
    let old = bus.topic("a/b").unwrap();
    old.close();
    let new = bus.topic("a/b").unwrap();
    drop(old);
    new.publish(1_u64).unwrap();
    assert_eq!(numbers(&mut receiver), [1]);
    aggregate.close();
    assert!(new.stats().forwards_to.is_empty());
    let second = bus.topics_matching("a/*").unwrap();
    assert!(!second.is_same(&aggregate));
    drop(aggregate);
    assert!(bus.topics_matching("a/*").unwrap().is_same(&second));
    assert_eq!(new.stats().forwards_to.len(), 1);
    let third = bus.topic("a/c").unwrap();
    assert_eq!(third.stats().forwards_to.len(), 1);
}

#[test]
fn shutdown_closes_aggregates_too() {
    let bus = Bus::new().unwrap();
    let aggregate = bus.topics_matching("a/*").unwrap();
    bus.shutdown().unwrap();
    assert!(aggregate.is_closed());
}

/// Topics and aggregates are made at the same time by several threads: whoever has both finds them joined.
#[test]
fn topics_and_aggregates_are_made_at_once() {
    with_deadline("at once", || {
        for round in 0..300 {
            let bus = Bus::new().unwrap();
            let barrier = Barrier::new(4);
            let (topics, aggregates) = thread::scope(|scope| {
                let topic = |n: usize| {
                    barrier.wait();
                    let names = ["a/b", "a/c", "a/d"];
                    let name = |k: usize| names[(n + k + round) % 3];
                    [0, 1, 2].map(|k| bus.topic(name(k)).unwrap())
                };
                let aggregate = || {
                    barrier.wait();
                    bus.topics_matching("a/*").unwrap()
                };
                let topics = [0, 1].map(|n| scope.spawn(move || topic(n)));
                let aggregates = [0, 1].map(|_| scope.spawn(aggregate));
                (
                    topics.map(|it| it.join().unwrap()),
                    aggregates.map(|it| it.join().unwrap()),
                )
            });
            assert!(aggregates[0].is_same(&aggregates[1]));
            let _receiver = aggregates[0].subscribe().receiver().unwrap();
            for topic in topics.iter().flatten() {
                assert_eq!(topic.stats().forwards_to.len(), 1);
                assert_eq!(topic.publish(1_u64).unwrap().offered(), 1);
            }
        }
    });
}

/// A topic that somebody else is just making is not found before it is joined; an aggregate that somebody else is
/// just making is not had before it is complete. Whoever has an aggregate with a subscription, and then gets a
/// topic, is heard.
#[test]
fn whoever_has_both_is_heard() {
    with_deadline("heard", || {
        let bus = Bus::new().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new(AtomicU64::new(0));
        let makers: Vec<_> = (0..2)
            .map(|_| {
                let (bus, stop) = (bus.clone(), Arc::clone(&stop));
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        drop(bus.topic("a/b").unwrap());
                        drop(bus.topics_matching("a/*").unwrap());
                    }
                })
            })
            .collect();
        for _ in 0..2_000 {
            let mut receiver = {
                let aggregate = bus.topics_matching("a/*").unwrap();
                aggregate.subscribe().receiver().unwrap()
            };
            let topic = bus.topic("a/b").unwrap();
            assert_eq!(topic.publish(1_u64).unwrap().offered(), 1);
            assert_eq!(numbers(&mut receiver), [1]);
            drop((receiver, topic));
            let topic = bus.topic("a/b").unwrap();
            let aggregate = bus.topics_matching("a/*").unwrap();
            let receiver = aggregate.subscribe().receiver().unwrap();
            assert_eq!(topic.publish(2_u64).unwrap().offered(), 1);
            drop(receiver);
            rounds.fetch_add(1, Ordering::Relaxed);
        }
        stop.store(true, Ordering::Relaxed);
        makers.into_iter().for_each(|it| it.join().unwrap());
        assert_eq!(bus.stats().topics, 0);
    });
}

#[test]
fn many_patterns_beside_the_one_that_matches() {
    let bus = Bus::new().unwrap();
    let aggregates: Vec<_> = (0..1_000)
        .map(|n| bus.topics_matching(&format!("calls/{n}/**")).unwrap())
        .collect();
    let topic = bus.topic("calls/500/legs/a").unwrap();
    assert_eq!(topic.stats().forwards_to, [Arc::from("calls/500/**")]);
    let _receiver = aggregates[500].subscribe().receiver().unwrap();
    assert_eq!(topic.publish(1_u64).unwrap().offered(), 1);
    drop(aggregates);
    assert_eq!(bus.stats().topics, 2, "the subscribed one and the topic");
}
