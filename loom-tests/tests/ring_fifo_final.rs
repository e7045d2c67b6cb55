//! D2, L2: what each producer had accepted comes out in its order; what was accepted before the close
//! comes out, nothing after it, and then the end, once.
//!
//! Mutants: the slot stored Relaxed, close by load and store, the end told while a position is not
//! consumed.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use loom_tests::{Mailbox, check};

#[test]
fn two_producers_a_closer_and_a_worker() {
    check("ring_fifo_final", 30000, || {
        let mailbox = Arc::new(Mailbox::new(2, 2));
        let producers: Vec<_> = (0..2)
            .map(|producer| {
                let mailbox = mailbox.clone();
                thread::spawn(move || mailbox.offer_all(producer, 2 - producer))
            })
            .collect();
        let worker = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                mailbox.run_if_due(4);
                mailbox.run_if_due(4);
            })
        };
        assert!(mailbox.close());
        let accepted: Vec<_> = producers
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        worker.join().unwrap();
        mailbox.finish(&accepted, true);
    });
}
