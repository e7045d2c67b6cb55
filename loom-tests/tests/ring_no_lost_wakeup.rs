//! Whoever clears PARKED submits the consumer, and nobody else does: it is never submitted twice, and
//! what is in the ring is consumed in the end.
//!
//! Mutants: the park a plain store, a claim that leaves PARKED, an unpark that only looks.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use loom_tests::{Mailbox, check};

#[test]
fn two_producers_and_a_worker() {
    check("ring_no_lost_wakeup, push", 600, || {
        let mailbox = Arc::new(Mailbox::new(2, 2));
        let producer = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.offer_all(1, 1))
        };
        let worker = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                mailbox.run_if_due(4);
                mailbox.run_if_due(4);
            })
        };
        let first = mailbox.offer_all(0, 1);
        let second = producer.join().unwrap();
        worker.join().unwrap();
        mailbox.finish(&[first, second], false);
    });
}

#[test]
fn a_producer_and_one_who_takes_the_duty_without_a_push() {
    check("ring_no_lost_wakeup, unpark", 400, || {
        let mailbox = Arc::new(Mailbox::new(2, 2));
        let producer = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.offer_all(0, 1))
        };
        let worker = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                mailbox.run_if_due(4);
                mailbox.run_if_due(4);
            })
        };
        if mailbox.ring.unpark() {
            mailbox.duty.submit();
        }
        let accepted = producer.join().unwrap();
        worker.join().unwrap();
        mailbox.finish(&[accepted], false);
    });
}
