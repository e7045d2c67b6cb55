//! The primitives of the production build: std's, triomphe's and crossbeam's, under the names of the facade.

#![expect(
    unsafe_code,
    reason = "PayloadArc hands out raw pointers for thin, type-erased messages"
)]

use ::std::mem::MaybeUninit;
use ::std::ptr::NonNull;

pub(crate) use ::std::thread_local;
pub(crate) use crossbeam_queue::{ArrayQueue, SegQueue};

/// To take from a queue that is empty most of the time.
pub(crate) trait Take<T> {
    /// `pop`, but an empty queue costs two loads and no fence.
    fn take(&self) -> Option<T>;
}

impl<T> Take<T> for ArrayQueue<T> {
    #[inline]
    fn take(&self) -> Option<T> {
        if self.is_empty() { None } else { self.pop() }
    }
}

impl<T> Take<T> for SegQueue<T> {
    #[inline]
    fn take(&self) -> Option<T> {
        if self.is_empty() { None } else { self.pop() }
    }
}

pub(crate) mod atomic {
    pub(crate) use ::std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

pub(crate) mod thread {
    pub(crate) use ::std::thread::{
        Builder, JoinHandle, available_parallelism, scope, sleep, yield_now,
    };
}

pub(crate) mod hint {
    pub(crate) use ::std::hint::spin_loop;

    /// Fetches the cache line that `place` is on, to be written soon. Changes nothing, and waits for nothing.
    #[inline(always)]
    pub(crate) fn prefetch_for_write<T>(place: *const T) {
        // Not for miri, which has no assembler. Where the CPU does not know the instruction, it does nothing.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: a hint: it reads and writes nothing, whatever the address is
        unsafe {
            ::std::arch::asm!(
                "prefetchw [{place}]",
                place = in(reg) place,
                options(nostack, preserves_flags, readonly)
            );
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let _ = place;
    }
}

/// A cell whose accesses loom can track: `with` for reading, `with_mut` for writing.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(::std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(::std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// A mutex without poisoning: no lock of the crate is held while user code runs (R1), so a panic cannot
/// leave one half-way.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(::std::sync::Mutex<T>);

pub(crate) type MutexGuard<'a, T> = ::std::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(::std::sync::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A condition variable to go with [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(::std::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(::std::sync::Condvar::new())
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0
            .wait(guard)
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Returns the guard and whether the time ran out.
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: ::std::time::Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let (guard, result) = self
            .0
            .wait_timeout(guard, timeout)
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        (guard, result.timed_out())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
}

/// The reference count of a payload: triomphe's in production, loom's in the models.
pub(crate) struct PayloadArc<T>(triomphe::Arc<T>);

impl<T> PayloadArc<T> {
    #[inline]
    pub(crate) fn new(value: T) -> Self {
        Self(triomphe::Arc::new(value))
    }

    #[inline]
    pub(crate) fn into_raw(self) -> *const T {
        triomphe::Arc::into_raw(self.0)
    }

    /// # Safety
    /// `ptr` came from [`Self::into_raw`] of the same `T`, and the reference that it stood for is given up.
    #[inline]
    pub(crate) unsafe fn from_raw(ptr: *const T) -> Self {
        // SAFETY: guaranteed by caller
        Self(unsafe { triomphe::Arc::from_raw(ptr) })
    }

    /// True if no other reference exists. Acquire: what the others did before they let go is visible.
    #[inline]
    pub(crate) fn is_unique(&mut self) -> bool {
        self.0.is_unique()
    }

    /// The value moves into memory that another one was dropped in.
    #[inline]
    pub(crate) fn move_in(memory: Vacant<T>, value: T) -> Self {
        let place = triomphe::Arc::into_raw(memory.0).cast_mut().cast::<T>();
        // SAFETY: the memory is that of a `T`, and the only reference to it was the caller's
        unsafe { place.write(value) };
        // SAFETY: it came from `into_raw`, and is a `T` from here on
        unsafe { Self::from_raw(place) }
    }

    /// Drops this reference. If it was the only one, the value is dropped, and here is the memory; if the
    /// drop panics, the memory is freed.
    #[inline]
    pub(crate) fn vacate(self) -> Option<Vacant<T>> {
        // Acquire inside: as in `is_unique`. Who has the only reference drops it without a read-modify-write.
        let Ok(mut unique) = triomphe::Arc::try_unique(self.0) else {
            return None;
        };
        let value: *mut T = &mut *unique;
        let memory = triomphe::Arc::into_raw(unique.shareable()).cast::<MaybeUninit<T>>();
        // SAFETY: a `MaybeUninit<T>` has the layout of a `T`, and may hold anything
        let memory = Vacant(unsafe { triomphe::Arc::from_raw(memory) });
        // SAFETY: the only reference to the value was ours; from here on it counts as not there
        unsafe { value.drop_in_place() };
        Some(memory)
    }
}

/// Memory for a [`PayloadArc`] with nothing in it; nobody else can reach it.
pub(crate) struct Vacant<T>(triomphe::Arc<MaybeUninit<T>>);

impl<T> Vacant<T> {
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<()> {
        let memory = triomphe::Arc::into_raw(self.0).cast_mut();
        NonNull::new(memory.cast()).expect("into_raw never gives null")
    }

    /// # Safety
    /// `memory` came from [`Self::into_raw`] for a type of the same size and alignment; this is done once.
    #[inline]
    pub(crate) unsafe fn from_raw(memory: NonNull<()>) -> Self {
        // SAFETY: guaranteed by caller
        Self(unsafe { triomphe::Arc::from_raw(memory.as_ptr().cast_const().cast()) })
    }
}

impl<T> Clone for PayloadArc<T> {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Nothing outside the models; see the stand-in for loom.
#[derive(Debug)]
pub(crate) struct Canary;

impl Canary {
    pub(crate) fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn read(&self) {}
}

/// Nothing outside the models; see the stand-in for loom.
#[derive(Debug)]
pub(crate) struct Deposit;

impl Deposit {
    pub(crate) fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn leave(&self) {}

    #[inline(always)]
    pub(crate) fn take(&self) {}
}

/// Nothing outside the models; see the stand-in for loom.
#[derive(Debug)]
pub(crate) struct Shadow;

impl Shadow {
    pub(crate) fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn touch(&self) {}
}
