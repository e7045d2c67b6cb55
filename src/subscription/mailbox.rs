//! A mailbox: the queue of one subscription together with its overflow policy, and the books of what it shed.
//! It decides whether a message waits, and nothing about who runs it.

#![expect(unsafe_code, reason = "the ring's consumer side wants the duty")]

use super::budget::{Budget, GRANT};
use super::gaps::{Gaps, Seldom};
use super::options::Overflow;
use super::parcel::{Handled, Parcel};
use super::state::Marks;
use super::waiting::Waiter;
use crate::message::{Gap, Key};
use crate::queue::grown::{MOST_SLOTS, Retired};
use crate::queue::ring::{MAX_SLOTS, Ring};
use crate::queue::room::RoomWaiters;
use crate::queue::shedding::{Evicted, Shedding};
use crate::queue::{Close, Pinned, Pop, Push};
use crate::stats::Counter;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::unmodelled::Arc;
use std::time::Duration;

/// What became of a message that was offered.
#[must_use]
#[derive(Debug)]
pub(crate) enum Offer {
    Queued,
    /// It waits, and the caller has the duty to run the consumer.
    Submit,
    Refused(Refusal, Parcel),
}

/// Why a message does not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// For want of room.
    Shed,
    /// The same, and the publisher wants to know.
    Failed,
    /// There is no room, and the subscription is to be closed for that.
    Evict,
    /// There is no room, and the publisher waits for some.
    Wait,
    Closed,
}

/// What left a mailbox to make room.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) parcel: Parcel,
    /// False if a newer message of its key has taken its place: that is no gap.
    pub(crate) shed: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// Not used where there is a [`Special::shedding`] queue.
    ring: MailboxRing,
}

/// The ring of a mailbox, with all else of it in the middle.
pub(crate) type MailboxRing = Ring<Parcel, Books>;

/// What a mailbox has besides its ring. Publishers read the first two fields with every message, and so
/// nothing that the consumer writes is on their cache line.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Books {
    /// Beyond so many waiting messages there is no room. For a spilling mailbox without a limit of its own it
    /// is what it was granted of the bus's budget.
    limit: AtomicU64,
    special: Option<Box<Special>>,
    policy: Policy,
    gaps: Gaps,
    /// Keeps the consumer's side of the ring a line further away.
    _apart: [u64; 1],
}

/// What most mailboxes have nothing of.
#[derive(Debug)]
struct Special {
    marks: Option<Marks>,
    /// Takes the place of the ring, for policies that move the head.
    shedding: Option<Shedding<Key, Parcel>>,
}

/// Where messages wait.
enum Queue<'a> {
    Ring(&'a MailboxRing),
    Shedding(&'a Shedding<Key, Parcel>),
}

#[derive(Debug)]
enum Policy {
    Spill {
        limit: u64,
        budget: Arc<Budget>,
    },
    Block {
        timeout: Option<Duration>,
        room: Box<RoomWaiters<Waiter>>,
    },
    DropNewest,
    Fail,
    Evict,
    DropOldest,
    Conflate,
}

impl Mailbox {
    /// The caller has checked the options.
    pub(crate) fn new(
        overflow: &Overflow,
        capacity: usize,
        marks: Option<Marks>,
        budget: &Arc<Budget>,
    ) -> Self {
        let (policy, limit) = match overflow {
            Overflow::Spill { limit } => {
                let limit = limit.unwrap_or(u64::MAX);
                let granted = capacity.min(MAX_SLOTS).next_power_of_two() as u64;
                let policy = Policy::Spill {
                    limit,
                    budget: Arc::clone(budget),
                };
                (policy, limit.min(granted))
            }
            Overflow::Block { timeout } => {
                let room = Box::new(RoomWaiters::new());
                (
                    Policy::Block {
                        timeout: *timeout,
                        room,
                    },
                    capacity as u64,
                )
            }
            Overflow::DropNewest => (Policy::DropNewest, capacity as u64),
            Overflow::Fail => (Policy::Fail, capacity as u64),
            Overflow::Evict => (Policy::Evict, capacity as u64),
            Overflow::DropOldest => (Policy::DropOldest, capacity as u64),
            Overflow::Conflate(_) => (Policy::Conflate, capacity as u64),
        };
        let sheds = matches!(policy, Policy::DropOldest | Policy::Conflate);
        let special = (sheds || marks.is_some()).then(|| {
            let shedding = sheds.then(Shedding::default);
            Box::new(Special { marks, shedding })
        });
        let books = Books {
            limit: AtomicU64::new(limit),
            special,
            policy,
            gaps: Gaps::new(),
            _apart: [0],
        };
        let slots = if sheds { 1 } else { capacity };
        let is_exact = books.is_exact();
        let mut ring = Ring::around(books, slots);
        if is_exact {
            ring.tell_each();
        }
        Self { ring }
    }

    #[inline(always)]
    fn books(&self) -> &Books {
        self.ring.between()
    }

    #[inline(always)]
    fn queue(&self) -> Queue<'_> {
        let special = self.books().special.as_ref();
        match special.and_then(|special| special.shedding.as_ref()) {
            None => Queue::Ring(&self.ring),
            Some(queue) => Queue::Shedding(queue),
        }
    }

    /// High-water and low-water marks, where there are any.
    #[inline(always)]
    pub(crate) fn marks(&self) -> Option<&Marks> {
        self.books().special.as_ref()?.marks.as_ref()
    }

    /// Offers a message if the usual is all that there is to it: it is put into a ring that has room, and
    /// nobody has to know how many wait. `None`: nothing has happened, and [`Self::offer`] is to be called.
    #[inline(always)]
    pub(crate) fn offer_quickly(
        &self,
        parcel: impl FnOnce() -> Parcel,
        pinned: &impl Pinned,
    ) -> Option<Push<Parcel>> {
        let books = self.books();
        if books.special.is_some() {
            return None;
        }
        // Relaxed: a limit may be seen late.
        let limit = books.limit.load(Ordering::Relaxed);
        self.ring.push_quickly(parcel, limit, pinned)
    }

    /// Offers a message. `key` is that of the key function, where the policy has one; what left the mailbox
    /// to make room is put into `left`.
    #[inline]
    pub(crate) fn offer(
        &self,
        parcel: Parcel,
        key: Option<Key>,
        left: &mut Option<Left>,
        pinned: &impl Pinned,
    ) -> Offer {
        let ring = match self.queue() {
            Queue::Ring(ring) => ring,
            Queue::Shedding(queue) => return self.offer_shedding(queue, parcel, key, left),
        };
        // Relaxed: a limit may be seen late.
        let limit = ring.between().limit.load(Ordering::Relaxed);
        match ring.push(parcel, limit, pinned) {
            Push::Queued { .. } => Offer::Queued,
            Push::Submit { .. } => Offer::Submit,
            Push::Closed(parcel) => Offer::Refused(Refusal::Closed, parcel),
            Push::Full(parcel) => self.overflow(ring, parcel, limit, pinned),
        }
    }

    /// Offers a message past every limit: for who must not wait, and for marks that somebody waits for.
    pub(crate) fn offer_unlimited(&self, parcel: Parcel, pinned: &impl Pinned) -> Offer {
        let push = match self.queue() {
            Queue::Ring(ring) => ring.push(parcel, u64::MAX, pinned),
            Queue::Shedding(queue) => queue.push_mark(parcel),
        };
        match push {
            Push::Queued { .. } => Offer::Queued,
            Push::Submit { .. } => Offer::Submit,
            Push::Closed(parcel) | Push::Full(parcel) => Offer::Refused(Refusal::Closed, parcel),
        }
    }

    #[cold]
    fn overflow(
        &self,
        ring: &MailboxRing,
        mut parcel: Parcel,
        mut tried: u64,
        pinned: &impl Pinned,
    ) -> Offer {
        match &self.books().policy {
            Policy::Spill { limit, budget } => loop {
                let Some(granted) = self.grow(tried, *limit, budget) else {
                    return self.shed(ring, parcel, Refusal::Shed);
                };
                parcel = match ring.push(parcel, granted, pinned) {
                    Push::Queued { .. } => return Offer::Queued,
                    Push::Submit { .. } => return Offer::Submit,
                    Push::Closed(parcel) => {
                        // The final run may be over: then nobody else gives back what we have just taken.
                        self.return_grants();
                        return Offer::Refused(Refusal::Closed, parcel);
                    }
                    Push::Full(parcel) => parcel,
                };
                tried = granted;
            },
            Policy::Block { .. } => Offer::Refused(Refusal::Wait, parcel),
            Policy::Evict => Offer::Refused(Refusal::Evict, parcel),
            Policy::Fail => self.shed(ring, parcel, Refusal::Failed),
            Policy::DropNewest | Policy::DropOldest | Policy::Conflate => {
                self.shed(ring, parcel, Refusal::Shed)
            }
        }
    }

    /// The bound after `tried`: that of another publisher, who has found it too low as well, or one with more
    /// of the budget, up to `limit`. None if there is no more to be had.
    fn grow(&self, tried: u64, limit: u64, budget: &Budget) -> Option<u64> {
        let current = &self.books().limit;
        // Relaxed: a bound may be seen late; the exchange below decides.
        let granted = current.load(Ordering::Relaxed);
        if granted > tried {
            return Some(granted);
        }
        // Beyond the largest ring there is no room, whatever is granted.
        if granted >= limit.min(MOST_SLOTS as u64) || !budget.take() {
            return None;
        }
        let next = granted.saturating_add(GRANT).min(limit);
        // Relaxed: a number, nothing is read through it.
        match current.compare_exchange(granted, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Some(next),
            Err(other) => {
                budget.give_back(GRANT);
                Some(other)
            }
        }
    }

    /// Books that the message itself is shed; gives the refusal that it then is.
    pub(crate) fn shed_newest(&self, parcel: Parcel) -> (Refusal, Parcel) {
        let position = match self.queue() {
            Queue::Ring(ring) => ring.pushed(),
            Queue::Shedding(_) => 0,
        };
        self.book(parcel, position, Refusal::Shed)
    }

    fn shed(&self, ring: &MailboxRing, parcel: Parcel, why: Refusal) -> Offer {
        let (why, parcel) = self.book(parcel, ring.pushed(), why);
        Offer::Refused(why, parcel)
    }

    fn book(&self, mut parcel: Parcel, position: u64, why: Refusal) -> (Refusal, Parcel) {
        let id = parcel.message_id();
        if id.is_some_and(|id| !self.books().gaps.record(id, position)) {
            return (Refusal::Closed, parcel);
        }
        if let Parcel::Marked(envelope) = &mut parcel {
            envelope.will_be(Handled::Shed);
        }
        (why, parcel)
    }

    #[cold]
    fn offer_shedding(
        &self,
        queue: &Shedding<Key, Parcel>,
        parcel: Parcel,
        key: Option<Key>,
        out: &mut Option<Left>,
    ) -> Offer {
        // Relaxed: it does not change for this policy.
        let books = self.books();
        let capacity = books.limit.load(Ordering::Relaxed) as usize;
        let book = |evicted: &Evicted<Parcel>| match evicted {
            Evicted::None => {}
            Evicted::Conflated(_) => books.gaps.seldom().conflated.add(1),
            Evicted::Shed(oldest) => {
                let id = oldest.message_id();
                let is_booked = id.is_none_or(|id| books.gaps.record(id, 0));
                debug_assert!(is_booked, "it is open, so the final message is not due");
            }
        };
        let (push, evicted) = queue.push_booked(parcel, key, capacity, book);
        match evicted {
            Evicted::None => {}
            Evicted::Conflated(older) => {
                *out = Some(Left {
                    parcel: older,
                    shed: false,
                });
            }
            Evicted::Shed(oldest) => {
                *out = Some(Left {
                    parcel: oldest,
                    shed: true,
                });
            }
        }
        if let Some(Left {
            parcel: Parcel::Marked(envelope),
            ..
        }) = out
        {
            envelope.will_be(Handled::Shed);
        }
        match push {
            Push::Queued { .. } => Offer::Queued,
            Push::Submit { .. } => Offer::Submit,
            Push::Closed(parcel) | Push::Full(parcel) => Offer::Refused(Refusal::Closed, parcel),
        }
    }

    pub(crate) fn close(&self) -> Close {
        match self.queue() {
            Queue::Ring(ring) => ring.close(),
            Queue::Shedding(queue) => queue.close(),
        }
    }

    /// Has the consumer tell a gap soon, not only before the next message. True if the caller has the duty
    /// now.
    pub(crate) fn notify(&self) -> bool {
        match self.queue() {
            Queue::Ring(ring) => ring.notify(),
            Queue::Shedding(queue) => queue.notify(),
        }
    }

    /// Takes the duty if the consumer is parked. True if the caller has it now.
    pub(crate) fn unpark(&self) -> bool {
        match self.queue() {
            Queue::Ring(ring) => ring.unpark(),
            Queue::Shedding(queue) => queue.unpark(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self.queue() {
            Queue::Ring(ring) => ring.is_closed(),
            Queue::Shedding(queue) => queue.is_closed(),
        }
    }

    /// The ring, if that is what it is. For tests.
    #[cfg(any(loom, feature = "internals"))]
    pub(crate) fn ring(&self) -> Option<&MailboxRing> {
        match self.queue() {
            Queue::Ring(ring) => Some(ring),
            Queue::Shedding(_) => None,
        }
    }

    /// True if what it sheds is what a limit beyond its ring, the bus's budget or its own, leaves no room
    /// for (R4).
    pub(crate) fn spills(&self) -> bool {
        matches!(self.books().policy, Policy::Spill { .. })
    }

    /// How many messages wait, marks included. May be old news.
    pub(crate) fn depth(&self) -> u64 {
        match self.queue() {
            Queue::Ring(ring) => ring.pushed().saturating_sub(ring.freed()),
            Queue::Shedding(queue) => queue.waiting() as u64,
        }
    }

    /// How many messages were ever accepted, marks included.
    pub(crate) fn accepted(&self) -> u64 {
        match self.queue() {
            Queue::Ring(ring) => ring.pushed(),
            Queue::Shedding(queue) => queue.pushed(),
        }
    }

    /// The figures of what seldom happens, to be added to.
    pub(crate) fn seldom(&self) -> &Seldom {
        self.books().gaps.seldom()
    }

    /// One of those, to be read.
    pub(crate) fn figure(&self, of: impl FnOnce(&Seldom) -> &Counter) -> u64 {
        let seldom = self.books().gaps.seldom_if_any();
        seldom.map_or(0, |seldom| of(seldom).get())
    }

    /// The limit of the wait, and where to register for it, if the policy is to wait.
    pub(crate) fn blocking(&self) -> Option<(Option<Duration>, &RoomWaiters<Waiter>)> {
        match &self.books().policy {
            Policy::Block { timeout, room } => Some((*timeout, room)),
            _ => None,
        }
    }
}

impl Books {
    /// How many wait is to be known exactly, at any time: by the policy, or for the sake of marks.
    #[inline]
    fn is_exact(&self) -> bool {
        let spills_freely = matches!(
            self.policy,
            Policy::Spill {
                limit: u64::MAX,
                ..
            }
        );
        let has_marks = self.special.as_ref().is_some_and(|it| it.marks.is_some());
        has_marks || !spills_freely
    }
}

/// The consumer's side. The caller of each of these has the duty to run the consumer: see `deliver.rs`, which
/// is the only one to call them, and which keeps it as a [`Duty`](super::state::Duty).
impl Mailbox {
    /// # Safety
    /// The caller has the duty.
    #[inline]
    pub(crate) unsafe fn pop(&self) -> Pop<Parcel> {
        // Where another queue takes its place there is nothing in it.
        // SAFETY: guaranteed by caller
        match unsafe { self.ring.pop_quickly() } {
            Some(parcel) => Pop::Item(parcel),
            // SAFETY: guaranteed by caller
            None => unsafe { self.look_further() },
        }
    }

    #[cold]
    unsafe fn look_further(&self) -> Pop<Parcel> {
        match self.queue() {
            // SAFETY: guaranteed by caller
            Queue::Ring(ring) => unsafe { ring.look_further() },
            Queue::Shedding(queue) => queue.pop(),
        }
    }

    /// True if there is something to pop. False may be old news, or may mean that it cannot be told.
    ///
    /// # Safety
    /// The caller has the duty.
    #[inline]
    pub(crate) unsafe fn is_ready(&self) -> bool {
        // SAFETY: guaranteed by caller
        unsafe { self.ring.is_ready() }
    }

    /// Tells publishers of the room that there is. Where room is exact, or somebody may wait for it, `each`
    /// is enough reason; else it is done once half of the first ring's slots are, or at the end of a batch.
    ///
    /// # Safety
    /// The caller has the duty.
    #[inline]
    pub(crate) unsafe fn publish_freed(&self, each: bool) {
        // SAFETY: guaranteed by caller
        if each && !unsafe { self.ring.has_much_to_tell() } {
            return;
        }
        // SAFETY: guaranteed by caller
        let news = unsafe { self.ring.publish_freed() };
        if news {
            self.wake_blocked();
        }
    }

    /// High-water and low-water marks, where there are any; without a look at what publishers write.
    ///
    /// # Safety
    /// The caller has the duty.
    #[inline]
    pub(crate) unsafe fn marks_of_consumer(&self) -> Option<&Marks> {
        // SAFETY: guaranteed by caller
        let may_have_some = unsafe { self.ring.tells_each() };
        if may_have_some { self.marks() } else { None }
    }

    /// The gap notice that belongs before the next message, if there is one.
    ///
    /// # Safety
    /// The caller has the duty.
    #[inline]
    pub(crate) unsafe fn due_gap(&self, before_next: bool) -> Option<Gap> {
        let at = self.books().gaps.due()?;
        if let (true, Queue::Ring(ring)) = (before_next, self.queue()) {
            // SAFETY: guaranteed by caller
            let next = unsafe { ring.head() } - 1;
            if next < at {
                return None;
            }
        }
        self.books().gaps.take()
    }

    /// The gap notice that belongs before the final message, if there is one. Nothing is shed from here on.
    pub(crate) fn last_gap(&self) -> Option<Gap> {
        self.books().gaps.seal()
    }

    /// Gives up the duty, if there is nothing to do.
    ///
    /// # Safety
    /// The caller has the duty, and has it no more when this returns true.
    pub(crate) unsafe fn park(&self, retire: impl FnOnce(Retired)) -> bool {
        self.return_grants();
        match self.queue() {
            // SAFETY: guaranteed by caller
            Queue::Ring(ring) => unsafe { ring.park(retire) },
            Queue::Shedding(queue) => queue.park(),
        }
    }
}

impl Mailbox {
    /// Wakes publishers that wait for room: there is some, or there will never be.
    pub(crate) fn wake_blocked(&self) {
        if let Policy::Block { room, .. } = &self.books().policy {
            for waiter in room.take() {
                waiter.wake();
            }
        }
    }

    /// Gives back what was granted of the budget beyond the ring.
    pub(crate) fn return_grants(&self) {
        let Queue::Ring(ring) = self.queue() else {
            return;
        };
        let books = ring.between();
        let Policy::Spill { limit, budget } = &books.policy else {
            return;
        };
        let base = (*limit).min(ring.slots() as u64);
        // Relaxed: a limit may be seen late; who pushed by the old one had its position granted.
        if books.limit.load(Ordering::Relaxed) != base {
            // Relaxed: as above; the swap makes sure that each grant is given back once.
            let granted = books.limit.swap(base, Ordering::Relaxed);
            budget.give_back((granted - base).div_ceil(GRANT) * GRANT);
        }
    }
}
