//! The pool's handle: spawning, submitting, stopping, joining, statistics. What a worker does with the
//! work stands in `crew.rs`, who is woken for it in `idle.rs`.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::time::Instant;

use super::crew::{Crew, Worker};
use super::idle::Announced;
use super::stats::PoolStats;
use super::word::MAX_WORKERS;
use super::{Run, current};
use crate::sync::thread::{Builder, JoinHandle, available_parallelism};
use crate::sync::unmodelled::Arc;
use crate::sync::{Condvar, Mutex};

/// How long a worker without work looks for some before it sleeps. A worker that sleeps uses no CPU; one
/// that looks is found faster. Both limits are numbers of looks, so that a pool at rest always gets to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdleStrategy {
    /// Looks with a spin-loop hint after each. Of use only if cores are to spare.
    pub spins: u32,
    /// Looks after those, with a yield of the thread after each.
    pub yields: u32,
    /// Looks, [`PAUSES`](super::pace::PAUSES) spin-loop hints apart, whether there is more to do for the
    /// work that was run last.
    pub lingers: u32,
}

impl Default for IdleStrategy {
    /// To linger, some microseconds, costs less than to be called once; but on one core nothing can come
    /// meanwhile, and a spinning worker keeps the submitter away: there it yields instead. A worker that
    /// yields is away for as long as the system likes, and nobody is woken in its place: elsewhere it does so
    /// once.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            spins: 0,
            yields: if cores > 1 { 1 } else { 4 },
            lingers: if cores > 1 { LINGERS } else { 0 },
        }
    }
}

/// How often a worker looks whether there is more to do for what it has just run: 5 to 10 microseconds, about
/// what it costs to call a sleeping thread; more if it is patient (`patience.rs`). None in models, which have
/// no clock.
const LINGERS: u32 = if cfg!(loom) { 0 } else { 16 };

/// What a pool is made from.
#[derive(Debug, Clone)]
pub(crate) struct PoolOptions {
    /// Threads; at most [`MAX_WORKERS`].
    pub workers: NonZeroUsize,
    /// The threads are called `{name}-{i}`.
    pub name: String,
    /// What a worker does before it sleeps.
    pub wait: IdleStrategy,
}

/// The handle of a pool. The threads live until [`Pool::stop`]; dropping all handles does not end them.
pub(crate) struct Pool<R: Run> {
    shared: Arc<Shared<R>>,
}

struct Shared<R> {
    crew: Arc<Crew<R>>,
    handles: Mutex<Vec<JoinHandle<()>>>,
    exits: Arc<Exits>,
}

/// How many worker threads are still there, and a place to wait for the last one.
struct Exits {
    live: Mutex<usize>,
    changed: Condvar,
}

/// Counts its thread out when it is dropped, whatever ends the thread.
struct CountOut(Arc<Exits>);

impl Drop for CountOut {
    fn drop(&mut self) {
        let mut live = self.0.live.lock();
        *live -= 1;
        self.0.changed.notify_one();
    }
}

impl<R: Run> Pool<R> {
    /// Spawns the workers.
    ///
    /// # Errors
    /// `InvalidInput`: more than [`MAX_WORKERS`], or a name with a zero byte. Otherwise what the system
    /// said when a thread could not be spawned; those spawned before have been stopped and joined.
    pub(crate) fn new(options: PoolOptions) -> io::Result<Self> {
        Self::with_spawner(options, |builder, body| builder.spawn(body))
    }

    pub(super) fn with_spawner(
        options: PoolOptions,
        mut spawn: impl FnMut(Builder, Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>,
    ) -> io::Result<Self> {
        let workers = options.workers.get();
        if workers > MAX_WORKERS {
            let why = format!("a pool has at most {MAX_WORKERS} workers, not {workers}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if options.name.contains('\0') {
            let why = "the name of a pool's threads contains a zero byte";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let pool = Self {
            shared: Arc::new(Shared {
                crew: Arc::new(Crew::new(workers, options.wait)),
                handles: Mutex::new(Vec::with_capacity(workers)),
                exits: Arc::new(Exits {
                    live: Mutex::new(0),
                    changed: Condvar::new(),
                }),
            }),
        };
        for index in 0..workers {
            let builder = Builder::new().name(format!("{}-{index}", options.name));
            if let Err(error) = pool.spawn_worker(index, builder, &mut spawn) {
                pool.shared.crew.idle.set_workers(index);
                pool.stop();
                pool.join(None);
                return Err(error);
            }
        }
        Ok(pool)
    }

    fn spawn_worker(
        &self,
        index: usize,
        builder: Builder,
        spawn: &mut impl FnMut(Builder, Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>,
    ) -> io::Result<()> {
        let exits = Arc::clone(&self.shared.exits);
        *exits.live.lock() += 1;
        // Dropped with the closure if the thread cannot be spawned, so the count is right then as well.
        let count_out = CountOut(exits);
        let worker = Worker::new(Arc::clone(&self.shared.crew), index);
        let handle = spawn(
            builder,
            Box::new(move || {
                let _count_out = count_out;
                worker.work_until_gone();
            }),
        )?;
        self.shared.handles.lock().push(handle);
        Ok(())
    }

    /// Hands over one piece of work. On a worker of this pool it goes to the worker's own queue.
    ///
    /// # Errors
    /// Gives work back once the workers are gone (stopped, and out of work). When several threads are
    /// refused at once, each gets one of the refused pieces, not necessarily its own.
    pub(crate) fn submit(&self, work: R) -> Result<(), R> {
        let crew = &self.shared.crew;
        if let Some(index) = current::index_in(crew) {
            crew.submit_local(index, [work]);
            return Ok(());
        }
        crew.injector.push(work);
        match crew.idle.announce() {
            Announced::Heard => Ok(()),
            Announced::Gone => crew.take_back(1).pop().map_or(Ok(()), Err),
        }
    }

    /// Hands over a burst, with one decision about waking a worker after the last piece. The iterator must
    /// not unwind: what it gave before would wait for the next submit.
    ///
    /// # Errors
    /// Gives as many pieces back as were handed over, as [`Pool::submit`] does.
    pub(crate) fn submit_all(&self, burst: impl IntoIterator<Item = R>) -> Result<(), Vec<R>> {
        let crew = &self.shared.crew;
        if let Some(index) = current::index_in(crew) {
            crew.submit_local(index, burst);
            return Ok(());
        }
        let mut count = 0;
        for work in burst {
            crew.injector.push(work);
            count += 1;
        }
        if count == 0 {
            return Ok(());
        }
        match crew.idle.announce() {
            Announced::Heard => Ok(()),
            Announced::Gone => Err(crew.take_back(count)),
        }
    }

    /// Whether this thread is a worker of this pool: then [`Pool::submit_here`] will do, which needs no
    /// handle that lives for as long.
    pub(crate) fn is_here(&self) -> bool {
        current::index_in(&self.shared.crew).is_some()
    }

    /// [`Pool::submit_all`], on a worker, to its own pool: never refused.
    pub(crate) fn submit_here(burst: impl IntoIterator<Item = R>) {
        let submitted =
            current::with(|crew: &Crew<R>, index: usize| crew.submit_local(index, burst));
        debug_assert!(submitted.is_some(), "on a worker of such a pool");
    }

    /// Tells the workers to end when all that was submitted has been run to its end, `Again` and `Stalled`
    /// included. Does not wait. Work may still be submitted; who comes too late gets it back.
    pub(crate) fn stop(&self) {
        self.shared.crew.idle.stop();
    }

    /// Waits for the threads to end. True: they have. Never called on a worker: it would wait for itself.
    pub(crate) fn join(&self, deadline: Option<Instant>) -> bool {
        debug_assert!(!Self::on_worker(), "join on a worker");
        let exits = &self.shared.exits;
        let mut live = exits.live.lock();
        while *live > 0 {
            live = match deadline {
                None => exits.changed.wait(live),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    exits.changed.wait_timeout(live, left).0
                }
            };
        }
        // Only one joiner is told by the last worker; each tells the next.
        exits.changed.notify_one();
        drop(live);
        // The bodies have ended; this waits for what the system does after. The lock is held, so that
        // another joiner does not return before it is done. No user code runs under it.
        let mut handles = self.shared.handles.lock();
        for handle in handles.drain(..) {
            let ended = handle.join();
            debug_assert!(ended.is_ok());
        }
        true
    }

    /// Whether this thread is a worker of any pool.
    pub(crate) fn on_worker() -> bool {
        current::on_worker()
    }

    /// A look at the counters.
    pub(crate) fn stats(&self) -> PoolStats {
        self.shared.crew.stats()
    }
}

impl<R: Run> Clone for Pool<R> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<R: Run> fmt::Debug for Pool<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("idle", &self.shared.crew.idle)
            .finish_non_exhaustive()
    }
}
