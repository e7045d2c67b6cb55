//! D3: the consumer's state, and what a handler writes, pass from one runner to the next through the tail
//! word only: from `park` to the push that clears PARKED.
//!
//! Mutants: a claim, a close, an unpark or a notify that does not acquire, a park that does not release,
//! a close that does not release, `observe` Relaxed. Nothing depends on the Acquire of the park.
#![cfg(loom)]
#![expect(unsafe_code, reason = "a model of the unsafe parts")]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use loom_tests::{Mailbox, check};
use stasis_bus::internals::{Close, Pop, Ring};

fn worker(mailbox: &Arc<Mailbox>, budget: usize) -> thread::JoinHandle<()> {
    let mailbox = mailbox.clone();
    thread::spawn(move || mailbox.run_if_due(budget))
}

#[test]
fn from_worker_to_worker_by_a_push() {
    check("ring_serial_handover, push", 300, || {
        let mailbox = Arc::new(Mailbox::new(2, 2));
        let workers = [worker(&mailbox, 4), worker(&mailbox, 4)];
        let accepted = mailbox.offer_all(0, 2);
        workers
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        mailbox.finish(&[accepted], false);
    });
}

#[test]
fn from_worker_to_worker_by_a_close() {
    check("ring_serial_handover, close", 100, || {
        let mailbox = Arc::new(Mailbox::new(2, 2));
        let workers = [worker(&mailbox, 4), worker(&mailbox, 4)];
        let accepted = mailbox.offer_all(0, 1);
        assert!(mailbox.close());
        workers
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        mailbox.finish(&[accepted], true);
    });
}

#[test]
fn by_a_third_that_submits_for_the_one_who_pushed() {
    // The second push may be the one that clears PARKED, or not: what the first producer did reaches the
    // worker through the word either way.
    check("ring_serial_handover, two producers", 300, || {
        let mailbox = Arc::new(Mailbox::new(2, 2));
        let producer = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.offer_all(1, 1))
        };
        let worker = worker(&mailbox, 2);
        let first = mailbox.offer_all(0, 1);
        let second = producer.join().unwrap();
        worker.join().unwrap();
        mailbox.finish(&[first, second], false);
    });
}

#[test]
fn from_worker_to_worker_by_taking_the_duty() {
    check("ring_serial_handover, unpark", 70, || {
        let mailbox = Arc::new(Mailbox::new(2, 2));
        let workers = [worker(&mailbox, 4), worker(&mailbox, 4)];
        let accepted = mailbox.offer_all(0, 1);
        if mailbox.ring.unpark() {
            mailbox.duty.submit();
        }
        workers
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        mailbox.finish(&[accepted], false);
    });
}

#[test]
fn from_worker_to_worker_by_a_notice() {
    check("ring_serial_handover, notify", 100, || {
        let mailbox = Arc::new(Mailbox::new(2, 2));
        let workers = [worker(&mailbox, 4), worker(&mailbox, 4)];
        let accepted = mailbox.offer_all(0, 1);
        if mailbox.ring.notify() {
            mailbox.duty.submit();
        }
        workers
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        mailbox.finish(&[accepted], false);
    });
}

#[test]
fn from_the_closer_to_a_consumer_that_runs_already() {
    check("ring_serial_handover, reason", 5, || {
        struct Closing {
            ring: Ring<loom_tests::Item>,
            reason: UnsafeCell<u8>,
        }
        let closing = Arc::new(Closing {
            ring: Ring::new(1),
            reason: UnsafeCell::new(0),
        });
        let closer = {
            let closing = closing.clone();
            thread::spawn(move || {
                closing.reason.with_mut(|reason| {
                    // SAFETY: the consumer reads it after the close only, which loom checks
                    unsafe { *reason = 7 }
                });
                assert_eq!(closing.ring.close(), Close::Closed);
            })
        };
        // SAFETY: a new ring's duty is its maker's
        if matches!(unsafe { closing.ring.pop() }, Pop::Closed) {
            closing.reason.with(|reason| {
                // SAFETY: as above
                assert_eq!(unsafe { *reason }, 7);
            });
        }
        closer.join().unwrap();
    });
}
