//! The only file that knows crossbeam-epoch: pin, load, replace, retire. What is read under a pin is an
//! immutable value that was replaced as a whole. Nothing of the user's is ever retired here (R1): what hangs
//! on an [`EpochCell`] owns memory of the bus and nothing else.

#![expect(
    unsafe_code,
    reason = "an epoch-protected pointer is dereferenced under its guard"
)]

use crate::sync;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::unmodelled::Arc;
use crossbeam_epoch as epoch;
use crossbeam_epoch::{Collector, LocalHandle, Owned};
use std::time::Duration;

pub(crate) use crossbeam_epoch::Guard;

// A collector of our own: a thread of the user's that stays pinned in the global one must not hold up our
// garbage, nor ours hold up theirs.
#[cfg(not(loom))]
static COLLECTOR: std::sync::LazyLock<Collector> = std::sync::LazyLock::new(Collector::new);
#[cfg(loom)]
loom::lazy_static! { static ref COLLECTOR: Collector = Collector::new(); }

sync::thread_local! { static HANDLE: LocalHandle = COLLECTOR.register(); }

/// Keeps alive everything that can be loaded from an [`EpochCell`] until the guard is dropped. Never held
/// while user code runs (R1).
#[inline]
pub(crate) fn pin() -> Guard {
    HANDLE
        .try_with(|handle| handle.pin())
        // The thread is being torn down: a handle for this one pin.
        .unwrap_or_else(|_| COLLECTOR.register().pin())
}

/// How often [`outwait_pins`] yields before it sleeps, and for how long it does then.
const YIELDS: u32 = 64;
const NAP: Duration = Duration::from_micros(50);

/// Waits until every pin that is held now is gone. Legal under locks of the bus and in handlers: a pin is
/// held for the offers of one message, and who holds it waits for nobody but for others who do.
pub(crate) fn outwait_pins() {
    let over = Arc::new(AtomicBool::new(false));
    {
        let guard = pin();
        let over = Arc::clone(&over);
        // Release: what was done under those pins is visible to who waits below.
        guard.defer(move || over.store(true, Ordering::Release));
        guard.flush();
    }
    let mut looks = 0;
    // Acquire: pairs with the store above.
    while !over.load(Ordering::Acquire) {
        if looks < YIELDS {
            looks += 1;
            sync::thread::yield_now();
        } else {
            sync::thread::sleep(NAP);
        }
        pin().flush();
    }
}

/// Frees what was retired as far as that is possible now: models have no patience.
#[cfg(loom)]
pub fn collect() {
    pin().flush();
}

/// A pointer to an immutable value, or null. Readers load it under a guard, without a lock; whoever replaces
/// it holds the lock that its owner uses for changes.
#[derive(Debug)]
pub(crate) struct EpochCell<T>(epoch::Atomic<Watched<T>>, sync::Shadow);

/// In models, to free it is an access that races with those of its readers.
#[derive(Debug)]
struct Watched<T> {
    value: T,
    canary: sync::Canary,
}

impl<T> EpochCell<T> {
    pub(crate) fn null() -> Self {
        Self(epoch::Atomic::null(), sync::Shadow::new())
    }

    /// The value as of now, for as long as `guard` is held.
    #[inline]
    pub(crate) fn load<'g>(&self, guard: &'g Guard) -> Option<&'g T> {
        self.1.touch();
        // Acquire: what `replace` wrote into the value before it published it is visible.
        let shared = self.0.load(Ordering::Acquire, guard);
        // SAFETY: it is null or was published by `replace`, and is retired, not freed, while a guard is held
        let watched = unsafe { shared.as_ref() }?;
        watched.canary.read();
        Some(&watched.value)
    }

    /// True: there is no value as of now. To know that takes no guard.
    #[inline]
    pub(crate) fn is_null(&self) -> bool {
        self.1.touch();
        // SAFETY: what is loaded is compared, and not followed
        let unprotected = unsafe { epoch::unprotected() };
        // Acquire: what was done before the value went is visible.
        self.0.load(Ordering::Acquire, unprotected).is_null()
    }

    /// Publishes `value` in place of the old one, which is freed once no guard can see it.
    pub(crate) fn replace(&self, value: Option<T>, guard: &Guard)
    where
        T: Send + 'static,
    {
        self.replace_between(value, guard, || (), || ());
    }

    /// The same, with something that is to be done right before, and something right after: nothing is
    /// allocated or freed between them.
    pub(crate) fn replace_between(
        &self,
        value: Option<T>,
        guard: &Guard,
        before: impl FnOnce(),
        after: impl FnOnce(),
    ) where
        T: Send + 'static,
    {
        let new = match value {
            Some(value) => Owned::new(Watched {
                value,
                canary: sync::Canary::new(),
            })
            .into_shared(guard),
            None => epoch::Shared::null(),
        };
        before();
        // AcqRel: Release makes the new value visible to `load`; Acquire lets the destructor of the old one,
        // which may run on this thread, see what its maker wrote.
        let old = self.0.swap(new, Ordering::AcqRel, guard);
        after();
        if !old.is_null() {
            // SAFETY: the swap took it out, so nobody can load it any more, and only we retire it
            unsafe { guard.defer_destroy(old) };
        }
    }
}

impl<T> Drop for EpochCell<T> {
    fn drop(&mut self) {
        let current = std::mem::replace(&mut self.0, epoch::Atomic::null());
        // SAFETY: `&mut self`: no reader is left, and what is current was never retired
        drop(unsafe { current.try_into_owned() });
    }
}

/// Retires a value: dropped once no guard that is held now is held any more. One of up to three words costs
/// no allocation.
pub(crate) fn retire<T: Send + 'static>(value: T, guard: &Guard) {
    guard.defer(move || drop(value));
}
