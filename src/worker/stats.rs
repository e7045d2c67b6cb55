//! Counters of the pool. Nobody decides anything by them, so they are std's in both builds, Relaxed, and
//! one worker's stand on cache lines of their own.

use std::time::Duration;

use crate::sync::atomic::Ordering;
use crate::sync::clock;
use crate::sync::unmodelled::AtomicU64;

/// A run that has lasted this long counts as blocked.
pub(super) const BLOCKED_AFTER: Duration = Duration::from_millis(10);

/// What the pool has done and is doing. Counts run over the pool's life; each is read on its own, so they
/// need not agree with one another while the pool is at work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PoolStats {
    /// Threads of the pool.
    pub workers: usize,
    /// Workers that sleep.
    pub parked: usize,
    /// Workers that look for work.
    pub searching: usize,
    /// Runs that have ended.
    pub runs: u64,
    /// Pieces of work that one worker took from another's queue.
    pub steals: u64,
    /// Times that a sleeping worker was woken for work.
    pub wakeups: u64,
    /// Pieces of work that came through the injector.
    pub injected: u64,
    /// Runs of work that had stalled in its run before.
    pub stalled_retries: u64,
    /// How long the longest of the runs in progress has lasted.
    pub longest_current_run: Duration,
    /// Runs in progress that have lasted for more than 10 ms.
    pub blocked: usize,
}

/// A count that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// By one thread at a time: no read-modify-write.
    pub(super) fn add_owned(&self, count: u64) {
        // Relaxed: a statistic with one writer at a time; no one reads through it.
        self.0.store(self.get() + count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        // Relaxed: a statistic; no one reads through it.
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker counts. Written by that worker only.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct WorkerCounters {
    pub(super) runs: Counter,
    pub(super) steals: Counter,
    pub(super) injected: Counter,
    pub(super) stalled_retries: Counter,
    /// Pieces of work that it has put into its own queue.
    pub(super) pushed: Counter,
    /// When the run in progress began, by the clock's ticks. 0: no run.
    run_began: AtomicU64,
}

impl WorkerCounters {
    pub(super) fn begin_run(&self) {
        // Relaxed: a statistic; no one reads through it.
        self.run_began
            .store(clock::ticks().max(1), Ordering::Relaxed);
    }

    pub(super) fn end_run(&self) {
        // Relaxed: a statistic; no one reads through it.
        self.run_began.store(0, Ordering::Relaxed);
        self.runs.add_owned(1);
    }

    pub(super) fn add_to(&self, stats: &mut PoolStats) {
        stats.runs += self.runs.get();
        stats.steals += self.steals.get();
        stats.injected += self.injected.get();
        stats.stalled_retries += self.stalled_retries.get();
        // Relaxed: a statistic; no one reads through it.
        let began = self.run_began.load(Ordering::Relaxed);
        if began != 0 {
            let lasted = Duration::from_nanos(clock::read().age_of(began));
            stats.longest_current_run = stats.longest_current_run.max(lasted);
            stats.blocked += usize::from(lasted > BLOCKED_AFTER);
        }
    }
}
