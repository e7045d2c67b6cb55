//! A token for one waiting thread: `park` waits until the token is there and takes it, `unpark` puts it
//! there. Tokens do not add up. Unlike `std::thread::park` it is not tied to a thread, so user code that
//! parks its own thread cannot take a token of ours.

use super::atomic::Ordering;
use super::futex::Futex;
use ::std::time::{Duration, Instant};

/// Nobody waits, and no token is there. One less than `NOTIFIED`, and one more than `PARKED`.
const EMPTY: u32 = 0;
const NOTIFIED: u32 = 1;
const PARKED: u32 = u32::MAX;

/// See the module. One thread parks; any number unpark.
#[derive(Debug)]
pub(crate) struct Parker {
    /// `EMPTY` -> `PARKED` (park), -> `NOTIFIED` (unpark), -> `EMPTY` (park returns).
    state: Futex,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self {
            state: Futex::new(EMPTY),
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
        // `NOTIFIED` -> `EMPTY`, or `EMPTY` -> `PARKED`. Acquire: pairs with the swap in `unpark`, if the
        // token was there.
        let before = self.state.fetch_sub(1, Ordering::Acquire);
        debug_assert_ne!(before, PARKED, "two threads park");
        if before == NOTIFIED {
            return true;
        }
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            self.state.wait(PARKED, left);
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
            self.state.wake_one();
        }
    }

    fn take(&self) -> bool {
        // Acquire: pairs with the swap in `unpark`.
        self.state
            .compare_exchange(NOTIFIED, EMPTY, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}
