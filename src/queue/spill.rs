//! What does not fit into the ring: a crossbeam queue of (position, item), made at the first spill and given
//! back once the mailbox is at rest. A spilled push claims its position on the tail word like any other; here
//! it is only put where the consumer can find it. Claimants may arrive out of order, so the consumer sorts
//! what it takes out into a [`Stash`], by position. Whether something is missing is decided by positions,
//! never by this queue being empty.
//!
//! Giving back: the consumer takes the queue out first, and then tries to clear SPILLING. If the tail word
//! has moved since, a claimant may still hold the queue, so it goes back to where it was; or, if another
//! one has been installed there meanwhile, it is kept in the stash and looked into as well. If it has not,
//! every claim is consumed, and any later one starts from a word without SPILLING, which is a word that no
//! claimant with the old queue in hand can have seen. Claimants are pinned, and the queue is retired
//! through the epoch, so that the last of them may return from `put` at leisure.

#![expect(
    unsafe_code,
    reason = "the queue hangs on an atomic pointer, retired through the epoch"
)]
#![allow(
    clippy::vec_box,
    reason = "producers hold pointers to the boxes: they must not move"
)]

use super::{Pinned, Pointer};
use crate::sync::SegQueue;
use crate::sync::atomic::{AtomicPtr, Ordering};
use std::collections::VecDeque;

struct Entry<T> {
    position: u64,
    item: T,
}

/// The producers' side. See the module.
#[derive(Debug)]
pub struct Spill<T: Pointer> {
    /// Null until the first spill, and again at rest.
    queue: AtomicPtr<SegQueue<Entry<T>>>,
}

/// A queue that was taken out: to be freed once no guard that is held now is held any more. It is empty.
pub struct Retired<T: Pointer>(
    #[allow(dead_code, reason = "kept to be dropped later")] Vec<Box<SegQueue<Entry<T>>>>,
);

impl<T: Pointer> std::fmt::Debug for Retired<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retired").finish_non_exhaustive()
    }
}

/// The consumer's side: what came out of the queue before its turn. It exists from when the consumer first
/// sees SPILLING until it has given the queue back.
pub struct Stash<T: Pointer> {
    /// Index 0 is the consumer's head.
    items: VecDeque<Option<T>>,
    /// Queues that could neither be given back when they were taken out, nor put back.
    old: Vec<Box<SegQueue<Entry<T>>>>,
}

impl<T: Pointer> Spill<T> {
    pub(crate) fn new() -> Self {
        Self {
            queue: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Makes sure that there is a queue. Called before the claim.
    pub(crate) fn install(&self) {
        // Relaxed: nothing is read through it here; `put` loads it again.
        if !self.queue.load(Ordering::Relaxed).is_null() {
            return;
        }
        let new = Box::into_raw(Box::new(SegQueue::new()));
        // Release: the queue's own fields are visible to whoever loads the pointer (`put`, `take`).
        let installed = self.queue.compare_exchange(
            std::ptr::null_mut(),
            new,
            Ordering::Release,
            Ordering::Relaxed,
        );
        if installed.is_err() {
            // SAFETY: it is ours: nobody else has seen it
            drop(unsafe { Box::from_raw(new) });
        }
    }

    /// Puts a claimed item where the consumer finds it.
    pub(crate) fn put(&self, position: u64, item: T, _: &impl Pinned) {
        // Acquire: pairs with the Release in `install`.
        let mut queue = self.queue.load(Ordering::Acquire);
        while queue.is_null() {
            // Taken out between `install` and the claim; it may be installed again by anyone.
            self.install();
            // Acquire: as above.
            queue = self.queue.load(Ordering::Acquire);
        }
        // SAFETY: retired only after the epoch of the caller's pin, whoever takes it out
        unsafe { &*queue }.push(Entry { position, item });
    }

    /// The item at `head`, if it is here. `head` is the position that index 0 of the stash stands for.
    pub(crate) fn take(&self, head: u64, stash: &mut Stash<T>) -> Option<T> {
        if let Some(item) = stash.items.front_mut().and_then(Option::take) {
            return Some(item);
        }
        // Acquire: pairs with the Release in `install`.
        let current = self.queue.load(Ordering::Acquire);
        for index in 0..=stash.old.len() {
            let queue: *const SegQueue<Entry<T>> = match stash.old.get(index) {
                Some(old) => &**old,
                None if current.is_null() => continue,
                None => current,
            };
            // SAFETY: the old ones are ours, and only the consumer, who we are, takes the current one out
            while let Some(entry) = unsafe { &*queue }.pop() {
                if entry.position == head {
                    return Some(entry.item);
                }
                stash.put((entry.position - head) as usize, entry.item);
            }
        }
        None
    }

    /// Tries to give the queue back; `stop_spilling` clears SPILLING if every position is consumed. If it
    /// succeeds, the stash is empty and may go too.
    pub(crate) fn retire(
        &self,
        stash: &mut Stash<T>,
        stop_spilling: impl FnOnce() -> bool,
    ) -> Option<Retired<T>> {
        // Acquire: pairs with the Release in `install`. That it is out is visible to whoever sees SPILLING
        // cleared.
        let taken = self.queue.swap(std::ptr::null_mut(), Ordering::Acquire);
        let at_rest = stop_spilling();
        // If it stayed out after each try that fails, the queues behind a mailbox that is busy would pile up.
        if !taken.is_null() && (at_rest || !self.put_back(taken)) {
            // SAFETY: the swap took it out; who still holds it is pinned, and it is freed after the epoch
            // only
            stash.old.push(unsafe { Box::from_raw(taken) });
        }
        if !at_rest {
            return None;
        }
        debug_assert!(stash.items.iter().all(Option::is_none));
        Some(Retired(std::mem::take(&mut stash.old)))
    }

    /// False if there is another queue by now.
    fn put_back(&self, taken: *mut SegQueue<Entry<T>>) -> bool {
        // Release: as in `install`, whose work we acquired when we took it out.
        self.queue
            .compare_exchange(
                std::ptr::null_mut(),
                taken,
                Ordering::Release,
                Ordering::Relaxed,
            )
            .is_ok()
    }
}

impl<T: Pointer> Drop for Spill<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut self` says that everything before is behind us.
        let queue = self.queue.swap(std::ptr::null_mut(), Ordering::Relaxed);
        if !queue.is_null() {
            // SAFETY: `&mut self`: no producer is left
            drop(unsafe { Box::from_raw(queue) });
        }
    }
}

impl<T: Pointer> Stash<T> {
    pub(crate) fn new() -> Self {
        Self {
            items: VecDeque::new(),
            old: Vec::new(),
        }
    }

    /// The consumer's head goes on by one.
    #[inline]
    pub(crate) fn advance(&mut self) {
        if !self.items.is_empty() {
            let passed = self.items.pop_front();
            debug_assert!(!matches!(passed, Some(Some(_))), "an item was skipped");
        }
    }

    fn put(&mut self, index: usize, item: T) {
        if self.items.len() <= index {
            self.items.resize_with(index + 1, || None);
        }
        debug_assert!(self.items[index].is_none(), "a position was used twice");
        self.items[index] = Some(item);
    }
}

impl<T: Pointer> std::fmt::Debug for Stash<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stash")
            .field("items", &self.items.len())
            .field("old", &self.old.len())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Item;

    // SAFETY: the pointer is not null, and all items are the same
    unsafe impl Pointer for Item {
        fn into_ptr(self) -> *mut () {
            std::ptr::dangling_mut()
        }

        unsafe fn from_ptr(_: *mut ()) -> Self {
            Self
        }
    }

    #[test]
    fn tries_to_give_back_that_fail_leave_no_queues_behind() {
        let spill = Spill::<Item>::new();
        let mut stash = Stash::new();
        for _ in 0..100 {
            spill.install();
            assert!(spill.retire(&mut stash, || false).is_none());
            assert!(stash.old.is_empty());
        }
        let another = || {
            spill.install();
            false
        };
        assert!(spill.retire(&mut stash, another).is_none());
        assert_eq!(stash.old.len(), 1, "another one was there by then");
        assert!(spill.retire(&mut stash, || true).is_some());
        assert!(stash.old.is_empty());
    }
}
