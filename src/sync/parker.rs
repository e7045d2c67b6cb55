//! A token for one waiting thread: `park` waits until the token is there and takes it, `unpark` puts it
//! there. Tokens do not add up. Unlike `std::thread::park` it is not tied to a thread, so user code that
//! parks its own thread cannot take a token of ours.

use super::atomic::{AtomicU32, Ordering};
use super::{Condvar, Mutex};
use ::std::time::{Duration, Instant};

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const NOTIFIED: u32 = 2;

/// See the module. One thread parks; any number unpark.
#[derive(Debug)]
pub(crate) struct Parker {
    /// `EMPTY` -> `PARKED` (park), -> `NOTIFIED` (unpark), -> `EMPTY` (park returns).
    state: AtomicU32,
    lock: Mutex<()>,
    condvar: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU32::new(EMPTY),
            lock: Mutex::new(()),
            condvar: Condvar::new(),
        }
    }

    /// Waits for the token and takes it. Acquire: sees what the thread that unparked did before.
    pub(crate) fn park(&self) {
        let woken = self.park_until(None);
        debug_assert!(woken);
    }

    /// Like [`Self::park`], for at most `timeout`. False if the time ran out first.
    pub(crate) fn park_timeout(&self, timeout: Duration) -> bool {
        self.park_until(Instant::now().checked_add(timeout))
    }

    fn park_until(&self, deadline: Option<Instant>) -> bool {
        if self.take() {
            return true;
        }
        let mut guard = self.lock.lock();
        // Acquire on failure is not needed: `take` below reads again.
        // Relaxed: the lock orders this with the `notify_one` in `unpark`.
        if self
            .state
            .compare_exchange(EMPTY, PARKED, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            return self.take();
        }
        loop {
            match deadline {
                None => guard = self.condvar.wait(guard),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    guard = self.condvar.wait_timeout(guard, left).0;
                }
            }
            if self.take() {
                return true;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                // Acquire: a token that came just now is taken, and with it what came before it.
                return self.state.swap(EMPTY, Ordering::Acquire) == NOTIFIED;
            }
        }
    }

    /// Puts the token there and wakes the thread that waits for it. Release: pairs with `park`.
    pub(crate) fn unpark(&self) {
        // Release: what this thread did is visible to `park`.
        if self.state.swap(NOTIFIED, Ordering::Release) == PARKED {
            // The lock makes sure that the sleeper is in `wait`, not between its CAS and `wait`.
            drop(self.lock.lock());
            self.condvar.notify_one();
        }
    }

    fn take(&self) -> bool {
        // Acquire: pairs with the swap in `unpark`.
        self.state
            .compare_exchange(NOTIFIED, EMPTY, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}
