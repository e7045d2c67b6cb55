//! The bounded ring of a mailbox: many producers, one consumer at a time, slots of one pointer each (null
//! is not yet written). A push is one successful compare-exchange on the tail word ([`TailWord`]), then one
//! store into the slot that it claimed. It does not know what waits behind a duty to run the consumer, and
//! what does not fit into it goes to rings behind it ([`Behind`](super::grown)).
//!
//! Room is judged by how far the consumer has come (`freed`), never by a slot that is null: one that was
//! claimed a lap ago and is not written yet is null too.

#![expect(
    unsafe_code,
    reason = "slots hold raw pointers; the consumer's side is a cell"
)]

use super::consumer::Consumer;
use super::grown::{Behind, MOST_SLOTS, Retired, Slots};
use super::index::{Place, Tail, TailWord};
use super::{Close, Pinned, Pointer, Pop, Push};
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::sync::{UnsafeCell, hint};
use std::marker::PhantomData;

/// A ring never has more slots than this from the start; what a larger capacity admits goes to rings behind
/// it.
pub const MAX_SLOTS: usize = 1 << 16;

/// So many slots are on a cache line, if it begins with one.
const SLOTS_A_LINE: u64 = 8;

/// See the module. `B` stands between the producers' fields and the consumer's and keeps them on different
/// cache lines: padding, or, so that no memory is wasted, something of the owner's that is written
/// seldom, of which producers read the first 16 bytes at most.
#[derive(Debug)]
#[repr(C)]
pub struct Ring<T: Pointer, B = Padding> {
    // The producers' fields: written by every push.
    tail: TailWord,
    /// `freed` as some producer saw it last, so that a push does not touch the consumer's line. Never more
    /// than `freed`.
    freed_seen: AtomicU64,
    slots: Slots,
    behind: Behind,
    between: B,
    // The consumer's.
    consumer: ConsumerLine,
    _items: PhantomData<T>,
}

/// Nothing, of the size that it takes; see [`Ring`].
#[derive(Debug, Default)]
pub struct Padding {
    _bytes: [u64; 9],
}

#[derive(Debug)]
struct ConsumerLine {
    /// How far the consumer has come, for the producers: everything before it is out of the ring.
    freed: AtomicU64,
    /// Held by whoever has the duty to run the consumer; passes on through the tail word.
    state: UnsafeCell<Consumer>,
}

// SAFETY: items are `Send`; the slots are claimed by one producer each through the tail word, and the
// consumer's state is touched by the holder of the duty only, which passes on through the same word
unsafe impl<T: Pointer, B: Send> Send for Ring<T, B> {}
// SAFETY: as above; what is between is shared as it is
unsafe impl<T: Pointer, B: Sync> Sync for Ring<T, B> {}

/// What became of the attempt to claim a position.
#[derive(Debug)]
pub(super) enum Claim {
    Position(Claimed),
    Full,
    Closed,
}

/// A position that is claimed and not written yet. The consumer does not pass it, so its slot stays there.
#[derive(Debug)]
pub(super) struct Claimed {
    /// The word as it was before.
    seen: Tail,
    slot: *const AtomicPtr<()>,
}

// SAFETY: the slot is an atomic, and stays where it is until it is written
unsafe impl Send for Claimed {}

/// What a push finds out about room.
enum Room<'p> {
    In(Place, &'p Slots),
    None,
    /// The tail that was looked at is not the newest, or another producer has just made the next ring.
    StaleTail,
}

impl<T: Pointer> Ring<T> {
    /// A ring of `slots` slots, rounded up to a power of two and down to [`MAX_SLOTS`]. The caller starts
    /// with the duty to run the consumer: it submits it, or parks.
    ///
    /// # Panics
    /// If `slots` is zero: callers check what users ask for.
    #[cfg(any(loom, feature = "internals"))]
    pub fn new(slots: usize) -> Self {
        Self::around(Padding::default(), slots)
    }
}

impl<T: Pointer, B> Ring<T, B> {
    /// As [`Ring::new`], with `between` in the middle.
    ///
    /// # Panics
    /// As there.
    pub fn around(between: B, slots: usize) -> Self {
        assert!(slots > 0, "a ring has at least one slot");
        let slots = Slots::new(slots.min(MAX_SLOTS).next_power_of_two());
        Self {
            tail: TailWord::new(),
            freed_seen: AtomicU64::new(0),
            behind: Behind::new(),
            between,
            consumer: ConsumerLine {
                freed: AtomicU64::new(0),
                state: UnsafeCell::new(Consumer::new(&slots)),
            },
            slots,
            _items: PhantomData,
        }
    }

    /// What stands in the middle.
    #[inline]
    pub fn between(&self) -> &B {
        &self.between
    }

    /// Pushes `item` unless `limit` items are waiting. Wait-free but for contention on the tail word, and for
    /// making the next ring where this one is full. `pinned` keeps rings alive that the consumer retires
    /// meanwhile.
    #[inline]
    pub fn push(&self, item: T, limit: u64, pinned: &impl Pinned) -> Push<T> {
        match self.claim(limit, pinned) {
            Claim::Position(claimed) => self.write(claimed, item),
            Claim::Full => Push::Full(item),
            Claim::Closed => Push::Closed(item),
        }
    }

    /// The usual course of [`Self::push`], and nothing else: there is room in the ring, and nobody is in
    /// the way. `None`: nothing has happened, and `item` was not called.
    #[inline(always)]
    pub fn push_quickly(
        &self,
        item: impl FnOnce() -> T,
        limit: u64,
        pinned: &impl Pinned,
    ) -> Option<Push<T>> {
        // One way for the line, not two: it is read only to be written.
        hint::prefetch_for_write(&self.tail);
        let seen = self.tail.peek();
        if seen.is_closed() {
            return None;
        }
        let slots = self.slots_of(seen, pinned)?;
        if self.waiting(seen) >= limit.min(slots.len() as u64) {
            return None;
        }
        self.tail.claim(seen, Place::Here).ok()?;
        let at = seen.position();
        self.write_slot(slots.at(at), item());
        if at % SLOTS_A_LINE == 0 {
            // The consumer's core has written to that line, so it is far away: the next claim would wait for
            // it, which waits for all that was written before.
            hint::prefetch_for_write(slots.at(at + SLOTS_A_LINE));
        }
        Some(pushed(seen))
    }

    /// The ring that positions are claimed in if `seen` is the tail; `None` if it is not.
    #[inline(always)]
    fn slots_of<'p>(&'p self, seen: Tail, pinned: &'p impl Pinned) -> Option<&'p Slots> {
        if seen.is_spilling() {
            self.behind.current(seen, pinned)
        } else {
            Some(&self.slots)
        }
    }

    /// How many wait if `seen` is the tail, as far as producers know how far the consumer has come: at
    /// least so many as do; or an absurd number if that is further than the tail, which is old then.
    #[inline(always)]
    fn waiting(&self, seen: Tail) -> u64 {
        // Acquire: with how far the consumer has come, the nulls that it wrote there (through the Release in
        // `refresh_freed`, and that of `publish_freed` before it).
        let freed = self.freed_seen.load(Ordering::Acquire);
        seen.position().wrapping_sub(freed)
    }

    #[inline(always)]
    fn write_slot(&self, slot: &AtomicPtr<()>, item: T) {
        // Relaxed: only we write here now, and the consumer's null is behind us (Acquire in `waiting`, or in
        // `refresh_freed`).
        debug_assert!(slot.load(Ordering::Relaxed).is_null());
        // Release: what the item points to is visible to `pop`.
        slot.store(item.into_ptr(), Ordering::Release);
    }

    /// Claims the next position: from here on the consumer waits for it to be written.
    #[inline]
    pub(super) fn claim(&self, limit: u64, pinned: &impl Pinned) -> Claim {
        let mut seen = self.tail.peek();
        loop {
            if seen.is_closed() {
                return Claim::Closed;
            }
            let (place, slots) = match self.room(seen, limit, pinned) {
                Room::In(place, slots) => (place, slots),
                Room::None if self.tail.observe() == seen => return Claim::Full,
                Room::None | Room::StaleTail => {
                    // An Acquire: the rings behind the first one that the word speaks of are in view.
                    seen = self.tail.observe();
                    continue;
                }
            };
            match self.tail.claim(seen, place) {
                Ok(()) => {
                    let slot = slots.at(seen.position());
                    return Claim::Position(Claimed { seen, slot });
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Writes what a claim was made for.
    #[inline]
    pub(super) fn write(&self, claimed: Claimed, item: T) -> Push<T> {
        // SAFETY: the consumer does not pass the position before it is written, so its ring is not retired
        self.write_slot(unsafe { &*claimed.slot }, item);
        pushed(claimed.seen)
    }

    #[inline]
    fn room<'p>(&'p self, seen: Tail, limit: u64, pinned: &'p impl Pinned) -> Room<'p> {
        let position = seen.position();
        let Some(slots) = self.slots_of(seen, pinned) else {
            return Room::StaleTail;
        };
        let length = slots.len() as u64;
        if self.waiting(seen) < length.min(limit) {
            return Room::In(Place::Here, slots);
        }
        // `observe` is an Acquire: what whoever parked had told before, and what `claim` knew, is in view
        // with the word. Otherwise a push could be refused that finds the consumer at rest.
        if self.tail.observe() != seen {
            return Room::StaleTail;
        }
        let freed = self.refresh_freed();
        if freed > position {
            return Room::StaleTail;
        }
        match position - freed {
            waiting if waiting >= limit => Room::None,
            waiting if waiting < length => Room::In(Place::Here, slots),
            _ => self.more_room(seen, slots.len(), pinned),
        }
    }

    /// Room behind the ring that `seen` stands for: before the claim, since between claim and write nothing
    /// allocates (R5).
    #[cold]
    fn more_room<'p>(&'p self, seen: Tail, slots: usize, pinned: &'p impl Pinned) -> Room<'p> {
        if slots >= MOST_SLOTS {
            return Room::None;
        }
        let is_current = || self.tail.observe() == seen;
        match self.behind.next(seen, slots, is_current, pinned) {
            Some(slots) => Room::In(Place::Next, slots),
            None => Room::StaleTail,
        }
    }

    #[cold]
    fn refresh_freed(&self) -> u64 {
        // Acquire: pairs with `publish_freed`; the nulls before it are visible.
        let freed = self.consumer.freed.load(Ordering::Acquire);
        // Release: passes that on to the Acquire in `room`. An older value may overwrite a newer one: then
        // somebody looks once more than needed.
        self.freed_seen.store(freed, Ordering::Release);
        freed
    }

    /// Closes: no push succeeds after this in the order of the tail word.
    pub fn close(&self) -> Close {
        match self.tail.close() {
            before if before.is_closed() => Close::Already,
            before if before.is_parked() => Close::Submit,
            _ => Close::Closed,
        }
    }

    /// Takes the duty if the consumer is parked. True if the caller has it now.
    pub fn unpark(&self) -> bool {
        self.tail.unpark()
    }

    /// Makes the consumer look around once more before it parks. True if the caller has the duty now.
    pub fn notify(&self) -> bool {
        self.tail.notify()
    }

    /// True: it is at rest. For models.
    #[cfg(any(loom, feature = "internals"))]
    pub fn is_parked(&self) -> bool {
        self.tail.peek().is_parked()
    }

    /// True: it accepts no more. False may be old news.
    pub fn is_closed(&self) -> bool {
        self.tail.peek().is_closed()
    }

    /// How many positions were ever claimed. May be old news.
    pub fn pushed(&self) -> u64 {
        self.tail.peek().position()
    }

    /// How many items were taken out, as the consumer last told.
    pub fn freed(&self) -> u64 {
        // Relaxed: a figure for statistics and marks.
        self.consumer.freed.load(Ordering::Relaxed)
    }

    /// The number of slots of the first ring.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The next item, if it is there.
    ///
    /// # Safety
    /// The caller has the duty to run the consumer.
    pub unsafe fn pop(&self) -> Pop<T> {
        // SAFETY: guaranteed by caller
        match unsafe { self.pop_quickly() } {
            Some(item) => Pop::Item(item),
            // SAFETY: guaranteed by caller
            None => unsafe { self.look_further() },
        }
    }

    /// The next item, if it is there, in the ring that the last one was in. Looks at its slot only.
    ///
    /// # Safety
    /// The caller has the duty to run the consumer.
    #[inline]
    pub unsafe fn pop_quickly(&self) -> Option<T> {
        // SAFETY: the duty gives exclusive access
        let take = |state: *mut Consumer| unsafe { &mut *state }.take();
        self.consumer.state.with_mut(take)
    }

    /// After [`Self::pop_quickly`], which found nothing where something was found before: whether the next
    /// item may be in another ring. If not, there is none, or it is not written, or it was closed or
    /// notified, and whoever parks finds out.
    ///
    /// # Safety
    /// The caller has the duty to run the consumer.
    #[inline]
    pub unsafe fn is_look_due(&self) -> bool {
        // SAFETY: the duty gives exclusive access
        let is_due = |state: *const Consumer| unsafe { &*state }.may_have_moved();
        self.consumer.state.with(is_due)
    }

    /// Whether one item is there, and no other one that is written, as far as this ring goes.
    ///
    /// # Safety
    /// The caller has the duty to run the consumer.
    #[inline]
    pub unsafe fn has_one(&self) -> bool {
        // SAFETY: the duty gives exclusive access
        let has_one = |state: *const Consumer| unsafe { &*state }.has_one();
        self.consumer.state.with(has_one)
    }

    /// After [`Self::pop_quickly`], which found nothing: is it in the next ring, or nowhere yet?
    ///
    /// # Safety
    /// The caller has the duty to run the consumer.
    #[cold]
    pub unsafe fn look_further(&self) -> Pop<T> {
        // SAFETY: the duty gives exclusive access
        let look = |state: *mut Consumer| self.look_from(unsafe { &mut *state });
        self.consumer.state.with_mut(look)
    }

    fn look_from(&self, consumer: &mut Consumer) -> Pop<T> {
        consumer.looked_at = consumer.head as u32;
        let tail = self.tail.observe();
        if tail.position() == consumer.head {
            return match tail.is_closed() {
                true => Pop::Closed,
                false => Pop::Empty,
            };
        }
        if tail.generation() == consumer.generation {
            return Pop::Unwritten;
        }
        let Some(next) = self.behind.after(consumer.generation) else {
            debug_assert!(false, "a claim has moved on to a ring that is not there");
            return Pop::Unwritten;
        };
        // SAFETY: rings are taken out by the consumer only, who is the caller
        let grown = unsafe { &*next };
        // Acquire: pairs with the Release in `write_slot`. Null: the claim that moved on has not written yet,
        // or this position is one before that; no other position of that ring has this slot before this one
        // is consumed.
        if grown
            .slots()
            .at(consumer.head)
            .load(Ordering::Acquire)
            .is_null()
        {
            return Pop::Unwritten;
        }
        consumer.move_to(grown.slots(), grown.generation(), true);
        consumer.take().map_or(Pop::Unwritten, Pop::Item)
    }

    /// True if the next item is there, in the ring that the last one was in. Looks at its slot only.
    ///
    /// # Safety
    /// The caller has the duty to run the consumer.
    pub unsafe fn is_ready(&self) -> bool {
        self.consumer.state.with(|state| {
            // SAFETY: the duty gives exclusive access
            let consumer = unsafe { &*state };
            // Relaxed: `pop` reads it again, and what it points to.
            !consumer.slot().load(Ordering::Relaxed).is_null()
        })
    }

    /// Tells the producers how far the consumer has come: before a handler runs where room is exact, once a
    /// batch where it is not. Returns whether that was news.
    ///
    /// # Safety
    /// The caller has the duty to run the consumer.
    pub unsafe fn publish_freed(&self) -> bool {
        self.consumer.state.with_mut(|state| {
            // SAFETY: the duty gives exclusive access
            let consumer = unsafe { &mut *state };
            let news = consumer.untold > 0;
            if news {
                consumer.untold = 0;
                // Release: the nulls that `pop` wrote are visible to `refresh_freed`.
                self.consumer.freed.store(consumer.head, Ordering::Release);
            }
            news
        })
    }

    /// The position that `pop` takes next.
    ///
    /// # Safety
    /// The caller has the duty to run the consumer.
    pub unsafe fn head(&self) -> u64 {
        // SAFETY: the duty gives exclusive access
        self.consumer.state.with(|state| unsafe { (*state).head })
    }

    /// Whether so many items were taken that the producers are to be told of them: see [`Self::tell_each`].
    ///
    /// # Safety
    /// The caller has the duty to run the consumer.
    #[inline]
    pub unsafe fn has_much_to_tell(&self) -> bool {
        self.consumer.state.with(|state| {
            // SAFETY: the duty gives exclusive access
            let consumer = unsafe { &*state };
            consumer.has_much_to_tell()
        })
    }

    /// Producers are to know of each item that was taken, not only of half a ring.
    pub fn tell_each(&mut self) {
        // SAFETY: `&mut self` excludes everybody else
        let tell = |state: *mut Consumer| unsafe { &mut *state }.tell_each();
        self.consumer.state.with_mut(tell);
    }

    /// Whether they are. Also said of a ring of three slots or fewer.
    ///
    /// # Safety
    /// The caller has the duty to run the consumer.
    #[inline]
    pub unsafe fn tells_each(&self) -> bool {
        // SAFETY: the duty gives exclusive access
        let tells = |state: *const Consumer| unsafe { &*state }.tells_each();
        self.consumer.state.with(tells)
    }

    /// Gives up the duty. False if it cannot be given up: something was pushed, or it was closed. What it
    /// retires is freed after the epoch by the caller.
    ///
    /// # Safety
    /// The caller has the duty to run the consumer, and has it no more when this returns true.
    pub unsafe fn park(&self, retire: impl FnOnce(Retired)) -> bool {
        // SAFETY: guaranteed by caller
        unsafe { self.publish_freed() };
        let head = self.consumer.state.with_mut(|state| {
            // SAFETY: the duty gives exclusive access
            let consumer = unsafe { &mut *state };
            if consumer.is_grown {
                if let Some(generation) = self.tail.stop_spilling(consumer.head) {
                    consumer.move_to(&self.slots, generation, false);
                    if let Some(retired) = self.behind.take_out(generation) {
                        retire(retired);
                    }
                }
            }
            consumer.head
        });
        self.tail.park(head)
    }
}

/// What became of a push whose claim found the word to be that.
#[inline(always)]
fn pushed<T>(claimed: Tail) -> Push<T> {
    let at = claimed.position();
    if claimed.is_parked() {
        Push::Submit { at }
    } else {
        Push::Queued { at }
    }
}

impl<T: Pointer, B> Drop for Ring<T, B> {
    fn drop(&mut self) {
        // SAFETY: `&mut self` excludes every producer and consumer
        while let Pop::Item(item) = unsafe { self.pop() } {
            drop(item);
        }
    }
}

#[cfg(all(test, not(loom), target_pointer_width = "64"))]
mod tests {
    use super::*;

    struct Item;

    // SAFETY: no item is ever made
    unsafe impl Pointer for Item {
        fn into_ptr(self) -> *mut () {
            unreachable!("no item is ever made")
        }

        unsafe fn from_ptr(_: *mut ()) -> Self {
            unreachable!("no item is ever made")
        }
    }

    /// Allocations are aligned to 16. What producers touch at every push, 56 bytes with what stands first
    /// in the middle, ends in the second line at the latest, at its byte 40; 112 bytes from its beginning is
    /// the line after that, in each of the four cases.
    #[test]
    fn producers_and_the_consumer_are_on_different_lines() {
        assert!(std::mem::offset_of!(Ring<Item>, consumer) >= 112);
        assert_eq!(std::mem::offset_of!(Ring<Item>, between), 40);
    }
}
