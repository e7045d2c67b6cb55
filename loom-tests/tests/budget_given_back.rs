//! The bus's budget (R4) is never exceeded, not for a moment; what mailboxes have of it is what their bounds say;
//! and whatever races for it, all of it is given back when they are at rest.
//!
//! Mutants: taken without a look at what is left, by a load and a store; who was not the first to move a bound keeps
//! what it took; given back by what a bound was before; a bound lowered by a store.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use loom_tests::check;
use stasis_bus::internals::{Bound, Budget};

/// What a mailbox holds without the budget.
const BASE: u64 = 1;

struct Scene {
    budget: Budget,
    limit: u64,
    bounds: [Bound; 2],
}

impl Scene {
    fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            budget: Budget::new(limit),
            limit,
            bounds: [Bound::new(BASE), Bound::new(BASE)],
        })
    }

    /// A publisher that finds no room by a bound, one time after the other.
    fn grow(&self, mailbox: usize, times: usize, most: u64) {
        let bound = &self.bounds[mailbox];
        for _ in 0..times {
            let tried = bound.get();
            let _ = bound.grow(tried, BASE, most, &self.budget);
            assert!(self.budget.granted() <= self.limit, "beyond the budget");
        }
    }

    fn beyond(&self) -> u64 {
        self.bounds.iter().map(|bound| bound.get() - BASE).sum()
    }

    /// Everybody is gone.
    fn end(&self) {
        assert_eq!(self.beyond(), self.budget.granted(), "bounds and budget");
        for bound in &self.bounds {
            bound.give_back(BASE, &self.budget);
            assert_eq!(bound.get(), BASE);
        }
        assert_eq!(self.budget.granted(), 0, "not all is given back");
    }
}

#[test]
fn two_publishers_and_a_consumer_at_rest() {
    check("budget_given_back, at rest", 500, || {
        let scene = Scene::new(100);
        scene.grow(0, 1, 2);
        let publishers = [0, 0].map(|mailbox| {
            let scene = scene.clone();
            thread::spawn(move || scene.grow(mailbox, 1, u64::MAX))
        });
        scene.bounds[0].give_back(BASE, &scene.budget);
        for publisher in publishers {
            publisher.join().unwrap();
        }
        scene.end();
    });
}

#[test]
fn a_publisher_and_a_consumer_that_has_caught_up() {
    check("budget_given_back, caught up", 100, || {
        let scene = Scene::new(100);
        scene.grow(0, 1, 2);
        let publisher = {
            let scene = scene.clone();
            thread::spawn(move || scene.grow(0, 2, u64::MAX))
        };
        scene.bounds[0].give_back_spare(BASE, 0, &scene.budget);
        publisher.join().unwrap();
        scene.end();
    });
}

#[test]
fn two_mailboxes_and_less_than_both_want() {
    check("budget_given_back, scarce", 280, || {
        let scene = Scene::new(4);
        let publishers = [0, 1].map(|mailbox| {
            let scene = scene.clone();
            thread::spawn(move || scene.grow(mailbox, 2, u64::MAX))
        });
        for publisher in publishers {
            publisher.join().unwrap();
        }
        assert_eq!(
            scene.budget.granted(),
            4,
            "some of it is left, and somebody was refused"
        );
        scene.end();
    });
}
