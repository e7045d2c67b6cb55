//! `stop` ends the pool after all that was submitted has been run, `Again` and `Stalled` included; work that
//! is submitted meanwhile is run or given back, never lost. What is neither run nor given back lives on as
//! a `Track` in a queue of the pool, and the counts differ; a worker that is not told shows as a deadlock.
//!
//! Mutants:
//! - `no_look_at_end`, `no_f1b_at_end`: the last worker does not look again, or looks too early (late_submit).
//! - `gone_not_told`: a submitter that comes too late is told that all is well (late_submit).
//! - `stop_wakes_nobody`: `stop` leaves all asleep (everything_is_run).
//! - `end_while_one_works`: a worker ends the pool while the other one runs (two_workers).
#![cfg(loom)]

use std::cell::Cell;

use loom::sync::mpsc::{Sender, channel};
use loom_tests::{Track, check};
use stasis_bus::internals::worker::{Next, Pool, Work};

thread_local! {
    /// Runs that ended. All threads of a model run on one thread of the system.
    static ENDED: Cell<usize> = const { Cell::new(0) };
}

enum Step {
    Done,
    Again,
    Stalled,
    /// Submits one more, on its worker.
    Submit(Pool<Job>),
    /// Submits one more, on its worker, and does not end before that has been run, by another.
    WaitForChild(Pool<Job>),
    Child(Sender<()>),
}

struct Job(Track<Step>);

impl Work for Job {
    fn run(self) -> Next<Self> {
        match self.0.get() {
            Step::Done => {}
            Step::Again => return Next::Again(job(Step::Done)),
            Step::Stalled => return Next::Stalled(job(Step::Done)),
            Step::Submit(pool) => assert!(pool.submit(job(Step::Done)).is_ok()),
            Step::WaitForChild(pool) => {
                let (tell, told) = channel();
                assert!(pool.submit(job(Step::Child(tell))).is_ok());
                told.recv().unwrap();
            }
            Step::Child(told) => told.send(()).unwrap(),
        }
        ENDED.with(|ended| ended.set(ended.get() + 1));
        Next::Done
    }
}

fn job(step: Step) -> Job {
    Job(Track::new(step))
}

fn ended() -> usize {
    ENDED.with(Cell::get)
}

/// A pool whose workers sleep already; how they fall asleep is the claim of `idle_no_lost_wakeup`.
fn asleep(workers: usize) -> Pool<Job> {
    ENDED.with(|ended| ended.set(0));
    loom::stop_exploring();
    let pool = Pool::new(workers, 0, 0).unwrap();
    while pool.stats().parked < workers {
        loom::thread::yield_now();
    }
    loom::explore();
    pool
}

fn finish(pool: &Pool<Job>) {
    pool.stop();
    assert!(pool.join(None));
}

#[test]
fn everything_is_run() {
    check("pool_stop_drains::everything_is_run", 2_000, || {
        let pool = asleep(1);
        for step in [Step::Again, Step::Stalled, Step::Submit(pool.clone())] {
            assert!(pool.submit(job(step)).is_ok());
        }
        finish(&pool);
        assert_eq!(ended(), 4);
    });
}

#[test]
fn late_submit() {
    check("pool_stop_drains::late_submit", 1_500, || {
        ENDED.with(|ended| ended.set(0));
        let pool = Pool::new(1, 0, 0).unwrap();
        let other = pool.clone();
        let submitter =
            loom::thread::spawn(move || usize::from(other.submit(job(Step::Done)).is_ok()));
        finish(&pool);
        let accepted = submitter.join().unwrap();
        assert_eq!(ended(), accepted);
    });
}

#[test]
fn two_workers() {
    check("pool_stop_drains::two_workers", 8_000, || {
        let pool = asleep(2);
        assert!(pool.submit(job(Step::WaitForChild(pool.clone()))).is_ok());
        finish(&pool);
        assert_eq!(ended(), 2);
    });
}
