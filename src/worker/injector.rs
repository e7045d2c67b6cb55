//! The queue that work from outside the pool goes through: bounded, so that submitting does not allocate,
//! with an unbounded one behind it for when it is full, so that submitting never fails. It keeps rough
//! order only: no caller may rely on two pieces of work being taken in the order of their submission.

use super::Run;
use crate::sync::{ArrayQueue, SegQueue, Take};

/// Work that waits in the injector without an allocation. Small in models, whose queues hold eight.
pub(super) const INJECTOR_CAPACITY: usize = if cfg!(loom) { 8 } else { 1024 };

/// See the module.
#[derive(Debug)]
pub(super) struct Injector<R> {
    bounded: ArrayQueue<R>,
    /// Used when `bounded` is full, and then until it has been emptied, so that what is in here does not
    /// starve behind newer work in `bounded`.
    overflow: SegQueue<R>,
}

impl<R: Run> Injector<R> {
    pub(super) fn new() -> Self {
        Self {
            bounded: ArrayQueue::new(INJECTOR_CAPACITY),
            overflow: SegQueue::new(),
        }
    }

    /// The caller tells the sleepers afterwards (`Idle::announce`).
    pub(super) fn push(&self, work: R) {
        if !self.overflow.is_empty() {
            self.overflow.push(work);
        } else if let Err(work) = self.bounded.push(work) {
            self.overflow.push(work);
        }
    }

    pub(super) fn take(&self) -> Option<R> {
        self.bounded.take().or_else(|| self.overflow.take())
    }

    /// False means that something was there; true is only as good as the fence before it (F1b).
    pub(super) fn is_empty(&self) -> bool {
        self.bounded.is_empty() && self.overflow.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.bounded.len() + self.overflow.len()
    }
}
