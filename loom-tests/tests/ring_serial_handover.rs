//! D3: the consumer's state, and what a handler writes, pass from one runner to the next through the tail word
//! only: from `park` to the push that clears PARKED.
//!
//! Mutants: the claim Relaxed, the park Relaxed, the close Relaxed.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use loom_tests::{Mailbox, check};

fn worker(mailbox: &Arc<Mailbox>, budget: usize) -> thread::JoinHandle<()> {
    let mailbox = mailbox.clone();
    thread::spawn(move || mailbox.run_if_due(budget))
}

#[test]
fn from_worker_to_worker_by_a_push() {
    check("ring_serial_handover, push", 1, || {
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
    check("ring_serial_handover, close", 1, || {
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
    // The second push may be the one that clears PARKED, or not: what the first producer did reaches the worker
    // through the word either way.
    check("ring_serial_handover, two producers", 1, || {
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
