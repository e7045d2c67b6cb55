//! What the consumer of a ring knows: where the next item is, and what the producers have not been told of.

#![expect(unsafe_code, reason = "slots hold raw pointers, and are found by one")]

use super::Pointer;
use super::grown::Slots;
use super::index::Generation;
use crate::sync::atomic::{AtomicPtr, Ordering};
use std::ptr;

/// All that the consumer needs for the next item: nothing of it is on a line that producers write.
#[derive(Debug)]
pub(super) struct Consumer {
    /// The position to be taken next.
    pub(super) head: u64,
    /// How many positions before it the producers have not been told of.
    pub(super) untold: u32,
    /// They are told of so many at the latest.
    pub(super) tell_after: u32,
    /// Where the slots begin of the ring that `head` lives in, unless it has moved on to the next one.
    slots: *const AtomicPtr<()>,
    /// How many slots that ring has, less one.
    mask: u32,
    /// The tail word's, when it moved on to that ring.
    pub(super) generation: Generation,
    /// It is not the first one.
    pub(super) is_grown: bool,
}

impl Consumer {
    /// In the first ring.
    pub(super) fn new(slots: &Slots) -> Self {
        Self {
            head: 0,
            untold: 0,
            tell_after: (slots.len() as u32 / 2).max(1),
            slots: slots.first(),
            mask: (slots.len() - 1) as u32,
            generation: Generation::FIRST,
            is_grown: false,
        }
    }

    /// The next item is in another ring.
    pub(super) fn move_to(&mut self, slots: &Slots, generation: Generation, is_grown: bool) {
        self.slots = slots.first();
        self.mask = (slots.len() - 1) as u32;
        self.generation = generation;
        self.is_grown = is_grown;
    }

    /// The slot of the position to be taken next.
    #[inline(always)]
    pub(super) fn slot(&self) -> &AtomicPtr<()> {
        let index = self.head as usize & self.mask as usize;
        // SAFETY: there are more slots than `mask`
        let slot = unsafe { self.slots.add(index) };
        // SAFETY: rings are taken out by the consumer only, which then has left them
        unsafe { &*slot }
    }

    /// Takes the next item, if it is there.
    #[inline(always)]
    pub(super) fn take<T: Pointer>(&mut self) -> Option<T> {
        let slot = self.slot();
        // Acquire: pairs with the Release in `write_slot`.
        let ptr = slot.load(Ordering::Acquire);
        if ptr.is_null() {
            return None;
        }
        // Relaxed: published by `publish_freed`.
        slot.store(ptr::null_mut(), Ordering::Relaxed);
        self.head += 1;
        self.untold += 1;
        // SAFETY: `write_slot` put it there, and the null makes sure that it is taken once
        Some(unsafe { T::from_ptr(ptr) })
    }
}
