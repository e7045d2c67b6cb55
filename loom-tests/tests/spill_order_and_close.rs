//! D2, L2 where the ring is too small: what spills, and what goes into the ring again after that, comes
//! out in the order of its producer, and the end is last.
//!
//! Mutants: a claim that does not move on to the next ring, the next ring gone to before its turn, the end
//! told before the last position, the next ring gone to without its slots.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use loom_tests::{Mailbox, check};

fn order(name: &str, floor: usize, slots: usize, counts: [u8; 2]) {
    check(name, floor, move || {
        let mailbox = Arc::new(Mailbox::new(slots, u64::MAX));
        let producers: Vec<_> = (0..2)
            .map(|producer| {
                let mailbox = mailbox.clone();
                thread::spawn(move || mailbox.offer_all(producer, counts[usize::from(producer)]))
            })
            .collect();
        mailbox.run_if_due(3);
        assert!(mailbox.close());
        mailbox.run_if_due(3);
        let accepted: Vec<_> = producers
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        mailbox.finish(&accepted, true);
    });
}

#[test]
fn one_slot() {
    order("spill_order_and_close, one slot", 15_000, 1, [2, 1]);
}

#[test]
fn two_slots() {
    order("spill_order_and_close, two slots", 15_000, 2, [2, 2]);
}
