//! A slot is used again only after what it held is out: room is judged by how far the consumer has come, and with
//! that comes the null that it left.
//!
//! Mutants: a null slot taken for room, `freed` stored or loaded Relaxed, `freed_seen` stored or loaded Relaxed.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use loom_tests::{Mailbox, check};

/// Two producers, of which the first has already offered `before`, and a worker.
fn laps(name: &str, slots: usize, before: u8, counts: [u8; 2]) {
    check(name, 1, move || {
        let mailbox = Arc::new(Mailbox::new(slots, slots as u64));
        let mut first = mailbox.offer_from(0, 0..before);
        let producer = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.offer_from(1, 0..counts[1]))
        };
        let worker = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.run_if_due(3))
        };
        first.extend(mailbox.offer_from(0, before..before + counts[0]));
        let second = producer.join().unwrap();
        worker.join().unwrap();
        mailbox.finish(&[first, second], false);
    });
}

#[test]
fn one_slot_from_the_start() {
    laps("ring_laps, one slot, empty", 1, 0, [2, 1]);
}

#[test]
fn one_slot_that_is_full() {
    laps("ring_laps, one slot, full", 1, 1, [1, 1]);
}

#[test]
fn two_slots_that_are_full() {
    laps("ring_laps, two slots, full", 2, 2, [1, 1]);
}
