//! D4: a topic and the aggregate of a pattern that matches its name find each other, whichever is made first, and
//! whoever gets an aggregate that somebody else is just making gets it complete.
//!
//! Mutants: a search before the index knows the pattern, a topic that can be found before it has looked for
//! patterns, an aggregate that is given away before it is complete.
#![cfg(loom)]

use loom_tests::{Note, phased, race};
use stasis_bus::{Bus, Topic};

fn offered(topic: &Topic) -> u64 {
    topic.publish(Note::new(0, 0)).unwrap().offered()
}

#[test]
fn a_topic_and_an_aggregate_are_made() {
    phased("pattern_aggregates, both are made", 18, || {
        let bus = Bus::new().unwrap();
        let other = bus.topic("other").unwrap();
        let (first, second) = (bus.clone(), bus.clone());
        let [topic, aggregate] = race(
            &other,
            [
                Box::new(move || first.topic("a/b").unwrap()),
                Box::new(move || second.topics_matching("a/*").unwrap()),
            ],
        );
        let mut receiver = aggregate.subscribe().receiver().unwrap();
        assert_eq!(offered(&topic), 1);
        assert!(receiver.try_recv().is_ok());
    });
}

#[test]
fn who_finds_a_topic_finds_it_forwarded() {
    phased("pattern_aggregates, a topic is found", 34, || {
        let bus = Bus::new().unwrap();
        let other = bus.topic("other").unwrap();
        let aggregate = bus.topics_matching("a/*").unwrap();
        let mut receiver = aggregate.subscribe().receiver().unwrap();
        let (first, second) = (bus.clone(), bus.clone());
        let counts = race(
            &other,
            [
                Box::new(move || drop(first.topic("a/b").unwrap())),
                Box::new(move || assert_eq!(offered(&second.topic("a/b").unwrap()), 1)),
            ],
        );
        assert_eq!(counts, [(), ()]);
        assert!(receiver.try_recv().is_ok());
    });
}

#[test]
fn who_gets_an_aggregate_gets_it_complete() {
    phased("pattern_aggregates, complete", 48, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("a/b").unwrap();
        let (first, second, publisher) = (bus.clone(), bus.clone(), topic.clone());
        race(
            &topic,
            [
                Box::new(move || first.topics_matching("a/*").unwrap()),
                Box::new(move || {
                    let aggregate = second.topics_matching("a/*").unwrap();
                    let mut receiver = aggregate.subscribe().receiver().unwrap();
                    assert_eq!(offered(&publisher), 1);
                    assert!(receiver.try_recv().is_ok());
                    aggregate
                }),
            ],
        );
    });
}
