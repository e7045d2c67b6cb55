//! A slot is used again only after what it held is out: room is judged by how far the consumer has come,
//! and with that comes the null that it left.
//!
//! Mutants: a null slot taken for room, `freed` stored or loaded Relaxed, `freed_seen` stored or loaded
//! Relaxed.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use loom_tests::{Mailbox, check};

/// A consumer, and two producers, of which the first has already offered `before`.
fn laps(name: &str, floor: usize, slots: usize, before: u8, counts: [u8; 2]) {
    check(name, floor, move || {
        let mailbox = Arc::new(Mailbox::new(slots, slots as u64));
        let mut first = mailbox.offer_from(0, 0..before);
        let producer = |number: u8, from: u8| {
            let mailbox = mailbox.clone();
            let count = counts[usize::from(number)];
            thread::spawn(move || mailbox.offer_from(number, from..from + count))
        };
        let producers = [producer(0, before), producer(1, 0)];
        // The consumer goes first: a second producer that finds out how far it came by way of the other,
        // without having met it, takes two preemptions.
        mailbox.run_if_due(3);
        let [more, second] = producers.map(|thread| thread.join().unwrap());
        first.extend(more);
        mailbox.finish(&[first, second], false);
    });
}

#[test]
fn one_slot_from_the_start() {
    laps("ring_laps, one slot, empty", 900, 1, 0, [2, 1]);
}

#[test]
fn one_slot_that_is_full() {
    laps("ring_laps, one slot, full", 20_000, 1, 1, [1, 1]);
}

#[test]
fn two_slots_that_are_full() {
    laps("ring_laps, two slots, full", 30_000, 2, 2, [1, 1]);
}
