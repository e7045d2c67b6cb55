//! The rings behind the first one: what waits when that one is full waits in a larger one. Each is four times
//! as large as the one before it, so a mailbox that falls behind changes rings a few times and is then as
//! fast as one that was made large. Once it is at rest they are given back, all of them.
//!
//! Which ring a position lives in is decided with the position itself, by the tail word: a claim either
//! stays in the ring of its generation or moves on to the next one, and all later claims with it. So a
//! ring is there before the claim that moves on to it, and it may be there without being used yet.
//!
//! Giving back: the consumer first moves the word on to the first ring again, which fails unless every
//! position is consumed, and only then takes the rings out, unless a producer has put another one in front of
//! them by then: in that case they hang on that one, and go when it goes. Producers may still look at what
//! was taken out: they are pinned, and it is retired through the epoch. What they claim by it fails, since
//! the word has moved on.

#![expect(
    unsafe_code,
    reason = "rings hang on an atomic pointer, retired through the epoch"
)]

use super::Pinned;
use super::index::{Generation, TURN, Tail};
use crate::sync::Canary;
use crate::sync::atomic::{AtomicPtr, Ordering, fence};
use std::ptr;

/// How many times as large the next ring is.
const GROWTH: usize = if cfg!(loom) { 2 } else { 4 };

/// No ring is larger than this. A mailbox that needs more has no room, whatever its limit is: this would be
/// some 270 million messages.
pub(crate) const MOST_SLOTS: usize = if cfg!(loom) { 4 } else { 1 << 28 };

/// So many rings there are behind the first one before the consumer comes, at most: if that one has one slot.
const MOST_RINGS: u32 = MOST_SLOTS.ilog2().div_ceil(GROWTH.ilog2());

// Besides them, one that is about to be taken out, and the first one have a generation.
const _: () = assert!(MOST_RINGS + 2 <= TURN as u32, "rings are told apart");

/// What positions go around in: position n is in slot n modulo their number, a power of two. Null is not
/// written yet.
#[derive(Debug)]
pub(super) struct Slots(Box<[AtomicPtr<()>]>);

impl Slots {
    /// `count` is a power of two.
    pub(super) fn new(count: usize) -> Self {
        debug_assert!(count.is_power_of_two());
        let null = |_| AtomicPtr::new(ptr::null_mut());
        Self((0..count).map(null).collect())
    }

    #[inline(always)]
    pub(super) fn at(&self, position: u64) -> &AtomicPtr<()> {
        &self.0[position as usize & (self.0.len() - 1)]
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where they begin.
    pub(super) fn first(&self) -> *const AtomicPtr<()> {
        self.0.as_ptr()
    }
}

/// One ring behind the first one.
#[derive(Debug)]
pub(super) struct Grown {
    generation: Generation,
    slots: Slots,
    /// The one before it, or what hung on this place when it was made; it is freed with this one.
    previous: *mut Grown,
    /// Looked at by whoever comes here, for models: who comes by a pointer that was not acquired, or that no
    /// pin keeps alive, is reported.
    canary: Canary,
}

impl Grown {
    #[inline(always)]
    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }
}

/// Rings that were taken out: to be freed once no guard that is held now is held any more. They are empty.
#[derive(Debug)]
pub struct Retired(*mut Grown);

// SAFETY: whoever has it owns the rings, which hold nothing
unsafe impl Send for Retired {}

impl Drop for Retired {
    fn drop(&mut self) {
        let mut next = self.0;
        while !next.is_null() {
            // SAFETY: they were made by `into_raw`, each hangs on one place only, and that was this one
            let grown = unsafe { Box::from_raw(next) };
            next = grown.previous;
        }
    }
}

/// Where they hang. The newest one is that of the tail word's generation, or the one after that; or, while
/// the word says that the first ring is in use, one that the consumer is about to take out, or one that was
/// made too late and is used by nobody.
#[derive(Debug)]
pub(super) struct Behind {
    newest: AtomicPtr<Grown>,
}

impl Behind {
    pub(super) fn new() -> Self {
        Self {
            newest: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The ring of `seen`, which spills. `None`: `seen` is old.
    #[inline(always)]
    pub(super) fn current<'p>(&self, seen: Tail, _: &'p impl Pinned) -> Option<&'p Slots> {
        // Acquire, for the word, which was loaded Relaxed: pairs with the Release of the claim that moved on
        // to this ring. Otherwise what is loaded here could be as old as the pin, and of the same generation
        // a turn ago.
        fence(Ordering::Acquire);
        // Acquire: pairs with the Release in `install`.
        let newest = self.newest.load(Ordering::Acquire);
        // SAFETY: what hangs here is retired only after the epoch of the caller's pin
        let newest = unsafe { newest.as_ref() }?;
        newest.canary.read();
        if newest.generation == seen.generation() {
            return Some(&newest.slots);
        }
        newest.previous_of(seen.generation())
    }

    /// The ring after that of `seen`, whose slots are `slots`, made if need be. `None`: `seen` is old, as
    /// `is_current` tells, or another producer was quicker.
    pub(super) fn next<'p>(
        &self,
        seen: Tail,
        slots: usize,
        is_current: impl Fn() -> bool,
        _: &'p impl Pinned,
    ) -> Option<&'p Slots> {
        let generation = seen.generation().next();
        // Acquire: pairs with the Release in `install`.
        let newest = self.newest.load(Ordering::Acquire);
        // SAFETY: what hangs here is retired only after the epoch of the caller's pin
        if let Some(grown) = unsafe { newest.as_ref() } {
            grown.canary.read();
            if grown.generation == generation {
                return Some(&grown.slots);
            }
        }
        // It was loaded before this: so it is the ring in use, or one that nobody will use again.
        if !is_current() {
            return None;
        }
        let grown = self.install(
            newest,
            Box::new(Grown {
                generation,
                slots: Slots::new((slots * GROWTH).min(MOST_SLOTS)),
                previous: newest,
                canary: Canary::new(),
            }),
        )?;
        // SAFETY: as above; it hangs here now
        Some(unsafe { &(*grown).slots })
    }

    fn install(&self, before: *mut Grown, grown: Box<Grown>) -> Option<*mut Grown> {
        let grown = Box::into_raw(grown);
        // Release: the ring's own fields are visible to whoever loads the pointer. Nothing was read through
        // what it replaces that this has to pass on: that was acquired when it was loaded.
        let installed =
            self.newest
                .compare_exchange(before, grown, Ordering::Release, Ordering::Relaxed);
        if installed.is_err() {
            // SAFETY: it is ours: nobody else has seen it
            drop(unsafe { Box::from_raw(grown) });
            return None;
        }
        Some(grown)
    }

    /// For the consumer: the ring after the one of that generation. It is there, since a claim has moved on.
    pub(super) fn after(&self, generation: Generation) -> Option<*const Grown> {
        let wanted = generation.next();
        // Acquire: pairs with the Release in `install`.
        let mut grown = self.newest.load(Ordering::Acquire).cast_const();
        // SAFETY: they are taken out by the consumer only, who is the caller
        while let Some(found) = unsafe { grown.as_ref() } {
            found.canary.read();
            if found.generation == wanted {
                return Some(grown);
            }
            grown = found.previous;
        }
        None
    }

    /// For the consumer, who has just moved the tail word on to the first ring, under that generation: takes
    /// out all that hangs here, unless a producer has been quicker to put a new ring in front.
    pub(super) fn take_out(&self, generation: Generation) -> Option<Retired> {
        // Acquire: pairs with the Release in `install`.
        let mut newest = self.newest.load(Ordering::Acquire);
        loop {
            // SAFETY: they are taken out by the consumer only, who is the caller
            let grown = unsafe { newest.as_ref() }?;
            grown.canary.read();
            // What was there before the word moved on is of the generation before, or of this one, if nobody
            // has come to use it. All else was put in front since, and is in use, or will be.
            if grown.generation != generation && grown.generation.next() != generation {
                return None;
            }
            // Release: that the word has moved on is visible to whoever sees it gone. Acquire is for a
            // failure only: as above. Who was quicker may have put one there that nobody will use.
            match self.newest.compare_exchange(
                newest,
                ptr::null_mut(),
                Ordering::Release,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(Retired(newest)),
                Err(now) => newest = now,
            }
        }
    }
}

impl Grown {
    /// The slots of the one before it, if it is the one after that generation.
    #[cold]
    fn previous_of(&self, generation: Generation) -> Option<&Slots> {
        if self.generation != generation.next() {
            return None;
        }
        // SAFETY: it is freed with this one, at the earliest
        let previous = unsafe { self.previous.as_ref() }?;
        previous.canary.read();
        (previous.generation == generation).then_some(&previous.slots)
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        // Relaxed: `&mut self` says that everything before is behind us.
        let newest = self.newest.swap(ptr::null_mut(), Ordering::Relaxed);
        // All that hangs here is ours: no producer is left.
        drop(Retired(newest));
    }
}
