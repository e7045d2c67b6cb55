//! The primitives of the models: loom's, under the names of the facade, with the one cure that stock loom
//! needs. It is compiled under `cfg(loom)` only.
//!
//! loom 0.7.3 remembers one last access of an atomic, so the load of one thread hides that of another from
//! its search: `load || load; CAS` is explored in one order only (tokio-rs/loom#166, #392). Every load here
//! first does a Relaxed read-modify-write on a shadow atomic. Loads become mutually dependent for the
//! search, and a Relaxed read-modify-write on another location adds no happens-before edge.

#![expect(
    unsafe_code,
    reason = "PayloadArc hands out raw pointers for erased messages; a shared cell holds nothing"
)]

pub(crate) use super::weak_queue::{ArrayQueue, SegQueue, Take};
pub(crate) use ::loom::cell::UnsafeCell as LoomCell;

/// loom's, which knows no `const` initialisers: they are evaluated on first use, like the others.
macro_rules! local {
    ($($(#[$attr:meta])* static $name:ident: $t:ty = const { $init:expr };)+) => {
        $(::loom::thread_local! { $(#[$attr])* static $name: $t = $init; })+
    };
    ($($other:tt)*) => {
        ::loom::thread_local! { $($other)* }
    };
}

pub(crate) use local as thread_local;

pub(crate) mod atomic {
    use ::loom::sync::atomic as raw;
    pub(crate) use ::loom::sync::atomic::{Ordering, fence};

    /// One integer atomic with a shadow. Not a macro over items of the crate: it makes stand-ins only.
    macro_rules! touched {
        ($name:ident, $int:ty) => {
            #[derive(Debug)]
            pub(crate) struct $name {
                shadow: raw::AtomicUsize,
                value: raw::$name,
            }

            #[allow(dead_code, reason = "a stand-in has the whole interface")]
            impl $name {
                #[track_caller]
                pub(crate) fn new(value: $int) -> Self {
                    Self {
                        shadow: raw::AtomicUsize::new(0),
                        value: raw::$name::new(value),
                    }
                }
                #[track_caller]
                pub(crate) fn load(&self, order: Ordering) -> $int {
                    self.shadow.fetch_add(0, Ordering::Relaxed);
                    self.value.load(order)
                }
                #[track_caller]
                pub(crate) fn store(&self, value: $int, order: Ordering) {
                    self.value.store(value, order)
                }
                #[track_caller]
                pub(crate) fn swap(&self, value: $int, order: Ordering) -> $int {
                    self.value.swap(value, order)
                }
                #[track_caller]
                pub(crate) fn fetch_or(&self, value: $int, order: Ordering) -> $int {
                    self.value.fetch_or(value, order)
                }
                #[track_caller]
                pub(crate) fn fetch_and(&self, value: $int, order: Ordering) -> $int {
                    self.value.fetch_and(value, order)
                }
                #[track_caller]
                pub(crate) fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                    self.value.fetch_add(value, order)
                }
                #[track_caller]
                pub(crate) fn fetch_sub(&self, value: $int, order: Ordering) -> $int {
                    self.value.fetch_sub(value, order)
                }
                #[track_caller]
                pub(crate) fn compare_exchange(
                    &self,
                    current: $int,
                    new: $int,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$int, $int> {
                    self.value.compare_exchange(current, new, success, failure)
                }
                #[track_caller]
                pub(crate) fn compare_exchange_weak(
                    &self,
                    current: $int,
                    new: $int,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$int, $int> {
                    self.value
                        .compare_exchange_weak(current, new, success, failure)
                }
            }
        };
    }
    touched!(AtomicUsize, usize);
    touched!(AtomicU64, u64);
    touched!(AtomicU32, u32);
    touched!(AtomicU8, u8);

    #[derive(Debug)]
    pub(crate) struct AtomicBool {
        shadow: raw::AtomicUsize,
        value: raw::AtomicBool,
    }

    #[allow(dead_code, reason = "a stand-in has the whole interface")]
    impl AtomicBool {
        #[track_caller]
        pub(crate) fn new(value: bool) -> Self {
            Self {
                shadow: raw::AtomicUsize::new(0),
                value: raw::AtomicBool::new(value),
            }
        }
        #[track_caller]
        pub(crate) fn load(&self, order: Ordering) -> bool {
            self.shadow.fetch_add(0, Ordering::Relaxed);
            self.value.load(order)
        }
        #[track_caller]
        pub(crate) fn store(&self, value: bool, order: Ordering) {
            self.value.store(value, order)
        }
        #[track_caller]
        pub(crate) fn swap(&self, value: bool, order: Ordering) -> bool {
            self.value.swap(value, order)
        }
        #[track_caller]
        pub(crate) fn compare_exchange(
            &self,
            current: bool,
            new: bool,
            success: Ordering,
            failure: Ordering,
        ) -> Result<bool, bool> {
            self.value.compare_exchange(current, new, success, failure)
        }
    }

    pub(crate) struct AtomicPtr<T> {
        shadow: raw::AtomicUsize,
        value: raw::AtomicPtr<T>,
    }

    impl<T> ::std::fmt::Debug for AtomicPtr<T> {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            f.write_str("AtomicPtr")
        }
    }

    #[allow(dead_code, reason = "a stand-in has the whole interface")]
    impl<T> AtomicPtr<T> {
        #[track_caller]
        pub(crate) fn new(value: *mut T) -> Self {
            Self {
                shadow: raw::AtomicUsize::new(0),
                value: raw::AtomicPtr::new(value),
            }
        }
        #[track_caller]
        pub(crate) fn load(&self, order: Ordering) -> *mut T {
            self.shadow.fetch_add(0, Ordering::Relaxed);
            self.value.load(order)
        }
        #[track_caller]
        pub(crate) fn store(&self, value: *mut T, order: Ordering) {
            self.value.store(value, order)
        }
        #[track_caller]
        pub(crate) fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
            self.value.swap(value, order)
        }
        #[track_caller]
        pub(crate) fn compare_exchange(
            &self,
            current: *mut T,
            new: *mut T,
            success: Ordering,
            failure: Ordering,
        ) -> Result<*mut T, *mut T> {
            self.value.compare_exchange(current, new, success, failure)
        }
        pub(crate) fn get_mut(&mut self) -> *mut T {
            self.value.with_mut(|ptr| *ptr)
        }
    }
}

pub(crate) mod thread {
    pub(crate) use ::loom::thread::{Builder, JoinHandle, yield_now};

    /// Models run on two cores, whatever the machine has.
    pub(crate) fn available_parallelism() -> ::std::io::Result<::std::num::NonZeroUsize> {
        ::std::num::NonZeroUsize::new(2).ok_or_else(|| ::std::io::ErrorKind::Unsupported.into())
    }

    /// Models have no clock: to sleep is to let the others go first.
    pub(crate) fn sleep(_: ::std::time::Duration) {
        yield_now();
    }
}

pub(crate) mod hint {
    /// A spin loop that did not yield would never end in a model.
    pub(crate) fn spin_loop() {
        ::loom::thread::yield_now();
    }

    /// Models have no caches.
    #[inline]
    pub(crate) fn prefetch_for_write<T>(_: *const T) {}
}

#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(LoomCell<T>);

impl<T> UnsafeCell<T> {
    #[track_caller]
    pub(crate) fn new(value: T) -> Self {
        Self(LoomCell::new(value))
    }
    #[track_caller]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        self.0.with(f)
    }
    #[track_caller]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        self.0.with_mut(f)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(::loom::sync::Mutex<T>);

pub(crate) type MutexGuard<'a, T> = ::loom::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    #[track_caller]
    pub(crate) fn new(value: T) -> Self {
        Self(::loom::sync::Mutex::new(value))
    }
    #[track_caller]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(::loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(::loom::sync::Condvar::new())
    }
    #[track_caller]
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0
            .wait(guard)
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
    /// Models have no clock: a wait with a limit waits without one, so a lost wake-up is a reported deadlock.
    #[track_caller]
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        _: ::std::time::Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        (self.wait(guard), false)
    }
    #[track_caller]
    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
}

pub(crate) struct PayloadArc<T>(::loom::sync::Arc<T>);

impl<T> PayloadArc<T> {
    #[track_caller]
    pub(crate) fn new(value: T) -> Self {
        Self(::loom::sync::Arc::new(value))
    }
    #[track_caller]
    pub(crate) fn into_raw(self) -> *const T {
        ::loom::sync::Arc::into_raw(self.0)
    }
    /// # Safety
    /// `ptr` came from [`Self::into_raw`] of the same `T`, and the reference that it stood for is given up.
    #[track_caller]
    pub(crate) unsafe fn from_raw(ptr: *const T) -> Self {
        // SAFETY: guaranteed by caller
        Self(unsafe { ::loom::sync::Arc::from_raw(ptr) })
    }
    #[track_caller]
    pub(crate) fn is_unique(&mut self) -> bool {
        ::loom::sync::Arc::get_mut(&mut self.0).is_some()
    }
    pub(crate) fn move_in(memory: Vacant<T>, _: T) -> Self {
        memory.never()
    }
    /// The memory is never handed out.
    #[track_caller]
    pub(crate) fn vacate(self) -> Option<Vacant<T>> {
        drop(self);
        None
    }
}

/// There is none in models.
pub(crate) struct Vacant<T>(::std::convert::Infallible, ::std::marker::PhantomData<T>);

impl<T> Vacant<T> {
    fn never(&self) -> ! {
        match self.0 {}
    }
    pub(crate) fn into_raw(self) -> ::std::ptr::NonNull<()> {
        self.never()
    }
    /// # Safety
    /// It cannot be called: nothing comes out of [`Self::into_raw`].
    pub(crate) unsafe fn from_raw(_: ::std::ptr::NonNull<()>) -> Self {
        unreachable!("there is no memory to be handed out")
    }
}

impl<T> Clone for PayloadArc<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Part of what is freed by a protocol of its own. A reader who is not known to be done when it is dropped is
/// reported as a race, and so is one who comes later.
#[derive(Debug)]
pub(crate) struct Canary(LoomCell<()>);

// SAFETY: there is nothing in it to be raced for
unsafe impl Send for Canary {}
// SAFETY: as above
unsafe impl Sync for Canary {}

impl Canary {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self(LoomCell::new(()))
    }
    #[track_caller]
    pub(crate) fn read(&self) {
        self.0.with(|_| ());
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        // A model that has failed is taken down outside of loom's time.
        if !::std::thread::panicking() {
            self.0.with_mut(|_| ());
        }
    }
}

/// References that are left with nobody, and taken by whoever finds out that they are there: one more taken
/// than left is reported. Loom does not see those of std's `Arc`.
#[derive(Debug)]
pub(crate) struct Deposit(::std::sync::atomic::AtomicUsize);

impl Deposit {
    pub(crate) fn new() -> Self {
        Self(::std::sync::atomic::AtomicUsize::new(0))
    }
    pub(crate) fn leave(&self) {
        // Relaxed: the threads of a model are one thread.
        self.0.fetch_add(1, ::std::sync::atomic::Ordering::Relaxed);
    }
    #[track_caller]
    pub(crate) fn take(&self) {
        // Relaxed: as above.
        let left = self.0.fetch_sub(1, ::std::sync::atomic::Ordering::Relaxed);
        // A model that has failed is taken down outside of loom's time.
        let fails = left == 0 && !::std::thread::panicking();
        assert!(!fails, "taken, but nobody has left it");
    }
}

/// What the facade's atomics have inside, for pointers that belong to crossbeam-epoch.
#[derive(Debug)]
pub(crate) struct Shadow(::loom::sync::atomic::AtomicUsize);

impl Shadow {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self(::loom::sync::atomic::AtomicUsize::new(0))
    }
    #[track_caller]
    pub(crate) fn touch(&self) {
        self.0.fetch_add(0, atomic::Ordering::Relaxed);
    }
}
