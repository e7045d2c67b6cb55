//! A mailbox: the queue of one subscription together with its overflow policy, and the books of what it shed.
//! It decides whether a message waits, and nothing about who runs it.

#![expect(unsafe_code, reason = "the ring's consumer side wants the duty")]

use super::filter::ConflateKey;
use super::options::Overflow;
use super::parcel::{Handled, Parcel};
use super::waiting::Waiter;
use crate::message::{Gap, Message, MessageId};
use crate::queue::ring::{MAX_SLOTS, Ring};
use crate::queue::room::RoomWaiters;
use crate::queue::shedding::{Evicted, Shedding};
use crate::queue::spill::Retired;
use crate::queue::{Close, Pinned, Pop, Push};
use crate::stats::Counter;
use crate::sync::Mutex;
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

/// The bus-wide budget of messages that wait beyond the rings of their mailboxes.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    granted: AtomicU64,
}

/// How many positions a mailbox takes from the budget at once: it must not be a read-modify-write on one line
/// of the whole bus for each message that is spilled.
const GRANT: u64 = 256;

impl Budget {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            granted: AtomicU64::new(0),
        }
    }

    /// How much of it is taken.
    pub(crate) fn granted(&self) -> u64 {
        // Relaxed: a figure.
        self.granted.load(Ordering::Relaxed)
    }

    fn take(&self) -> bool {
        // Relaxed: a number, nothing is read through it.
        let before = self.granted.fetch_add(GRANT, Ordering::Relaxed);
        if before + GRANT > self.limit {
            // Relaxed: as above.
            self.granted.fetch_sub(GRANT, Ordering::Relaxed);
            return false;
        }
        true
    }

    fn give_back(&self, grants: u64) {
        // Relaxed: as above.
        self.granted.fetch_sub(grants, Ordering::Relaxed);
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Mailbox {
    queue: Queue,
    policy: Policy,
    /// Beyond so many waiting messages there is no room. For a spilling mailbox without a limit of its own it
    /// is what it was granted of the bus's budget.
    limit: AtomicU64,
    gaps: Gaps,
}

#[derive(Debug)]
enum Queue {
    Ring(Ring<Parcel>),
    Shedding(Box<Shedding<ConflateKey, Parcel>>),
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

/// What was shed and not told yet.
#[derive(Debug)]
struct Gaps {
    /// The position that the notice belongs before; `NOTHING` if there is none.
    at: AtomicU64,
    pending: Mutex<Pending>,
    total: Counter,
    conflated: Counter,
}

const NOTHING: u64 = u64::MAX;

#[derive(Debug)]
enum Pending {
    None,
    Gap(Gap),
    /// The last gap has been told: what would be shed from here on is refused as closed.
    Over,
}

impl Mailbox {
    /// The caller has checked the options.
    pub(crate) fn new(overflow: &Overflow, capacity: usize, budget: &Arc<Budget>) -> Self {
        let (policy, limit) = match overflow {
            Overflow::Spill { limit } => {
                let limit = limit.unwrap_or(u64::MAX);
                let granted = capacity.next_power_of_two().min(MAX_SLOTS) as u64;
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
        let queue = match policy {
            Policy::DropOldest | Policy::Conflate => Queue::Shedding(Box::default()),
            _ => Queue::Ring(Ring::new(capacity)),
        };
        Self {
            queue,
            policy,
            limit: AtomicU64::new(limit),
            gaps: Gaps::new(),
        }
    }

    /// Offers a message. `key` is that of the key function, where the policy has one; what left the mailbox to
    /// make room is put into `left`.
    #[inline]
    pub(crate) fn offer(
        &self,
        parcel: Parcel,
        key: Option<ConflateKey>,
        left: &mut Option<Left>,
        pinned: &impl Pinned,
    ) -> Offer {
        let ring = match &self.queue {
            Queue::Ring(ring) => ring,
            Queue::Shedding(queue) => return self.offer_shedding(queue, parcel, key, left),
        };
        // Relaxed: a limit may be seen late.
        let limit = self.limit.load(Ordering::Relaxed);
        match ring.push(parcel, limit, pinned) {
            Push::Queued { .. } => Offer::Queued,
            Push::Submit { .. } => Offer::Submit,
            Push::Closed(parcel) => Offer::Refused(Refusal::Closed, parcel),
            Push::Full(parcel) => self.overflow(ring, parcel, pinned),
        }
    }

    /// Offers a message past every limit: for who must not wait, and for marks that somebody waits for.
    pub(crate) fn offer_unlimited(&self, parcel: Parcel, pinned: &impl Pinned) -> Offer {
        let push = match &self.queue {
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
    fn overflow(&self, ring: &Ring<Parcel>, mut parcel: Parcel, pinned: &impl Pinned) -> Offer {
        match &self.policy {
            Policy::Spill { limit, budget } => loop {
                let Some(granted) = self.grow(*limit, budget) else {
                    return self.refuse(ring, Refusal::Shed, parcel);
                };
                parcel = match ring.push(parcel, granted, pinned) {
                    Push::Queued { .. } => return Offer::Queued,
                    Push::Submit { .. } => return Offer::Submit,
                    Push::Closed(parcel) => return Offer::Refused(Refusal::Closed, parcel),
                    Push::Full(parcel) => parcel,
                };
            },
            Policy::Block { .. } => Offer::Refused(Refusal::Wait, parcel),
            Policy::Evict => Offer::Refused(Refusal::Evict, parcel),
            Policy::Fail => self.refuse(ring, Refusal::Failed, parcel),
            Policy::DropNewest | Policy::DropOldest | Policy::Conflate => {
                self.refuse(ring, Refusal::Shed, parcel)
            }
        }
    }

    /// Takes more of the budget, up to `limit`. The new bound, or none if there is no more to be had.
    fn grow(&self, limit: u64, budget: &Budget) -> Option<u64> {
        // Relaxed: a bound may be seen late; the exchange below decides.
        let granted = self.limit.load(Ordering::Relaxed);
        if granted >= limit || !budget.take() {
            return None;
        }
        let next = granted.saturating_add(GRANT).min(limit);
        // Relaxed: a number, nothing is read through it.
        match self
            .limit
            .compare_exchange(granted, next, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => Some(next),
            Err(other) => {
                budget.give_back(GRANT);
                Some(other)
            }
        }
    }

    /// Books that the message itself is shed. False if the subscription has ended meanwhile.
    pub(crate) fn shed_newest(&self, parcel: Parcel) -> (bool, Parcel) {
        let Queue::Ring(ring) = &self.queue else {
            return (false, parcel);
        };
        self.shed(ring, parcel)
    }

    fn refuse(&self, ring: &Ring<Parcel>, why: Refusal, parcel: Parcel) -> Offer {
        match self.shed(ring, parcel) {
            (true, parcel) => Offer::Refused(why, parcel),
            (false, parcel) => Offer::Refused(Refusal::Closed, parcel),
        }
    }

    fn shed(&self, ring: &Ring<Parcel>, mut parcel: Parcel) -> (bool, Parcel) {
        if let Some(id) = parcel.message_id() {
            if !self.gaps.record(id, ring.pushed()) {
                return (false, parcel);
            }
        }
        if let Parcel::Marked(envelope) = &mut parcel {
            envelope.will_be(Handled::Shed);
        }
        (true, parcel)
    }

    fn offer_shedding(
        &self,
        queue: &Shedding<ConflateKey, Parcel>,
        parcel: Parcel,
        key: Option<ConflateKey>,
        out: &mut Option<Left>,
    ) -> Offer {
        // Relaxed: it does not change for this policy.
        let capacity = self.limit.load(Ordering::Relaxed) as usize;
        let (push, evicted) =
            queue.push_and_book(parcel, key, capacity, |evicted| self.gaps.book(evicted));
        *out = match evicted {
            Evicted::None => None,
            Evicted::Conflated(parcel) => Some(Left {
                parcel,
                shed: false,
            }),
            Evicted::Shed(parcel) => Some(Left { parcel, shed: true }),
        };
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
        match &self.queue {
            Queue::Ring(ring) => ring.close(),
            Queue::Shedding(queue) => queue.close(),
        }
    }

    /// Has the consumer tell a gap soon, not only before the next message. True if the caller has the duty now.
    pub(crate) fn notify(&self) -> bool {
        match &self.queue {
            Queue::Ring(ring) => ring.notify(),
            Queue::Shedding(queue) => queue.notify(),
        }
    }

    /// Takes the duty if the consumer is parked. True if the caller has it now.
    pub(crate) fn unpark(&self) -> bool {
        match &self.queue {
            Queue::Ring(ring) => ring.unpark(),
            Queue::Shedding(queue) => queue.unpark(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match &self.queue {
            Queue::Ring(ring) => ring.is_closed(),
            Queue::Shedding(queue) => queue.is_closed(),
        }
    }

    /// The ring, if that is what it is. For tests.
    #[cfg(any(loom, feature = "internals"))]
    pub(crate) fn ring(&self) -> Option<&Ring<Parcel>> {
        match &self.queue {
            Queue::Ring(ring) => Some(ring),
            Queue::Shedding(_) => None,
        }
    }

    /// How many messages wait, marks included. May be old news.
    pub(crate) fn depth(&self) -> u64 {
        match &self.queue {
            Queue::Ring(ring) => ring.pushed().saturating_sub(ring.freed()),
            Queue::Shedding(queue) => queue.waiting() as u64,
        }
    }

    /// How many messages were ever accepted, marks included.
    pub(crate) fn accepted(&self) -> u64 {
        match &self.queue {
            Queue::Ring(ring) => ring.pushed(),
            Queue::Shedding(queue) => queue.pushed(),
        }
    }

    pub(crate) fn total_shed(&self) -> u64 {
        self.gaps.total.get()
    }

    pub(crate) fn total_conflated(&self) -> u64 {
        self.gaps.conflated.get()
    }

    /// The limit of the wait, and where to register for it, if the policy is to wait.
    pub(crate) fn blocking(&self) -> Option<(Option<Duration>, &RoomWaiters<Waiter>)> {
        match &self.policy {
            Policy::Block { timeout, room } => Some((*timeout, room)),
            _ => None,
        }
    }
}

/// The consumer's side. The caller of each of these has the duty to run the consumer: see `deliver.rs`, which
/// is the only one to call them, and which keeps it as a [`Duty`](super::state::Duty).
impl Mailbox {
    /// # Safety
    /// The caller has the duty.
    #[inline]
    pub(crate) unsafe fn pop(&self) -> Pop<Parcel> {
        match &self.queue {
            // SAFETY: guaranteed by caller
            Queue::Ring(ring) => unsafe { ring.pop() },
            Queue::Shedding(queue) => queue.pop(),
        }
    }

    /// Tells publishers of the room that there is. Where room is exact, or somebody may wait for it, `each` is
    /// enough reason; else it is done once half of the ring is free, or at the end of a batch.
    ///
    /// # Safety
    /// The caller has the duty.
    #[inline]
    pub(crate) unsafe fn publish_freed(&self, each: bool) {
        let Queue::Ring(ring) = &self.queue else {
            return;
        };
        let exact = !matches!(
            self.policy,
            Policy::Spill {
                limit: u64::MAX,
                ..
            }
        );
        // SAFETY: guaranteed by caller
        let unpublished = unsafe { ring.unpublished() };
        if each && !exact && unpublished < ring.slots() as u64 / 2 {
            return;
        }
        // SAFETY: guaranteed by caller
        let news = unsafe { ring.publish_freed() };
        if news {
            self.wake_blocked();
        }
    }

    /// The gap notice that belongs before the next message, if there is one.
    ///
    /// # Safety
    /// The caller has the duty.
    #[inline]
    pub(crate) unsafe fn due_gap(&self, before_next: bool) -> Option<Gap> {
        // Relaxed: whoever published the next message after a shedding publish had returned made this visible
        // with it (Acquire in `pop`).
        let at = self.gaps.at.load(Ordering::Relaxed);
        if at == NOTHING {
            return None;
        }
        if let (true, Queue::Ring(ring)) = (before_next, &self.queue) {
            // SAFETY: guaranteed by caller
            let next = unsafe { ring.head() } - 1;
            if next < at {
                return None;
            }
        }
        self.gaps.take()
    }

    /// The gap notice that belongs before the final message, if there is one. Nothing is shed after this.
    pub(crate) fn last_gap(&self) -> Option<Gap> {
        self.gaps.end()
    }

    /// Gives up the duty, if there is nothing to do.
    ///
    /// # Safety
    /// The caller has the duty, and has it no more when this returns true.
    pub(crate) unsafe fn park(&self, retire: impl FnOnce(Retired<Parcel>)) -> bool {
        self.return_grants();
        match &self.queue {
            // SAFETY: guaranteed by caller
            Queue::Ring(ring) => unsafe { ring.park(retire) },
            Queue::Shedding(queue) => queue.park(),
        }
    }
}

impl Mailbox {
    /// Wakes publishers that wait for room: there is some, or there will never be.
    pub(crate) fn wake_blocked(&self) {
        if let Policy::Block { room, .. } = &self.policy {
            for waiter in room.take() {
                waiter.wake();
            }
        }
    }

    /// Gives back what was granted of the budget beyond the ring.
    pub(crate) fn return_grants(&self) {
        let (Policy::Spill { limit, budget }, Queue::Ring(ring)) = (&self.policy, &self.queue)
        else {
            return;
        };
        let base = (*limit).min(ring.slots() as u64);
        // Relaxed: a limit may be seen late; who pushed by the old one had its position granted.
        if self.limit.load(Ordering::Relaxed) != base {
            // Relaxed: as above; the swap makes sure that each grant is given back once.
            let granted = self.limit.swap(base, Ordering::Relaxed);
            budget.give_back((granted - base).div_ceil(GRANT) * GRANT);
        }
    }
}

impl Gaps {
    fn new() -> Self {
        Self {
            at: AtomicU64::new(NOTHING),
            pending: Mutex::new(Pending::None),
            total: Counter::default(),
            conflated: Counter::default(),
        }
    }

    /// Books a message that was shed. False if it is too late for that.
    fn record(&self, id: MessageId, position: u64) -> bool {
        let mut pending = self.pending.lock();
        match &mut *pending {
            Pending::Gap(gap) => {
                gap.count += 1;
                gap.last = id;
            }
            Pending::None => {
                *pending = Pending::Gap(Gap {
                    count: 1,
                    first: id,
                    last: id,
                });
                // Relaxed: under the lock against `take`; made visible by what the publisher does next.
                self.at.store(position, Ordering::Relaxed);
            }
            Pending::Over => return false,
        }
        self.total.add_alone(1);
        true
    }

    /// Books what left a queue that is still open, so its end is not told yet.
    fn book(&self, evicted: &Evicted<Parcel>) {
        match evicted {
            Evicted::None => {}
            Evicted::Conflated(_) => self.conflated.add(1),
            Evicted::Shed(oldest) => {
                let in_time = oldest.message_id().is_none_or(|id| self.record(id, 0));
                debug_assert!(in_time);
            }
        }
    }

    fn take(&self) -> Option<Gap> {
        self.replace(Pending::None)
    }

    /// Takes what is there, for the last time.
    fn end(&self) -> Option<Gap> {
        self.replace(Pending::Over)
    }

    fn replace(&self, next: Pending) -> Option<Gap> {
        let mut pending = self.pending.lock();
        // Relaxed: under the lock, as in `record`.
        self.at.store(NOTHING, Ordering::Relaxed);
        match std::mem::replace(&mut *pending, next) {
            Pending::Gap(gap) => Some(gap),
            Pending::None | Pending::Over => None,
        }
    }
}

impl Parcel {
    pub(super) fn message_id(&self) -> Option<MessageId> {
        match self {
            Self::Message(message) => Some(Message::id(message)),
            Self::Marked(envelope) => envelope.message_id(),
        }
    }
}
