//! A burst wakes one worker, not one a piece of work: while a worker that was called has yet to look, no
//! submit calls another. So two are never called to search at once.
//!
//! Mutant: `searching_ignored`: a sleeper is woken though another worker is searching.
#![cfg(loom)]

use loom::sync::mpsc::{Receiver, channel};
use loom_tests::{Track, check};
use stasis_bus::internals::worker::{Next, Pool, Work};

/// Does not end before it is told to, so that no worker begins to search of its own accord meanwhile.
struct Job(Track<Receiver<()>>);

impl Work for Job {
    fn run(self) -> Next<Self> {
        self.0.get().recv().unwrap();
        Next::Done
    }
}

#[test]
fn burst_of_submits() {
    check("idle_burst_wakes_one", 500, || {
        loom::stop_exploring();
        let pool = Pool::new(2, 0, 0).unwrap();
        while pool.stats().parked < 2 {
            loom::thread::yield_now();
        }
        // On the list of sleepers; these let them come to their second look and sleep.
        for _ in 0..10 {
            loom::thread::yield_now();
        }
        loom::explore();
        let mut ends = Vec::new();
        for _ in 0..3 {
            let (end, told) = channel();
            assert!(pool.submit(Job(Track::new(told))).is_ok());
            assert!(pool.stats().searching <= 1, "two were called");
            ends.push(end);
        }
        loom::stop_exploring();
        for end in ends {
            end.send(()).unwrap();
        }
        pool.stop();
        assert!(pool.join(None));
        assert!(
            pool.stats().wakeups <= 4,
            "each woken wakes at most one, and stop one"
        );
    });
}
