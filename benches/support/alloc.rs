//! An allocator that counts: how often it was called, how many bytes were asked for and are still there, and how
//! many the C library set aside for them. It is *not* faster than what it wraps: benches that take times do
//! without it.

#![allow(dead_code, reason = "each bench uses some of it")]
#![expect(unsafe_code, reason = "a global allocator is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// To be declared as the `#[global_allocator]`.
#[derive(Debug)]
pub(crate) struct Counting;

static OFF: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static REQUESTED: AtomicI64 = AtomicI64::new(0);
static SET_ASIDE: AtomicI64 = AtomicI64::new(0);

/// What was allocated, as of one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allocated {
    /// Allocations and reallocations, ever.
    pub(crate) calls: u64,
    /// Bytes that were asked for and not given back.
    pub(crate) requested: i64,
    /// Bytes that the C library set aside for those, without what it writes in front of each block.
    pub(crate) set_aside: i64,
}

/// Counts nothing from here on, where the counting itself would be counted.
pub(crate) fn stop_counting() {
    // Relaxed: called before there are threads.
    OFF.store(true, Ordering::Relaxed);
}

fn is_off() -> bool {
    // Relaxed: see `stop_counting`.
    OFF.load(Ordering::Relaxed)
}

impl Allocated {
    pub(crate) fn now() -> Self {
        // Relaxed: figures; whoever wants exact ones has stopped all other threads.
        Self {
            calls: CALLS.load(Ordering::Relaxed),
            requested: REQUESTED.load(Ordering::Relaxed),
            set_aside: SET_ASIDE.load(Ordering::Relaxed),
        }
    }
}

#[cfg(target_env = "gnu")]
fn usable(ptr: *mut u8, _: usize) -> usize {
    // That is the C library's function of this name.
    unsafe extern "C" {
        fn malloc_usable_size(ptr: *mut u8) -> usize;
    }
    // SAFETY: `ptr` is a live block of the C library's, which `System` passes on
    unsafe { malloc_usable_size(ptr) }
}

#[cfg(not(target_env = "gnu"))]
fn usable(_: *mut u8, size: usize) -> usize {
    size
}

fn came(ptr: *mut u8, size: usize) {
    if ptr.is_null() || is_off() {
        return;
    }
    // Relaxed: figures, see `now`.
    CALLS.fetch_add(1, Ordering::Relaxed);
    REQUESTED.fetch_add(size as i64, Ordering::Relaxed);
    SET_ASIDE.fetch_add(usable(ptr, size) as i64, Ordering::Relaxed);
}

fn goes(ptr: *mut u8, size: usize) {
    if is_off() {
        return;
    }
    // Relaxed: figures, see `now`.
    REQUESTED.fetch_sub(size as i64, Ordering::Relaxed);
    SET_ASIDE.fetch_sub(usable(ptr, size) as i64, Ordering::Relaxed);
}

// SAFETY: everything is passed on to `System`, which is one; the counters allocate nothing
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: guaranteed by caller
        let ptr = unsafe { System.alloc(layout) };
        came(ptr, layout.size());
        ptr
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        goes(ptr, layout.size());
        // SAFETY: guaranteed by caller
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        goes(ptr, layout.size());
        // SAFETY: guaranteed by caller
        let moved = unsafe { System.realloc(ptr, layout, size) };
        if moved.is_null() {
            came(ptr, layout.size());
        } else {
            came(moved, size);
        }
        moved
    }
}
