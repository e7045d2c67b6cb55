//! R1b, L6: a publisher that waits for room in a mailbox that blocks is woken when there is some, and when there will
//! never be any; a lost wake-up is reported as a deadlock.
//!
//! Mutants: a close that wakes nobody, one that wakes before it closes, a publisher that registers after
//! its last try, room that nobody is told of, what is taken not counted as room, and room told by half a
//! ring.
#![cfg(loom)]

use loom_tests::{Got, Note, Role, notes, phased, race};
use stasis_bus::{Bus, Overflow, Receipt, Receiver, Topic};

struct Scene {
    _bus: Bus,
    topic: Topic,
    receiver: Receiver,
}

type Part = Role<(Receipt, Option<Receiver>)>;

impl Scene {
    /// A receiver with room for so many messages, which is taken.
    fn new(capacity: u8) -> Self {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let receiver = topic
            .subscribe()
            .overflow(Overflow::Block { timeout: None })
            .capacity(capacity.into())
            .receiver()
            .unwrap();
        for sequence in 0..capacity {
            topic.publish(Note::new(9, sequence)).unwrap();
        }
        Self {
            _bus: bus,
            topic,
            receiver,
        }
    }

    fn publish(&self, producer: u8) -> Part {
        let topic = self.topic.clone();
        Box::new(move || (topic.publish(Note::new(producer, 0)).unwrap(), None))
    }
}

fn receive(mut receiver: Receiver, count: usize) -> Part {
    Box::new(move || {
        for _ in 0..count {
            assert!(matches!(Got::of(&receiver.recv().unwrap()), Got::Note(_)));
        }
        (Receipt::default(), Some(receiver))
    })
}

#[test]
fn there_is_room() {
    phased("blocked_publishers, room", 880, || {
        let scene = Scene::new(1);
        let parts = [scene.publish(0), receive(scene.receiver, 2)];
        let [(receipt, _), _] = race(&scene.topic, parts);
        assert_eq!(receipt.offered(), 1);
    });
}

/// It hears of that at once: the consumer may take its time with what it took.
#[test]
fn there_is_room_for_one_of_many() {
    phased("blocked_publishers, one of many", 60, || {
        let scene = Scene::new(4);
        let parts = [scene.publish(0), receive(scene.receiver, 1)];
        let [(receipt, _), _] = race(&scene.topic, parts);
        assert_eq!(receipt.offered(), 1);
    });
}

#[test]
fn there_is_room_once_more() {
    phased("blocked_publishers, once more", 25_500, || {
        let scene = Scene::new(1);
        let (once, again) = (scene.publish(0), scene.publish(1));
        let publish: Part = Box::new(move || {
            let (mut receipt, _) = once();
            receipt += again().0;
            (receipt, None)
        });
        let parts = [publish, receive(scene.receiver, 3)];
        let [(receipt, _), _] = race(&scene.topic, parts);
        assert_eq!(receipt.offered(), 2);
    });
}

#[test]
fn there_will_be_none() {
    phased("blocked_publishers, end", 93, || {
        let scene = Scene::new(1);
        let publish = scene.publish(0);
        let receiver = scene.receiver;
        let end: Part = Box::new(move || {
            receiver.subscription().unsubscribe();
            (Receipt::default(), Some(receiver))
        });
        let [(receipt, _), (_, rest)] = race(&scene.topic, [publish, end]);
        assert_eq!(receipt.offered(), 0);
        let mut receiver = rest.unwrap();
        let got: Vec<_> = receiver
            .try_iter()
            .map(|message| Got::of(&message))
            .collect();
        assert_eq!(notes(&got), [(9, 0)]);
        assert_eq!(got.last(), Some(&Got::Final(1, 0, 0)));
    });
}
