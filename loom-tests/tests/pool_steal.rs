//! What a worker puts into its own queue and then does not come back for is stolen by another one; nothing
//! is lost or run twice. Losing work shows as a deadlock or as a `Track` that lives, running it twice as a
//! count below zero.
//!
//! Mutants:
//! - `local_not_announced`: `submit` on a worker does not tell the sleepers (blocked_owner).
//! - `look_skips_local`: the second look leaves out the workers' queues (blocked_owner).
//! - `put_back_not_announced`: work that wants more goes to the back untold (again_is_taken_over).
//! - `rest_of_stolen_dropped`: the thief drops what it does not run at once (half_is_stolen).
//! - `nobody_watches`: who falls asleep leaves a single piece out, though nobody watches it (blocked_owner).
//! - `watched_for_ever`: the word says that somebody watches, though the watcher has got up (one_after_the_other).
//! - `watcher_not_fenced`: a single piece is announced without the fence (one_after_the_other).
#![cfg(loom)]

use loom::sync::mpsc::{Receiver, Sender, channel};
use loom_tests::{Track, check};
use stasis_bus::internals::worker::{Next, Pool, Work};

enum Job {
    /// Says that it has run.
    Tell(Track<Sender<()>>),
    /// Submits that many which tell, on its worker, and does not end before they have.
    Parent(Pool<Job>, usize, Track<Sender<()>>),
    /// Submits one that tells, on its worker, waits for it, and does it again.
    OneByOne(Pool<Job>, Track<Sender<()>>),
    /// Runs once more, and then tells.
    Again(Track<Sender<()>>),
    /// Waits for another job before it ends; then says so.
    Wait(Track<(Receiver<()>, Sender<()>)>),
}

impl Work for Job {
    fn run(self) -> Next<Self> {
        match self {
            Job::Tell(told) => told.get().send(()).unwrap(),
            Job::Parent(pool, children, told) => {
                let (tell, child) = channel();
                let tells = |_| Job::Tell(Track::new(tell.clone()));
                assert!(pool.submit(tells(0)).is_ok());
                assert!(pool.submit_all((1..children).map(tells)).is_ok());
                for _ in 0..children {
                    child.recv().unwrap();
                }
                told.get().send(()).unwrap();
            }
            Job::OneByOne(pool, told) => {
                for _ in 0..2 {
                    let (tell, child) = channel();
                    assert!(pool.submit(Job::Tell(Track::new(tell))).is_ok());
                    child.recv().unwrap();
                }
                told.get().send(()).unwrap();
            }
            Job::Again(told) => return Next::Again(Job::Tell(told)),
            Job::Wait(both) => {
                let (other, told) = both.get();
                other.recv().unwrap();
                told.send(()).unwrap();
            }
        }
        Next::Done
    }
}

/// A pool whose workers sleep already; how they fall asleep is the claim of `idle_no_lost_wakeup`.
fn asleep(workers: usize) -> Pool<Job> {
    loom::stop_exploring();
    let pool = Pool::new(workers, 0, 0).unwrap();
    while pool.stats().parked < workers {
        loom::thread::yield_now();
    }
    loom::explore();
    pool
}

/// How a pool ends is the claim of `pool_stop_drains`.
fn finish(pool: &Pool<Job>) {
    loom::stop_exploring();
    pool.stop();
    assert!(pool.join(None));
}

fn parent_with(children: usize, pool: Pool<Job>) {
    let (tell, told) = channel();
    let parent = Job::Parent(pool.clone(), children, Track::new(tell));
    assert!(pool.submit(parent).is_ok());
    told.recv().unwrap();
    finish(&pool);
}

#[test]
fn blocked_owner() {
    check("pool_steal::blocked_owner", 240_000, || {
        parent_with(1, Pool::new(2, 0, 0).unwrap());
    });
}

#[test]
fn half_is_stolen() {
    check("pool_steal::half_is_stolen", 30_000, || {
        parent_with(3, asleep(2));
    });
}

#[test]
fn one_after_the_other() {
    check("pool_steal::one_after_the_other", 2_000, || {
        let pool = asleep(2);
        let (tell, told) = channel();
        let parent = Job::OneByOne(pool.clone(), Track::new(tell));
        assert!(pool.submit(parent).is_ok());
        told.recv().unwrap();
        finish(&pool);
    });
}

#[test]
fn again_is_taken_over() {
    check("pool_steal::again_is_taken_over", 15_000, || {
        let pool = asleep(2);
        let (tell, told) = channel();
        let (end, ended) = channel();
        assert!(pool.submit(Job::Again(Track::new(tell))).is_ok());
        assert!(pool.submit(Job::Wait(Track::new((told, end)))).is_ok());
        ended.recv().unwrap();
        finish(&pool);
    });
}
