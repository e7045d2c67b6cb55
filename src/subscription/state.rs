//! One subscription as the bus sees it, and the *duty* to run its consumer. The duty exists once: it is in
//! the hands of one thread, in a queue of the pool, or in the mailbox while that is parked. Whoever clears
//! PARKED takes it out of there. It is what makes handler runs serial (D3), without any flag of its own.

#![expect(
    unsafe_code,
    reason = "the duty is a reference that the mailbox keeps while it is parked"
)]

use super::consumer::ConsumerCell;
use super::deliver::{self, Ran};
use super::executor::Task;
use super::filter::{Hooks, TypeFilter};
use super::mailbox::{Left, Mailbox, Offer, Refusal};
use super::marks::Marks;
use super::name::Name;
use super::parcel::Parcel;
use super::place::Place;
use super::scope;
use super::types::Change;
use super::waiting::Completion;
use super::waiting::WaiterSlot;
use crate::epoch;
use crate::error::AcceptError;
use crate::message::{FinalMessage, FinalReason, Gap, Key, SubscriptionChange, TypeInfo};
use crate::queue::{Close, Pinned, Pop, Push};
use crate::stats::Counter;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::unmodelled::{Arc, Weak};
use crate::sync::{Canary, Deposit, Parker};
use crate::worker::{Outcome, Pool, Run};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Deref;

/// A subscription's place in the world: what it needs of its topic and its bus, neither of which this layer
/// knows.
pub(crate) trait Home: Send + Sync {
    /// Closes the subscription: nothing is accepted from here on.
    fn close(&self, subscriber: &Arc<Subscriber>, reason: FinalReason);
    /// Its figures are final.
    fn count(&self, subscriber: &Subscriber);
    /// It is done: the last thing that happens to it.
    fn finished(&self, subscriber: &Arc<Subscriber>);
    /// Its handler panicked.
    fn panicked(&self, subscriber: &Subscriber, type_name: &'static str, panic: &str);
    /// Messages were discarded, because nothing runs it any more.
    fn discarded(&self, subscriber: &Subscriber, count: u64);
    /// Changes the types that it accepts, if it is changeable. Runs no code of the user's.
    fn change_types(&self, subscriber: &Arc<Subscriber>, change: Change)
    -> Result<(), AcceptError>;
    /// The name of the topic.
    fn topic_name(&self) -> &Arc<str>;
    /// Whether it is on the topic's list.
    fn is_listed(&self, subscriber: &Subscriber) -> bool;
    /// The pool of the bus, started if need be; `None` if the system gives no threads.
    fn pool(&self) -> Option<Pool<Duty>>;
}

/// How often an inline run begins again because something came while it was about to rest.
const INLINE_RUNS: u32 = 16;

/// See the module. The fields stand in the order of who writes them: first what publishers write, then what
/// the consumer does with every message, and behind that, on other cache lines, what publishers only read.
#[repr(C)]
pub(crate) struct Subscriber {
    /// Ends with the consumer's side of the ring.
    pub(crate) mailbox: Mailbox,
    pub(crate) consumer: ConsumerCell,
    /// Messages that it got. By the consumer.
    pub(crate) delivered: Counter,
    /// It is done: its figures are the totals of the final message. See [`Self::last`].
    pub(crate) completion: Completion<()>,
    name: Name,
    pub(crate) id: u64,
    /// Where it is on its topic's list: a hint, kept by whoever holds the topic's control lock.
    pub(crate) place: Place,
    pub(super) ending_of_topic: Place,
    pub(super) ending_of_bus: Place,
    /// Why it ended, as the first close says: 0 while it is open.
    reason: AtomicU8,
    /// A publisher has to run code of the user's before it can offer a message: a closure filter, a key.
    pub(crate) is_slow: bool,
    /// Its closure filter is run by its consumer, not by publishers: on topics with total order (D7), or
    /// on request.
    pub(crate) filters_itself: bool,
    /// Its end runs no code of the user's if nothing waits: then whoever closes it can run that, too.
    ends_quietly: bool,
    pub(crate) types: TypeFilter,
    /// Owned by the consumer, and gone when that is.
    pub(crate) hooks: Option<Weak<Hooks>>,
    pub(crate) wake: Wake,
    /// Looked at by whoever comes here from a list, which keeps it alive by its pin only.
    pub(crate) canary: Canary,
    /// References that [`Duty::park`] left, for models.
    parked: Deposit,
}

/// Who is told that there is something to do.
pub(crate) enum Wake {
    Pool(Pool<Duty>),
    Thread(Arc<Parker>),
    /// The thread that published, or the pool when that has had enough.
    Inline,
    Receiver(Box<WaiterSlot>),
    /// Which one stands in the consumer, and goes with it (R1).
    Executor,
}

impl std::fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriber")
            .field("id", &self.id)
            .field("name", self.name())
            .finish_non_exhaustive()
    }
}

/// What a subscriber is made of.
pub(crate) struct Parts<'a> {
    pub(crate) mailbox: Mailbox,
    pub(crate) consumer: ConsumerCell,
    pub(crate) wake: Wake,
    pub(crate) hooks: Option<Weak<Hooks>>,
    pub(crate) types: TypeFilter,
    pub(crate) is_slow: bool,
    pub(crate) filters_itself: bool,
    pub(crate) ends_quietly: bool,
    pub(crate) id: u64,
    pub(crate) topic: &'a Arc<str>,
    /// The name that it was given, if any.
    pub(crate) name: Option<String>,
}

impl Subscriber {
    /// A subscriber, and the duty to run it.
    pub(crate) fn new(parts: Parts<'_>) -> (Arc<Self>, Duty) {
        let Parts {
            mailbox,
            consumer,
            wake,
            hooks,
            types,
            is_slow,
            ..
        } = parts;
        let Parts {
            filters_itself,
            ends_quietly,
            id,
            topic,
            name,
            ..
        } = parts;
        let subscriber = Arc::new(Self {
            mailbox,
            consumer,
            wake,
            hooks,
            types,
            is_slow,
            filters_itself,
            ends_quietly,
            place: Place::default(),
            ending_of_topic: Place::default(),
            ending_of_bus: Place::default(),
            id,
            name: Name::new(topic, name),
            reason: AtomicU8::new(0),
            completion: Completion::new(),
            delivered: Counter::default(),
            canary: Canary::new(),
            parked: Deposit::new(),
        });
        let duty = Duty::of(Arc::clone(&subscriber));
        (subscriber, duty)
    }

    /// The first reason stays. True for the caller that gave it.
    pub(crate) fn set_reason(&self, reason: FinalReason) -> bool {
        // AcqRel: Release pairs with the Acquire in `reason`, which the final run makes after the close that
        // follows here; Acquire so that whoever loses helps with the close in full.
        self.reason
            .compare_exchange(0, encode(reason), Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    pub(crate) fn reason(&self) -> Option<FinalReason> {
        // Acquire: pairs with `set_reason`.
        decode(self.reason.load(Ordering::Acquire))
    }

    /// It accepts nothing any more. If that leaves the duty with the caller, here it is.
    pub(crate) fn close_mailbox(&self) -> Option<Duty> {
        let close = self.mailbox.close();
        self.mailbox.wake_blocked();
        (close == Close::Submit).then(|| self.take_duty())
    }

    /// Offers a message if the usual is all that there is to it: see [`Mailbox::offer_quickly`].
    #[inline(always)]
    pub(crate) fn offer_quickly(
        &self,
        parcel: impl FnOnce() -> Parcel,
        pinned: &impl Pinned,
    ) -> Option<Option<Duty>> {
        let pushed = self.mailbox.offer_quickly(parcel, pinned)?;
        let is_submit = matches!(pushed, Push::Submit { .. });
        debug_assert!(is_submit || matches!(pushed, Push::Queued { .. }));
        // It holds nothing: what is not pushed quickly is not made.
        std::mem::forget(pushed);
        Some(is_submit.then(|| self.take_duty()))
    }

    /// Offers a message: see [`Mailbox::offer`].
    #[inline]
    pub(crate) fn offer(
        &self,
        parcel: Parcel,
        key: Option<Key>,
        left: &mut Option<Left>,
        guard: &epoch::Guard,
    ) -> Offered {
        let offer = self.mailbox.offer(parcel, key, left, guard);
        self.offered(offer)
    }

    /// Offers a message past every limit: see [`Mailbox::offer_unlimited`].
    pub(crate) fn offer_unlimited(&self, parcel: Parcel, guard: &epoch::Guard) -> Offered {
        let offer = self.mailbox.offer_unlimited(parcel, guard);
        self.offered(offer)
    }

    #[inline]
    fn offered(&self, offer: Offer) -> Offered {
        match offer {
            Offer::Queued => Offered::Queued(None),
            Offer::Submit => Offered::Queued(Some(self.take_duty())),
            Offer::Refused(refusal, parcel) => Offered::Refused(refusal, parcel),
        }
    }

    /// Has the consumer tell a gap soon, not only before the next message.
    pub(crate) fn notify(&self) -> Option<Duty> {
        self.mailbox.notify().then(|| self.take_duty())
    }

    /// Takes the duty out of the mailbox, if it is parked.
    pub(crate) fn unpark(&self) -> Option<Duty> {
        self.mailbox.unpark().then(|| self.take_duty())
    }

    /// The duty that comes with a position that was claimed while the mailbox was parked. For tests.
    #[cfg(any(loom, feature = "internals"))]
    pub(super) fn claimed_parked(&self) -> Duty {
        self.take_duty()
    }

    /// The duty that the caller has just taken out of the parked mailbox.
    #[inline]
    fn take_duty(&self) -> Duty {
        self.parked.take();
        let this: *const Self = self;
        // SAFETY: every subscriber lives in the `Arc` that `new` gives; `Duty::park` left one reference
        // with the mailbox, and the caller has just cleared PARKED, which made it the caller's
        Duty::of(unsafe { Arc::from_raw(this) })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &Arc<str> {
        self.name.text(self.id)
    }

    /// The same, for who has no need of it again.
    pub(super) fn copy_name(&self) -> Arc<str> {
        self.name.copy(self.id)
    }

    pub(crate) fn change(&self, kind: crate::message::ChangeKind) -> SubscriptionChange {
        SubscriptionChange {
            topic: Arc::clone(self.name.topic()),
            subscription: self.id,
            name: Arc::clone(self.name()),
            kind,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.completion.get().is_some()
    }

    /// What its final message says, or will say if it ends now.
    pub(crate) fn last(&self) -> FinalMessage {
        FinalMessage {
            reason: self.reason().unwrap_or(FinalReason::Unsubscribed),
            delivered: self.delivered.get(),
            shed: self.mailbox.figure(|seldom| &seldom.shed),
            conflated: self.mailbox.figure(|seldom| &seldom.conflated),
            discarded: self.mailbox.figure(|seldom| &seldom.discarded),
        }
    }

    pub(crate) fn slowest(&self) -> Option<(u64, &'static TypeInfo)> {
        self.mailbox.times().and_then(|times| times.slowest())
    }
}

fn encode(reason: FinalReason) -> u8 {
    match reason {
        FinalReason::Unsubscribed => 1,
        FinalReason::TopicClosed => 2,
        FinalReason::Evicted => 3,
        FinalReason::HandlerPanicked => 4,
        FinalReason::Shutdown => 5,
    }
}

fn decode(code: u8) -> Option<FinalReason> {
    Some(match code {
        1 => FinalReason::Unsubscribed,
        2 => FinalReason::TopicClosed,
        3 => FinalReason::Evicted,
        4 => FinalReason::HandlerPanicked,
        5 => FinalReason::Shutdown,
        _ => return None,
    })
}

/// What became of a message that was offered.
#[must_use]
#[derive(Debug)]
pub(crate) enum Offered {
    /// It waits; and if the consumer was at rest, here is the duty to run it.
    Queued(Option<Duty>),
    /// It does not. What is handed back is dropped by the caller, outside pins and locks (R1).
    Refused(Refusal, Parcel),
}

/// The duty to run one subscription's consumer. See the module. It goes from thread to thread, but is never
/// shared: `&Duty` is as good as `&mut Duty` for what runs no code of the user's.
///
/// Dropping it would leave the subscription without anybody who runs it, so nobody does: it ends by
/// [`Duty::park`], or when the subscription is done.
#[derive(Debug)]
pub(crate) struct Duty(Arc<Subscriber>, PhantomData<Cell<()>>);

impl Deref for Duty {
    type Target = Arc<Subscriber>;

    #[inline]
    fn deref(&self) -> &Arc<Subscriber> {
        &self.0
    }
}

impl Duty {
    #[inline]
    fn of(subscriber: Arc<Subscriber>) -> Self {
        Self(subscriber, PhantomData)
    }

    /// The duty of one who is told by a token, not by being handed the duty: its own thread, its receiver.
    ///
    /// # Safety
    /// The caller had left the duty in the mailbox, and somebody else has cleared PARKED since. They let
    /// their duty go without using it: see [`Duty::submit`].
    pub(crate) unsafe fn renewed(subscriber: Arc<Subscriber>) -> Self {
        Self::of(subscriber)
    }

    /// The next parcel, if it is there.
    #[inline]
    pub(crate) fn pop(&self) -> Pop<Parcel> {
        // SAFETY: this is the duty, and it is not shared
        unsafe { self.0.mailbox.pop() }
    }

    /// The next parcel after others: see [`Mailbox::pop_another`].
    #[inline]
    pub(crate) fn pop_another(&self) -> Option<Pop<Parcel>> {
        // SAFETY: as above
        unsafe { self.0.mailbox.pop_another() }
    }

    /// What waits is about to be taken: see [`Mailbox::note_depth`].
    #[inline]
    pub(crate) fn note_depth(&self) {
        // SAFETY: as above
        unsafe { self.0.mailbox.note_depth() };
    }

    /// Tells publishers of the room that there is: see [`Mailbox::publish_freed`].
    #[inline]
    pub(crate) fn publish_freed(&self, each: bool) {
        // SAFETY: as above
        unsafe { self.0.mailbox.publish_freed(each) };
    }

    /// High-water and low-water marks, where there are any.
    #[inline]
    pub(crate) fn marks(&self) -> Option<&Marks> {
        // SAFETY: as above
        unsafe { self.0.mailbox.marks_of_consumer() }
    }

    /// The gap notice that belongs before the parcel that was popped last, or that is due at all.
    #[inline]
    pub(crate) fn due_gap(&self, before_last: bool) -> Option<Gap> {
        // SAFETY: as above
        unsafe { self.0.mailbox.due_gap(before_last) }
    }

    /// Puts the duty into the mailbox, if there is nothing to do. Else it stays with the caller.
    pub(crate) fn park(self) -> Result<(), Self> {
        self.0.parked.leave();
        let raw = Arc::into_raw(self.0);
        // SAFETY: the reference that `raw` stands for is still ours
        let mailbox = unsafe { &(*raw).mailbox };
        // SAFETY: who calls this has the duty; if this returns true, the reference has gone with it
        let parked =
            unsafe { mailbox.park(|retired| epoch::retire(Box::new(retired), &epoch::pin())) };
        if parked {
            return Ok(());
        }
        // SAFETY: the reference did not go into the mailbox
        let duty = Self::of(unsafe { Arc::from_raw(raw) });
        duty.parked.take();
        Err(duty)
    }

    /// Has the subscription run by whoever runs it. Runs code of the user's if that is an executor or a task:
    /// never under a lock or a pin (R1).
    pub(crate) fn submit(self) {
        match &self.0.wake {
            Wake::Pool(pool) if pool.is_here() => Pool::submit_here([self]),
            Wake::Pool(pool) => {
                let pool = pool.clone();
                submit_to(&pool, self);
            }
            Wake::Thread(parker) => parker.unpark(),
            Wake::Inline => scope::push_inline(self),
            Wake::Receiver(slot) => slot.wake(),
            Wake::Executor => Task::new(self).hand_over(),
        }
    }

    /// The same after a close, which found it at rest: nothing waits but the end. To wake somebody for that
    /// costs more than it does.
    pub(crate) fn submit_end(self) {
        if self.0.ends_quietly {
            self.run_inline();
        } else {
            self.submit();
        }
    }

    /// Has the pool do it, whoever does it otherwise: what an inline run leaves, what nobody else can run.
    pub(crate) fn submit_to_pool(mut self) {
        let pool = match &self.0.wake {
            Wake::Pool(pool) => Some(pool.clone()),
            _ => ConsumerCell::open(&mut self, |consumer, _| consumer.home.clone())
                .and_then(|home| home.pool()),
        };
        match pool {
            Some(pool) => submit_to(&pool, self),
            None => self.run_to_rest(),
        }
    }

    /// Runs on this thread, up to a budget; the rest goes to the pool. A message that comes while this is
    /// about to rest is no reason for that: it is run here as well.
    pub(crate) fn run_inline(mut self) {
        for _ in 0..INLINE_RUNS {
            match deliver::run(&mut self, deliver::DELIVERY_BUDGET) {
                Ran::Done => return,
                Ran::Budget | Ran::Unwritten => break,
                Ran::Idle(_) => match self.park() {
                    Ok(()) => return,
                    Err(duty) => self = duty,
                },
            }
        }
        self.submit_to_pool();
    }

    /// Runs until there is nothing to do, on this thread. The last resort.
    fn run_to_rest(self) {
        let mut duty = self;
        loop {
            duty = match duty.run_once() {
                Outcome::Done => return,
                Outcome::Idle(duty, _) => match duty.park() {
                    Ok(()) => return,
                    Err(duty) => duty,
                },
                Outcome::Again(duty) => duty,
                Outcome::Stalled(duty) => {
                    crate::sync::thread::yield_now();
                    duty
                }
            };
        }
    }
}

/// The workers are gone once the bus has been shut down; what comes later is run where it comes up.
pub(crate) fn submit_to(pool: &Pool<Duty>, duty: Duty) {
    if let Err(duty) = pool.submit(duty) {
        duty.run_to_rest();
    }
}

/// Hands a burst to the pool, which decides once about waking a worker. Runs nothing here: if the workers
/// are gone, as many duties come back, to be submitted one by one where user code may run.
pub(crate) fn submit_all<A: smallvec::Array<Item = Duty>>(
    duties: &mut smallvec::SmallVec<A>,
) -> Vec<Duty> {
    let Some(Wake::Pool(pool)) = duties.first().map(|duty| &duty.wake) else {
        return Vec::new();
    };
    if pool.is_here() {
        Pool::submit_here(duties.drain(..));
        return Vec::new();
    }
    // The last duty may be gone, and what it kept, before this is done with the pool.
    let pool = pool.clone();
    pool.submit_all(duties.drain(..)).err().unwrap_or_default()
}

impl Duty {
    fn run_once(mut self) -> Outcome<Self> {
        match deliver::run(&mut self, deliver::DELIVERY_BUDGET) {
            Ran::Idle(handled) => Outcome::Idle(self, handled),
            Ran::Budget => Outcome::Again(self),
            Ran::Unwritten => Outcome::Stalled(self),
            Ran::Done => Outcome::Done,
        }
    }
}

impl Run for Duty {
    fn run(self) -> Outcome<Self> {
        let outcome = self.run_once();
        scope::run_pending();
        outcome
    }

    fn is_ready(&self) -> bool {
        // SAFETY: this is the duty, and it is not shared
        unsafe { self.0.mailbox.is_ready() }
    }

    fn rest(self) -> Result<(), Self> {
        self.park()
    }
}
