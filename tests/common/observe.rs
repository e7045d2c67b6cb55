//! Observers: logs, gates, drop flags, and waiting with a deadline.

use super::DEADLINE;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// What happened, in its order. Clones are the same log.
pub struct Log<T>(Arc<(Mutex<Vec<T>>, Condvar)>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Log<T> {
    pub fn new() -> Self {
        Self(Arc::new((Mutex::new(Vec::new()), Condvar::new())))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, entry: T) {
        self.lock().push(entry);
        self.0.1.notify_all();
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.lock())
    }

    /// Waits until there are `len` entries.
    #[track_caller]
    pub fn wait_len(&self, len: usize) {
        let end = Instant::now() + DEADLINE;
        let mut entries = self.lock();
        while entries.len() < len {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {len} entries came", entries.len());
            let waited = self.0.1.wait_timeout(entries, left);
            entries = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T: Clone> Log<T> {
    pub fn get(&self) -> Vec<T> {
        self.lock().clone()
    }
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Closed until it is opened; tells how many stand before it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<(bool, usize)>, Condvar)>);

impl Gate {
    pub fn new() -> Self {
        Self::default()
    }

    fn wait_for(&self, what: &str, until: impl Fn(&(bool, usize)) -> bool) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let end = Instant::now() + DEADLINE;
        while !until(&state) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "a gate: {what}");
            let waited = changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn change(&self, f: impl FnOnce(&mut (bool, usize))) {
        f(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_all();
    }

    /// Waits until it is open.
    pub fn pass(&self) {
        self.change(|state| state.1 += 1);
        self.wait_for("never opened", |state| state.0);
    }

    pub fn open(&self) {
        self.change(|state| state.0 = true);
    }

    /// Waits until somebody stands before it, or has passed it.
    pub fn wait_arrived(&self, count: usize) {
        self.wait_for("nobody came", |state| state.1 >= count);
    }
}

/// Counts how often a [`DropFlag::guard`] of it was dropped.
#[derive(Clone, Default)]
pub struct DropFlag(Arc<AtomicU64>);

pub struct DropGuard(Arc<AtomicU64>);

impl DropFlag {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn guard(&self) -> DropGuard {
        DropGuard(Arc::clone(&self.0))
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn is_dropped(&self) -> bool {
        self.count() > 0
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Looks again and again, for what nobody tells.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_micros(100));
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let end = Instant::now() + DEADLINE;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "a future was never ready");
        thread::park_timeout(left);
    }
}
