//! The pool for the models in `loom-tests/` and for benches: public names around the crate's own code.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use std::{fmt, io};

use super::{IdleStrategy, Outcome, Run};

/// See `worker::Run`.
pub trait Work: Send + Sized + 'static {
    /// Runs once; see [`Next`].
    fn run(self) -> Next<Self>;
}

/// See `worker::Outcome`.
#[derive(Debug)]
pub enum Next<W> {
    /// Nothing is left.
    Done,
    /// More to do.
    Again(W),
    /// Cannot go on now.
    Stalled(W),
}

#[derive(Debug)]
struct Job<W>(W);

impl<W: Work> Run for Job<W> {
    fn run(self) -> Outcome<Self> {
        match self.0.run() {
            Next::Done => Outcome::Done,
            Next::Again(work) => Outcome::Again(Job(work)),
            Next::Stalled(work) => Outcome::Stalled(Job(work)),
        }
    }
}

/// See `worker::Pool`.
pub struct Pool<W: Work>(super::Pool<Job<W>>);

impl<W: Work> Pool<W> {
    /// A pool whose workers look `spins + yields + 1` times before they sleep.
    pub fn new(workers: usize, spins: u32, yields: u32) -> io::Result<Self> {
        let workers = NonZeroUsize::new(workers)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no workers"))?;
        super::Pool::new(super::PoolOptions {
            workers,
            name: "worker".to_owned(),
            wait: IdleStrategy {
                spins,
                yields,
                lingers: 0,
            },
        })
        .map(Self)
    }

    /// See `worker::Pool::submit`.
    pub fn submit(&self, work: W) -> Result<(), W> {
        self.0.submit(Job(work)).map_err(|job| job.0)
    }

    /// See `worker::Pool::submit_all`.
    pub fn submit_all(&self, burst: impl IntoIterator<Item = W>) -> Result<(), Vec<W>> {
        self.0
            .submit_all(burst.into_iter().map(Job))
            .map_err(|jobs| jobs.into_iter().map(|job| job.0).collect())
    }

    /// See `worker::Pool::stop`.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// See `worker::Pool::join`.
    pub fn join(&self, deadline: Option<Instant>) -> bool {
        self.0.join(deadline)
    }

    /// See `worker::Pool::on_worker`.
    pub fn on_worker() -> bool {
        super::on_worker()
    }

    /// See `worker::PoolStats`.
    pub fn stats(&self) -> Stats {
        let stats = self.0.stats();
        Stats {
            parked: stats.parked,
            searching: stats.searching,
            runs: stats.runs,
            steals: stats.steals,
            wakeups: stats.wakeups,
            longest_current_run: stats.longest_current_run,
        }
    }
}

/// See `worker::PoolStats`.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "see `worker::PoolStats`")]
pub struct Stats {
    pub parked: usize,
    pub searching: usize,
    pub runs: u64,
    pub steals: u64,
    pub wakeups: u64,
    pub longest_current_run: Duration,
}

impl<W: Work> Clone for Pool<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W: Work> fmt::Debug for Pool<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
