//! The worker pool: a fixed number of threads that run small pieces of work, steal from each other, and
//! sleep when there is none. It knows the work only as [`Run`]; it is *not* the place for topics, messages,
//! mailboxes or panics of handlers.
//!
//! - [`pool`]: the pool's handle: submit, stop, join, statistics.
//! - [`crew`]: what one worker does: which work is next, running it, stealing, work that has stalled.
//! - [`current`]: which worker a thread is.
//! - [`injector`]: the queue that work from outside goes through.
//! - [`idle`]: who searches, who sleeps, who is woken, and how the pool ends. Its protocol and the argument
//!   that no wake-up is lost stand in `README.md` beside it.
//! - [`word`]: the one state word of that protocol.
//! - [`pace`]: how soon it is looked whether more has come.
//! - [`patience`]: for how long a worker lingers over what it ran last.
//! - [`stats`]: counters that nobody reads through.
//!
//! A piece of work is a value. It is in one place at a time (a queue, a worker's hands, the shelf), and who
//! takes it out of there owns it, so it runs on one worker at a time (D3) without any flag of its own.

mod crew;
mod current;
mod idle;
mod injector;
#[cfg(any(loom, feature = "internals"))]
pub mod internals;
mod pace;
mod patience;
mod pool;
mod stats;
#[cfg(all(test, not(loom)))]
mod tests;
mod word;

pub(crate) use current::on_worker;
pub(crate) use pace::{Pace, pause};
pub(crate) use pool::{IdleStrategy, Pool, PoolOptions};
pub(crate) use stats::PoolStats;
pub(crate) use word::MAX_WORKERS;

/// Work that the pool runs. Each value is submitted once and runs on one worker at a time.
pub(crate) trait Run: Send + Sized + 'static {
    /// Runs up to a budget of the work's own and says what is left. It must not unwind: a panic that gets
    /// this far aborts the process, because the work, and what others wait for, would be lost silently.
    fn run(self) -> Outcome<Self>;

    /// Whether there is something to do by now for work that was [`Outcome::Idle`]. Cheap; old news will do.
    fn is_ready(&self) -> bool {
        false
    }

    /// Gives up work that was [`Outcome::Idle`]: who has something to do for it submits it again. It comes
    /// back if that has happened already.
    fn rest(self) -> Result<(), Self> {
        Ok(())
    }
}

/// What is left of a piece of work after a run.
#[derive(Debug)]
pub(crate) enum Outcome<R> {
    /// Nothing.
    Done,
    /// Nothing for now. Its worker, if nothing else waits, looks for a few microseconds whether something
    /// comes: that is cheaper for everybody than to submit it anew for each message. With how much was done
    /// in this run: see [`Pace`].
    Idle(R, u32),
    /// There is more to do. The work goes to the back, behind what waits already.
    Again(R),
    /// The work cannot go on right now (an unwritten head). It is retried with a growing delay, while its
    /// worker runs other work or sleeps; it is never retried in a hot loop.
    Stalled(R),
}
