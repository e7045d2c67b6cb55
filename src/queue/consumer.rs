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
    /// The head, when it was known last that the next item is in this ring or nowhere: its low half.
    pub(super) looked_at: u32,
    /// Where the slots begin of the ring that `head` lives in, unless it has moved on to the next one.
    slots: *const AtomicPtr<()>,
    /// How many slots that ring has, less one.
    mask: u32,
    /// The tail word's, when it moved on to that ring.
    pub(super) generation: Generation,
    /// It is not the first one.
    pub(super) is_grown: bool,
    /// The producers are told of two to the power of this many positions at the latest.
    tell_after_log: u8,
}

impl Consumer {
    /// In the first ring.
    pub(super) fn new(slots: &Slots) -> Self {
        Self {
            head: 0,
            untold: 0,
            looked_at: 0,
            slots: slots.first(),
            mask: (slots.len() - 1) as u32,
            generation: Generation::FIRST,
            is_grown: false,
            tell_after_log: slots.len().ilog2().saturating_sub(1) as u8,
        }
    }

    pub(super) fn tell_each(&mut self) {
        self.tell_after_log = 0;
    }

    #[inline(always)]
    pub(super) fn tells_each(&self) -> bool {
        self.tell_after_log == 0
    }

    #[inline(always)]
    pub(super) fn has_much_to_tell(&self) -> bool {
        self.untold >> self.tell_after_log != 0
    }

    /// Whether the next item may be in another ring. Producers move on to that when so many wait, as far as
    /// they have been told, as this one has slots. If some of those were in the ring before this one, which
    /// is half as large at most, the others were taken out of here since.
    #[inline(always)]
    pub(super) fn may_have_moved(&self) -> bool {
        let taken = (self.head as u32).wrapping_sub(self.looked_at);
        let most = self.mask >> u32::from(self.is_grown);
        taken.wrapping_add(1 << self.tell_after_log) > most
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
        self.slot_of(self.head)
    }

    /// Whether it is written, and the one after it is not.
    #[inline]
    pub(super) fn has_one(&self) -> bool {
        // Relaxed: a figure.
        let is_there = |position| !self.slot_of(position).load(Ordering::Relaxed).is_null();
        is_there(self.head) && !is_there(self.head + 1)
    }

    #[inline(always)]
    fn slot_of(&self, position: u64) -> &AtomicPtr<()> {
        let index = position as usize & self.mask as usize;
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
