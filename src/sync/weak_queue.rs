//! Stand-ins for crossbeam-queue in the models, as weak as the real queues: FIFO, the only happens-before
//! edge is from `push(x)` to the `pop` that returns x, and `pop` may miss a push that does not happen before
//! it (its test for emptiness is a Relaxed load, for which loom also serves old values). A
//! `Mutex<VecDeque>` would add edges that the real queues do not promise, and so hide lost wake-ups. To drop
//! one that another thread may still be using is reported as a race.
#![cfg(loom)]
#![allow(dead_code, reason = "a stand-in has the whole interface")]
#![expect(unsafe_code, reason = "a cell is shared that holds nothing")]

use super::{Shadow, UnsafeCell};
use ::loom::sync::atomic::{AtomicUsize, Ordering};
use ::std::collections::VecDeque;

/// At most this many elements at once in a model. The flags must exist before the race: to create a loom
/// atomic is itself a tracked write, so a flag made inside `push` would be reported as racing with `pop`.
const FLAGS: usize = 8;

#[derive(Debug)]
struct Inner<T> {
    next: usize,
    popped: usize,
    elements: VecDeque<(usize, T)>,
}

#[derive(Debug)]
struct Alive(UnsafeCell<()>);

// SAFETY: there is nothing in it to be raced for
unsafe impl Sync for Alive {}

/// Stands in for `crossbeam_queue::SegQueue`.
#[derive(Debug)]
pub(crate) struct SegQueue<T> {
    pushed: AtomicUsize,
    /// For the loads of `pushed`: see `sync::loom`.
    shadow: Shadow,
    /// Read by every operation, written by the drop.
    alive: Alive,
    poppers: AtomicUsize,
    written: [AtomicUsize; FLAGS],
    inner: ::std::sync::Mutex<Inner<T>>,
}

impl<T> SegQueue<T> {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self {
            pushed: AtomicUsize::new(0),
            shadow: Shadow::new(),
            alive: Alive(UnsafeCell::new(())),
            poppers: AtomicUsize::new(0),
            written: ::std::array::from_fn(|_| AtomicUsize::new(0)),
            inner: ::std::sync::Mutex::new(Inner {
                next: 0,
                popped: 0,
                elements: VecDeque::new(),
            }),
        }
    }

    // std's lock is never held across an operation of loom: all threads of a model share one OS thread.
    #[track_caller]
    pub(crate) fn push(&self, value: T) {
        self.alive.0.with(|_| ());
        let flag = {
            let mut inner = self.inner.lock().unwrap();
            assert!(
                inner.elements.len() < FLAGS,
                "a model's queue holds at most {FLAGS}"
            );
            inner.next += 1;
            inner.next % FLAGS
        };
        // Release: pairs with the Acquire in `pop`.
        self.written[flag].store(1, Ordering::Release);
        // Relaxed: the linearization point: nothing runs between this and the push_back.
        self.pushed.fetch_add(1, Ordering::Relaxed);
        self.inner.lock().unwrap().elements.push_back((flag, value));
    }

    #[track_caller]
    pub(crate) fn pop(&self) -> Option<T> {
        // Relaxed: the real test for emptiness promises no more.
        if self.pushed_now(Ordering::Relaxed) <= self.inner.lock().unwrap().popped {
            return None;
        }
        // Relaxed: orders poppers among themselves.
        self.poppers.fetch_add(1, Ordering::Relaxed);
        let popped = {
            let mut inner = self.inner.lock().unwrap();
            let popped = inner.elements.pop_front();
            inner.popped += usize::from(popped.is_some());
            popped
        };
        popped.map(|(flag, value)| {
            // Acquire: pairs with the Release in `push`.
            self.written[flag].fetch_add(0, Ordering::Acquire);
            value
        })
    }

    #[track_caller]
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: as in `pop`.
        self.pushed_now(Ordering::Relaxed) <= self.inner.lock().unwrap().popped
    }

    pub(crate) fn len(&self) -> usize {
        self.inner.lock().unwrap().elements.len()
    }

    #[track_caller]
    fn pushed_now(&self, order: Ordering) -> usize {
        self.alive.0.with(|_| ());
        self.shadow.touch();
        self.pushed.load(order)
    }
}

/// See `sync/std.rs`. `pop` looks before it takes here.
pub(crate) trait Take<T> {
    fn take(&self) -> Option<T>;
}

impl<T> Take<T> for SegQueue<T> {
    #[track_caller]
    fn take(&self) -> Option<T> {
        self.pop()
    }
}

impl<T> Take<T> for ArrayQueue<T> {
    #[track_caller]
    fn take(&self) -> Option<T> {
        self.pop()
    }
}

impl<T> Drop for SegQueue<T> {
    fn drop(&mut self) {
        // A model that has failed is taken down outside of loom's time.
        if !::std::thread::panicking() {
            self.alive.0.with_mut(|_| ());
        }
    }
}

/// Stands in for `crossbeam_queue::ArrayQueue`.
#[derive(Debug)]
pub(crate) struct ArrayQueue<T> {
    capacity: usize,
    queue: SegQueue<T>,
}

impl<T> ArrayQueue<T> {
    #[track_caller]
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.min(FLAGS),
            queue: SegQueue::new(),
        }
    }

    /// A `push` and the test for room are two steps here, so at most one thread may push to it (the owner of
    /// a local queue); an injector in a model is given room enough.
    #[track_caller]
    pub(crate) fn push(&self, value: T) -> Result<(), T> {
        if self.queue.len() >= self.capacity {
            return Err(value);
        }
        self.queue.push(value);
        Ok(())
    }

    #[track_caller]
    pub(crate) fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    #[track_caller]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }
}
