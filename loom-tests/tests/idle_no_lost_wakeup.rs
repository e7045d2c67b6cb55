//! No wake-up is lost: what is submitted while the workers go to sleep is run, without help from a later
//! submit or from `stop`. A lost wake-up shows as a deadlock.
//!
//! Mutants:
//! - `no_f1a`: `announce` without its fence (one_submitter).
//! - `no_f1b_asleep`: `fall_asleep` without its fence (one_submitter).
//! - `no_second_look`: `fall_asleep` does not look at the queues again (one_submitter).
//! - `no_f1b_leaving`: `leave_search` without its fence (blocked_run).
//! - `search_while_running`: a worker still counts as searching while its work runs (blocked_run).
//! - `token_left_behind`: who was called while getting up does not take the token (blocked_run).
//! - `no_handover`: `leave_search` does not wake the next one (blocked_run).
#![cfg(loom)]

use loom::sync::mpsc::{Receiver, Sender, channel};
use loom_tests::{Track, check};
use stasis_bus::internals::worker::{Next, Pool, Work};

enum Job {
    /// Says that it has run.
    Tell(Track<Sender<()>>),
    /// Waits for another job before it ends, as a handler that blocks does; then says so.
    WaitFor(Track<(Receiver<()>, Sender<()>)>),
}

impl Work for Job {
    fn run(self) -> Next<Self> {
        match self {
            Job::Tell(told) => told.get().send(()).unwrap(),
            Job::WaitFor(both) => {
                let (other, told) = both.get();
                other.recv().unwrap();
                told.send(()).unwrap();
            }
        }
        Next::Done
    }
}

fn submit_and_wait(pool: &Pool<Job>) {
    let (tell, told) = channel();
    assert!(pool.submit(Job::Tell(Track::new(tell))).is_ok());
    told.recv().unwrap();
}

/// How a pool ends is the claim of `pool_stop_drains`.
fn finish(pool: &Pool<Job>) {
    loom::stop_exploring();
    pool.stop();
    assert!(pool.join(None));
}

#[test]
fn one_submitter() {
    check("idle_no_lost_wakeup::one_submitter", 100, || {
        let pool = Pool::new(1, 0, 0).unwrap();
        submit_and_wait(&pool);
        finish(&pool);
    });
}

#[test]
fn two_submitters() {
    check("idle_no_lost_wakeup::two_submitters", 4_000, || {
        let pool = Pool::new(1, 0, 0).unwrap();
        let other = pool.clone();
        let submitter = loom::thread::spawn(move || submit_and_wait(&other));
        submit_and_wait(&pool);
        submitter.join().unwrap();
        finish(&pool);
    });
}

#[test]
fn blocked_run() {
    check("idle_no_lost_wakeup::blocked_run", 100_000, || {
        let pool = Pool::new(2, 0, 0).unwrap();
        let (tell, told) = channel();
        let (end, ended) = channel();
        assert!(pool.submit(Job::WaitFor(Track::new((told, end)))).is_ok());
        assert!(pool.submit(Job::Tell(Track::new(tell))).is_ok());
        ended.recv().unwrap();
        finish(&pool);
    });
}
