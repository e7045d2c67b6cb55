//! The list of a topic's subscribers is replaced while a publisher goes along it, and what was replaced is freed while
//! he may still be at it: neither a list, nor a subscriber that is on it, goes away under a pin.
//!
//! Mutants: a list freed at once, the reference to a subscriber dropped at once, a list copied
//! outside the lock. One loaded or published Relaxed is for `list_summary`: the word publishes it, too.
#![cfg(loom)]

use loom_tests::{Note, Role, check, phased, race};
use stasis_bus::internals::collect;
use stasis_bus::{Bus, Receiver, Topic};

/// Receivers are given back, so that their end is no part of what is explored.
type Part = Role<Option<Receiver>>;

fn publish(topic: &Topic) -> Part {
    let topic = topic.clone();
    Box::new(move || {
        topic.publish(Note::new(0, 0)).unwrap();
        None
    })
}

fn come(topic: &Topic) -> Part {
    let topic = topic.clone();
    Box::new(move || Some(topic.subscribe().receiver().unwrap()))
}

/// The receiver goes, and everything that is retired is freed as soon as may be.
fn go(receiver: Receiver) -> Part {
    Box::new(move || {
        drop(receiver);
        for _ in 0..3 {
            collect();
        }
        None
    })
}

#[test]
fn one_publishes_another_comes_and_goes() {
    phased("epoch_list, come and go", 610, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let there = topic.clone();
        let come_and_go = Box::new(move || go(there.subscribe().receiver().unwrap())());
        race(&topic, [publish(&topic), come_and_go]);
    });
}

#[test]
fn one_publishes_another_goes() {
    phased("epoch_list, go", 560, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let receiver = topic.subscribe().receiver().unwrap();
        race(&topic, [publish(&topic), go(receiver)]);
    });
}

#[test]
fn one_publishes_two_come() {
    phased("epoch_list, two come", 550, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let receivers = race(&topic, [publish(&topic), come(&topic), come(&topic)]);
        // Neither has overwritten the list of the other.
        let receipt = topic.publish(Note::new(1, 0)).unwrap();
        assert_eq!(receipt.offered(), 2);
        drop(receivers);
    });
}

/// Not phased: the threads register with the epoch, and leave it, while the others are at it.
#[test]
fn registration_included() {
    check("epoch_list, registration", 1_900, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let receiver = topic.subscribe().receiver().unwrap();
        let publisher = loom::thread::spawn(publish(&topic));
        drop(receiver);
        publisher.join().unwrap();
    });
}
