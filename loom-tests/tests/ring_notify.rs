//! What a producer has to tell beside the items is seen by the consumer before it rests: either `notify`
//! finds it running, and it does not park without another look, or the duty falls to whoever notified.
//!
//! Mutants: a park that does not look at NOTIFIED, one that clears it Relaxed, a notify that does nothing
//! to a running consumer, or does not release.
#![cfg(loom)]
#![expect(unsafe_code, reason = "a model of the unsafe parts")]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use loom_tests::{Duty, Forever, Item, check};
use stasis_bus::internals::{Pop, Push, Ring};

struct Noticed {
    ring: Ring<Item>,
    duty: Duty,
    /// What is to be told: set before `notify`.
    notice: AtomicBool,
    /// Whether the consumer saw it when it looked last; the holder of the duty's.
    seen: UnsafeCell<bool>,
}

impl Noticed {
    fn run(&self) {
        loop {
            // Relaxed: who notified is behind the Acquire that took the duty, or that of the failed park.
            let notice = self.notice.load(Ordering::Relaxed);
            self.seen.with_mut(|seen| {
                // SAFETY: the holder of the duty's, which loom checks
                unsafe { *seen = notice }
            });
            // SAFETY: the caller took the duty
            match unsafe { self.ring.pop() } {
                Pop::Item(_) => {}
                Pop::Unwritten => return self.duty.submit(),
                // SAFETY: the caller took the duty
                Pop::Empty if unsafe { self.ring.park(drop) } => return,
                Pop::Empty => {}
                Pop::Closed => unreachable!("nobody closes"),
            }
        }
    }
}

#[test]
fn one_notifies_another_pushes() {
    check("ring_notify", 600, || {
        let noticed = Arc::new(Noticed {
            ring: Ring::new(2),
            duty: Duty::new(),
            notice: AtomicBool::new(false),
            seen: UnsafeCell::new(false),
        });
        // SAFETY: a new ring's duty is its maker's
        assert!(unsafe { noticed.ring.park(drop) });
        let worker = {
            let noticed = noticed.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    if noticed.duty.take() {
                        noticed.run();
                    }
                }
            })
        };
        let producer = {
            let noticed = noticed.clone();
            thread::spawn(move || {
                let push = noticed.ring.push(Item::new(0, 0), 2, &Forever);
                match push {
                    Push::Submit { .. } => noticed.duty.submit(),
                    push => assert!(matches!(push, Push::Queued { .. })),
                }
            })
        };
        // Relaxed: published by `notify`.
        noticed.notice.store(true, Ordering::Relaxed);
        if noticed.ring.notify() {
            noticed.duty.submit();
        }
        producer.join().unwrap();
        worker.join().unwrap();
        while noticed.duty.take() {
            noticed.run();
        }
        assert!(noticed.ring.is_parked());
        noticed.seen.with(|seen| {
            // SAFETY: all threads are done, and the consumer is at rest
            assert!(unsafe { *seen }, "a notice was not seen");
        });
    });
}
