//! D4, L7: a bound forward goes with its ends. Whoever publishes meanwhile reaches those behind it once or not at
//! all; and when an end has gone, or is closed, the edge is gone too, whatever raced with that.
//!
//! Mutants: a bind that does not look whether an end is closed, a close that removes the edges before it marks the
//! topic, an end that goes and leaves its edges, a look at the ends before and another one after the edge is made.
#![cfg(loom)]

use loom_tests::{Note, phased, race};
use stasis_bus::{Bus, Receiver, Topic};

fn count(receiver: &mut Receiver) -> u64 {
    receiver.try_iter().count() as u64
}

fn offered(topic: &Topic) -> u64 {
    topic.publish(Note::new(0, 0)).unwrap().offered()
}

#[test]
fn an_end_goes_while_others_publish() {
    phased("bound_forwards, an end goes", 49, || {
        let bus = Bus::new().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| bus.topic(name).unwrap());
        let mut receiver = c.subscribe().receiver().unwrap();
        a.forward_to(&b).unwrap().bind();
        b.forward_to(&c).unwrap().bind();
        let publisher = a.clone();
        let [accepted, _] = race(
            &c,
            [
                Box::new(move || offered(&publisher)),
                Box::new(move || {
                    drop(b);
                    0
                }),
            ],
        );
        assert_eq!(count(&mut receiver), accepted);
        assert_eq!(offered(&a), 0);
        assert!(bus.get_topic("b").is_none());
    });
}

#[test]
fn an_end_is_closed_while_the_edge_is_bound() {
    phased("bound_forwards, close and bind", 9, || {
        let bus = Bus::new().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| bus.topic(name).unwrap());
        let mut receiver = c.subscribe().receiver().unwrap();
        let forward = a.forward_to(&b).unwrap();
        let _held = b.forward_to(&c).unwrap();
        let closed = b.clone();
        race(
            &c,
            [
                Box::new(move || forward.bind()),
                Box::new(move || closed.close()),
            ],
        );
        assert_eq!(offered(&a), 0);
        assert_eq!(count(&mut receiver), 0);
    });
}

#[test]
fn a_child_is_closed_while_it_is_taken_in() {
    phased("bound_forwards, close and pool", 12, || {
        let bus = Bus::new().unwrap();
        let parent = bus.topic("parent").unwrap();
        let child = bus.topic("parent/child").unwrap();
        let pool = parent.pool().unwrap();
        let (taken_in, closed) = (pool.clone(), child.clone());
        let [new, _] = race(
            &parent,
            [
                Box::new(move || Some(taken_in.topic("child").unwrap())),
                Box::new(move || {
                    closed.close();
                    None
                }),
            ],
        );
        assert!(child.stats().forwards_to.is_empty());
        let is_open = !new.as_ref().unwrap().is_closed();
        assert_eq!(pool.len(), usize::from(is_open));
        drop(new);
        assert_eq!(pool.len(), 0);
    });
}
