//! The spill queue is given back at rest while producers spill again: nothing is lost, and no producer uses a queue
//! that was freed. What is retired is really dropped as soon as the epoch may.
//!
//! Mutants: the queue retired though SPILLING stays, SPILLING cleared whatever was claimed since, SPILLING cleared
//! before the queue is taken out, a claim that does not acquire, SPILLING cleared Relaxed, `put` and `take` Relaxed.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use loom_tests::{Eager, MailboxOf, check};

fn retire(name: &str, counts: [u8; 2], runs: usize) {
    check(name, 1, move || {
        let mailbox = Arc::new(MailboxOf::<Eager>::new(1, u64::MAX));
        // One in the ring, which is taken, and one behind it.
        let mut first = mailbox.offer_all(0, 2);
        mailbox.run_if_due(1);
        let producer = |number: u8, from: u8| {
            let mailbox = mailbox.clone();
            let count = counts[usize::from(number)];
            thread::spawn(move || mailbox.offer_from(number, from..from + count))
        };
        let producers = [producer(0, 2), producer(1, 0)];
        for _ in 0..runs {
            mailbox.run_if_due(5);
        }
        let [more, second] = producers.map(|thread| thread.join().unwrap());
        first.extend(more);
        mailbox.finish(&[first, second], false);
    });
}

#[test]
fn one_producer_spills_again() {
    retire("spill_retire, one producer", [2, 0], 2);
}

#[test]
fn two_producers_spill_again() {
    retire("spill_retire, two producers", [1, 1], 1);
}
