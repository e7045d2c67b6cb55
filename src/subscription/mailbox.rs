//! A mailbox: the queue of one subscription together with its overflow policy, and the books of what it shed.
//! It decides whether a message waits, and nothing about who runs it.

#![expect(unsafe_code, reason = "the ring's consumer side wants the duty")]

use super::budget::{Bound, Budget};
use super::gaps::{Gaps, Seldom};
use super::marks::Marks;
use super::options::Overflow;
use super::parcel::{Handled, Parcel};
use super::policy::Policy;
pub(crate) use super::policy::Refusal;
use super::times::Times;
use super::waiting::Waiter;
use crate::message::{Gap, Key};
use crate::queue::grown::Retired;
use crate::queue::ring::Ring;
use crate::queue::room::RoomWaiters;
use crate::queue::shedding::{Evicted, Shedding};
use crate::queue::{Close, Pinned, Pop, Push};
use crate::stats::Counter;
use crate::sync::unmodelled::{Arc, OnceBox};
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
    bound: Bound,
    special: Option<Box<Special>>,
    policy: Policy,
    // What is written seldom. It keeps the consumer's side of the ring a line further away.
    gaps: Gaps,
    /// The most that ever waited. By the consumer.
    high_water: Counter,
    /// Marks of those who flush that were accepted. By them.
    flushes: Counter,
    /// By the consumer: made when a message has its times taken, the first one at the latest.
    times: OnceBox<Times>,
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

impl Mailbox {
    /// The caller has checked the options.
    pub(crate) fn new(
        overflow: &Overflow,
        capacity: usize,
        marks: Option<Marks>,
        budget: &Arc<Budget>,
    ) -> Self {
        let (policy, limit) = Policy::new(overflow, capacity, budget);
        let sheds = matches!(policy, Policy::DropOldest | Policy::Conflate);
        let special = (sheds || marks.is_some()).then(|| {
            let shedding = sheds.then(Shedding::default);
            Box::new(Special { marks, shedding })
        });
        let books = Books {
            bound: Bound::new(limit),
            special,
            policy,
            gaps: Gaps::new(),
            high_water: Counter::default(),
            flushes: Counter::default(),
            times: OnceBox::new(),
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
        self.ring.push_quickly(parcel, books.bound.get(), pinned)
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
        let limit = ring.between().bound.get();
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
        parcel: Parcel,
        tried: u64,
        pinned: &impl Pinned,
    ) -> Offer {
        let books = self.books();
        if let Some((limit, budget)) = books.policy.spills() {
            return self.spill(ring, parcel, (tried, limit), budget, pinned);
        }
        match books.policy {
            Policy::Block(_) => Offer::Refused(Refusal::Wait, parcel),
            Policy::Evict => Offer::Refused(Refusal::Evict, parcel),
            Policy::Fail => self.shed(ring, parcel, Refusal::Failed),
            _ => self.shed(ring, parcel, Refusal::Shed),
        }
    }

    /// Offers it by more and more of the budget, as long as that is too little.
    fn spill(
        &self,
        ring: &MailboxRing,
        mut parcel: Parcel,
        (mut tried, limit): (u64, u64),
        budget: &Budget,
        pinned: &impl Pinned,
    ) -> Offer {
        loop {
            let bound = &self.books().bound;
            let Some(granted) = bound.grow(tried, base(ring, limit), limit, budget) else {
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
        let books = self.books();
        let capacity = books.bound.get() as usize;
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
        self.books().policy.spills().is_some()
    }

    /// How many messages wait, marks included. May be old news.
    pub(crate) fn depth(&self) -> u64 {
        match self.queue() {
            Queue::Ring(ring) => ring.pushed().saturating_sub(ring.freed()),
            Queue::Shedding(queue) => queue.waiting() as u64,
        }
    }

    /// The most that ever waited, as far as [`Self::note_depth`] was called.
    pub(crate) fn high_water(&self) -> u64 {
        self.books().high_water.get()
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

    /// How many marks of those who flush were accepted: messages are what else was.
    pub(crate) fn flushes(&self) -> &Counter {
        &self.books().flushes
    }

    /// The times of its messages, once some were taken.
    pub(crate) fn times(&self) -> Option<&Times> {
        self.books().times.get()
    }

    /// The same, to be added to by the consumer.
    pub(crate) fn times_to_add_to(&self) -> &Times {
        self.books().times.get_or_init(Box::default)
    }

    /// The limit of the wait, and where to register for it, if the policy is to wait.
    pub(crate) fn blocking(&self) -> Option<(Option<Duration>, &RoomWaiters<Waiter>)> {
        match &self.books().policy {
            Policy::Block(blocking) => Some((blocking.timeout, &blocking.room)),
            _ => None,
        }
    }
}

impl Books {
    /// How many wait is to be known exactly, at any time: by the policy, or for the sake of marks.
    #[inline]
    fn is_exact(&self) -> bool {
        let spills_freely = matches!(self.policy, Policy::Spill(_));
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
        let item = unsafe { self.ring.pop_quickly() };
        // SAFETY: as above
        item.map_or_else(|| unsafe { self.look_further() }, Pop::Item)
    }

    /// The next one after others that were popped. `None` if it is not there, and what else there may be is
    /// not worth a look at what publishers write: the next run, or to park, tells what it is.
    ///
    /// # Safety
    /// The caller has the duty.
    #[inline]
    pub(crate) unsafe fn pop_another(&self) -> Option<Pop<Parcel>> {
        // SAFETY: guaranteed by caller
        match unsafe { self.ring.pop_quickly() } {
            Some(parcel) => Some(Pop::Item(parcel)),
            // SAFETY: guaranteed by caller
            None if unsafe { self.ring.is_look_due() } => Some(unsafe { self.look_further() }),
            None => None,
        }
    }

    /// When what waits is about to be taken. A single message is known by its slot alone.
    ///
    /// # Safety
    /// The caller has the duty.
    #[inline]
    pub(crate) unsafe fn note_depth(&self) {
        // SAFETY: guaranteed by caller
        let has_one = unsafe { self.ring.has_one() };
        let depth = if has_one { 1 } else { self.depth() };
        self.books().high_water.raise_alone(depth);
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
        self.return_grants_at_rest();
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
        if let Policy::Block(blocking) = &self.books().policy {
            for waiter in blocking.room.take() {
                waiter.wake();
            }
        }
    }

    /// Gives back what was granted of the budget beyond the ring: nothing waits.
    pub(crate) fn return_grants(&self) {
        if let Some((bound, base, budget)) = self.grants() {
            bound.give_back(base, budget);
        }
    }

    /// The same where nothing was found, which is no proof: what waits may be behind what is claimed and not
    /// written, and then it is still needed.
    pub(crate) fn return_grants_at_rest(&self) {
        if let Some((bound, base, budget)) = self.grants() {
            if bound.get() != base && self.depth() == 0 {
                bound.give_back(base, budget);
            }
        }
    }

    /// The same as far as what waits needs it no more.
    pub(crate) fn return_spare_grants(&self) {
        if let Some((bound, base, budget)) = self.grants() {
            bound.give_back_spare(base, self.depth(), budget);
        }
    }

    /// If it takes from the budget: its bound, and what that is if it has nothing of it.
    #[inline]
    fn grants(&self) -> Option<(&Bound, u64, &Budget)> {
        let Queue::Ring(ring) = self.queue() else {
            return None;
        };
        let books = ring.between();
        let (limit, budget) = books.policy.spills()?;
        Some((&books.bound, base(ring, limit), budget))
    }
}

/// The bound of a mailbox that spills up to `limit`, without any of the budget.
fn base(ring: &MailboxRing, limit: u64) -> u64 {
    limit.min(ring.slots() as u64)
}
