//! Who waits for room in a full ring, and how they are woken. It is a second protocol beside the one-word
//! one, with store-load reasoning of its own, and only mailboxes that block their publishers pay for it.
//!
//! The waiter registers, passes fence F2a, and tries once more before it waits. The consumer tells how far it
//! has come, passes fence F2b, and looks for waiters. If F2a comes first in the order of the fences, the
//! consumer sees the waiter; if F2b does, the waiter's last try sees the room. Either way nobody sleeps on.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering, fence};

/// The waiters of one ring; `W` is whatever wakes one.
#[derive(Debug)]
pub struct RoomWaiters<W> {
    /// Set when one registers, cleared when all are taken: both under the lock.
    any: AtomicBool,
    waiters: Mutex<Vec<W>>,
}

impl<W> Default for RoomWaiters<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W> RoomWaiters<W> {
    /// Nobody waits.
    pub fn new() -> Self {
        Self {
            any: AtomicBool::new(false),
            waiters: Mutex::new(Vec::new()),
        }
    }

    /// Registers a waiter, which may be registered already, from a try before. The caller then tries once
    /// more, and waits only if there is still no room.
    pub fn register_once(&self, waiter: &W)
    where
        W: Clone + PartialEq,
    {
        {
            let mut waiters = self.waiters.lock();
            if !waiters.contains(waiter) {
                waiters.push(waiter.clone());
            }
            // Relaxed: ordered by fence F2a.
            self.any.store(true, Ordering::Relaxed);
        }
        // SeqCst: F2a, pairs with F2b in `take`.
        fence(Ordering::SeqCst);
    }

    /// Forgets one who waits no more. It is handed out: its drop may be code of the user's.
    #[must_use]
    pub fn forget(&self, waiter: &W) -> Option<W>
    where
        W: PartialEq,
    {
        let mut waiters = self.waiters.lock();
        let place = waiters.iter().position(|known| known == waiter)?;
        Some(waiters.swap_remove(place))
    }

    /// Everybody who waits, to be woken by the consumer, which has just told how far it has come, or by
    /// whoever has just closed the ring.
    pub fn take(&self) -> Vec<W> {
        // SeqCst: F2b, pairs with F2a in `register_once`.
        fence(Ordering::SeqCst);
        // Relaxed: ordered by fence F2b.
        if !self.any.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut waiters = self.waiters.lock();
        // Relaxed: under the lock that `register_once` holds when it sets it.
        self.any.store(false, Ordering::Relaxed);
        std::mem::take(&mut waiters)
    }
}
