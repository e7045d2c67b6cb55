//! What the models of the queues share: [`Item`] is what they push, and notices races, leaks and double
//! frees; [`Duty`] passes the duty to run a consumer from thread to thread; [`Mailbox`] is a ring with
//! the least that has to stand around it.
//!
//! All threads of a model are coroutines of one OS thread, so a plain `Cell` is safe to share between
//! them as long as no operation of loom happens while it is borrowed; and it gives the model no
//! happens-before edge.

#![expect(
    unsafe_code,
    reason = "models call the unsafe parts of the crate, and stand in for its items"
)]

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering, fence};
use stasis_bus::internals::{Close, Pinned, Pointer, Pop, Push, Retired, Ring};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::Range;

thread_local! {
    /// The items of this model that are pointers just now.
    static LIVE: RefCell<HashSet<usize>> = RefCell::new(HashSet::new());
}

/// Who made an item, and which of his it is.
pub type Tag = (u8, u8);

/// What the models push: a box whose contents loom tracks. To read it without a happens-before edge from
/// its maker fails, to lose it fails, and so does to take it twice.
#[derive(Debug)]
pub struct Item(Box<Body>);

#[derive(Debug)]
struct Body {
    tag: UnsafeCell<Tag>,
    _track: loom::alloc::Track<()>,
}

impl Item {
    /// The `sequence`th of `producer`.
    #[track_caller]
    pub fn new(producer: u8, sequence: u8) -> Self {
        Self(Box::new(Body {
            tag: UnsafeCell::new((producer, sequence)),
            _track: loom::alloc::Track::new(()),
        }))
    }

    /// Reads its tag.
    #[track_caller]
    pub fn tag(&self) -> Tag {
        self.0.tag.with(|tag| {
            // SAFETY: nobody writes after `new`, which loom checks
            unsafe { *tag }
        })
    }
}

// SAFETY: a box is never null, and comes back as it went
unsafe impl Pointer for Item {
    fn into_ptr(self) -> *mut () {
        let ptr = Box::into_raw(self.0).cast::<()>();
        assert!(LIVE.with_borrow_mut(|live| live.insert(ptr as usize)));
        ptr
    }

    unsafe fn from_ptr(ptr: *mut ()) -> Self {
        let live = LIVE.with_borrow_mut(|live| live.remove(&(ptr as usize)));
        assert!(live, "an item was taken twice");
        // SAFETY: guaranteed by caller, and just checked
        Self(unsafe { Box::from_raw(ptr.cast()) })
    }
}

/// How rings that were given back are kept alive for producers that still look at them.
pub trait Reclaim: Default {
    /// What a producer holds during a push.
    type Guard<'a>: Pinned
    where
        Self: 'a;

    /// Pins, for `producer`.
    fn pin(&self, producer: u8) -> Self::Guard<'_>;

    /// Takes what the consumer retires.
    fn retire(&self, retired: Retired);
}

/// Pinned for ever: what is retired is kept until the end of the model.
#[derive(Debug, Default)]
pub struct NoReclaim(RefCell<Vec<Retired>>);

/// See [`NoReclaim`].
#[derive(Debug)]
pub struct Forever;

// SAFETY: nothing is freed before the `NoReclaim` is dropped, at the end of the model
unsafe impl Pinned for Forever {}

impl Reclaim for NoReclaim {
    type Guard<'a> = Forever;

    fn pin(&self, _: u8) -> Forever {
        Forever
    }

    fn retire(&self, retired: Retired) {
        self.0.borrow_mut().push(retired);
    }
}

/// Really reclaims, as soon as the epoch may at the earliest: what is retired while no producer is pinned
/// is dropped there and then; the rest at the end of the model.
#[derive(Debug)]
pub struct Eager {
    pinned: [AtomicUsize; 2],
    late: RefCell<Vec<Retired>>,
}

/// See [`Eager`].
#[derive(Debug)]
pub struct EagerGuard<'a>(&'a AtomicUsize);

// SAFETY: `Eager` drops nothing while one is there
unsafe impl Pinned for EagerGuard<'_> {}

impl Drop for EagerGuard<'_> {
    fn drop(&mut self) {
        // Release: what was done with the ring is behind the Acquire in `retire`.
        self.0.store(0, Ordering::Release);
    }
}

impl Default for Eager {
    fn default() -> Self {
        Self {
            pinned: std::array::from_fn(|_| AtomicUsize::new(0)),
            late: RefCell::default(),
        }
    }
}

impl Reclaim for Eager {
    type Guard<'a> = EagerGuard<'a>;

    fn pin(&self, producer: u8) -> EagerGuard<'_> {
        let pinned = &self.pinned[usize::from(producer)];
        // Relaxed: ordered by the fence.
        pinned.store(1, Ordering::Relaxed);
        // SeqCst: E1a, pairs with E1b: either `retire` sees the pin, or the pinned see what was taken
        // out.
        fence(Ordering::SeqCst);
        EagerGuard(pinned)
    }

    fn retire(&self, retired: Retired) {
        // SeqCst: E1b, pairs with E1a.
        fence(Ordering::SeqCst);
        // Acquire: pairs with the end of the guard. A read-modify-write, to see the newest.
        let is_pinned = |pinned: &AtomicUsize| pinned.fetch_add(0, Ordering::Acquire) != 0;
        if self.pinned.iter().any(is_pinned) {
            self.late.borrow_mut().push(retired);
        }
    }
}

/// How often the duty can pass on in a model. The flags must exist before the race: to create an atomic
/// is itself a tracked write.
const TURNS: usize = 12;

/// The queue of the workers, for one mailbox: the duty to run its consumer. As weak as the real queue:
/// the only happens-before edge is from one [`submit`](Self::submit) to the [`take`](Self::take) that it
/// causes.
#[derive(Debug)]
pub struct Duty {
    /// Orders all who submit and take, and nothing else.
    order: AtomicUsize,
    submitted: [AtomicUsize; TURNS],
    turn: Cell<usize>,
    taken: Cell<usize>,
}

impl Duty {
    /// Somebody has it.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it starts in somebody's hands")]
    pub fn new() -> Self {
        Self {
            order: AtomicUsize::new(0),
            submitted: std::array::from_fn(|_| AtomicUsize::new(0)),
            turn: Cell::new(0),
            taken: Cell::new(0),
        }
    }

    /// Gives the duty to whoever takes it next.
    ///
    /// # Panics
    /// If it was given and nobody took it yet: then two gave it.
    #[track_caller]
    pub fn submit(&self) {
        let turn = self.turn.get();
        assert!(
            turn < TURNS,
            "a model hands the duty on {TURNS} times at most"
        );
        // Release: pairs with the Acquire in `take`.
        self.submitted[turn].store(1, Ordering::Release);
        // Relaxed: for the order only.
        self.order.fetch_add(1, Ordering::Relaxed);
        assert_eq!(self.turn.get(), turn, "two gave the duty at once");
        assert_eq!(self.taken.get(), turn, "the duty was given twice");
        self.turn.set(turn + 1);
    }

    /// Takes the duty, if it was given.
    #[must_use]
    #[track_caller]
    pub fn take(&self) -> bool {
        // Relaxed: for the order only.
        self.order.fetch_add(1, Ordering::Relaxed);
        let turn = self.taken.get();
        if turn == self.turn.get() {
            return false;
        }
        self.taken.set(turn + 1);
        // Acquire: pairs with the Release in `submit`.
        self.submitted[turn].fetch_add(0, Ordering::Acquire) == 1
    }
}

/// What a consumer saw.
#[derive(Debug, Default)]
pub struct Log {
    /// What it took, in order.
    pub items: Vec<Tag>,
    /// How often it came to the end.
    pub finals: usize,
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It is in.
    Accepted,
    /// There was no room.
    Full,
    /// It was closed.
    Closed,
}

/// A ring, the duty to run its consumer, and what the consumer writes, which is a cell: if the duty does
/// not pass from one thread to another with a happens-before edge, loom says so.
#[derive(Debug)]
pub struct MailboxOf<R: Reclaim> {
    /// The ring itself.
    pub ring: Ring<Item>,
    /// Taken by whoever runs the consumer.
    pub duty: Duty,
    log: UnsafeCell<Log>,
    reclaim: R,
    limit: u64,
}

/// The one that most models use.
pub type Mailbox = MailboxOf<NoReclaim>;

impl<R: Reclaim> MailboxOf<R> {
    /// A mailbox at rest.
    #[track_caller]
    pub fn new(slots: usize, limit: u64) -> Self {
        let mailbox = Self {
            ring: Ring::new(slots),
            duty: Duty::new(),
            log: UnsafeCell::new(Log::default()),
            reclaim: R::default(),
            limit,
        };
        assert!(mailbox.park());
        mailbox
    }

    /// Offers one item, and submits the consumer if that falls to the caller.
    #[track_caller]
    pub fn offer(&self, producer: u8, sequence: u8) -> Offer {
        let item = Item::new(producer, sequence);
        let guard = self.reclaim.pin(producer);
        match self.ring.push(item, self.limit, &guard) {
            Push::Queued { .. } => Offer::Accepted,
            Push::Submit { .. } => {
                self.duty.submit();
                Offer::Accepted
            }
            Push::Full(item) => {
                assert_eq!(item.tag(), (producer, sequence));
                assert!(self.limit < u64::MAX, "full without a limit");
                Offer::Full
            }
            Push::Closed(item) => {
                assert_eq!(item.tag(), (producer, sequence));
                Offer::Closed
            }
        }
    }

    /// Offers the items of `producer` one after the other, until it is closed. Returns those that are in.
    #[track_caller]
    pub fn offer_from(&self, producer: u8, sequence: Range<u8>) -> Vec<Tag> {
        let mut accepted = Vec::new();
        for sequence in sequence {
            match self.offer(producer, sequence) {
                Offer::Accepted => accepted.push((producer, sequence)),
                Offer::Full => {}
                Offer::Closed => break,
            }
        }
        accepted
    }

    /// Offers the items 0, 1, ... of `producer`, until it is closed. Returns those that are in.
    #[track_caller]
    pub fn offer_all(&self, producer: u8, count: u8) -> Vec<Tag> {
        self.offer_from(producer, 0..count)
    }

    /// Closes, and submits the consumer if that falls to the caller. False if it was closed.
    #[track_caller]
    pub fn close(&self) -> bool {
        let close = self.ring.close();
        if close == Close::Submit {
            self.duty.submit();
        }
        close != Close::Already
    }

    /// Runs the consumer if the duty is there to be taken.
    #[track_caller]
    pub fn run_if_due(&self, budget: usize) {
        if self.duty.take() {
            self.run(budget);
        }
    }

    /// Runs the consumer until it is at rest, at its end, or out of budget.
    #[track_caller]
    fn run(&self, budget: usize) {
        for _ in 0..budget {
            // SAFETY: the caller took the duty
            match unsafe { self.ring.pop() } {
                Pop::Item(item) => {
                    self.with_log(|log| {
                        assert_eq!(log.finals, 0, "an item after the end");
                        log.items.push(item.tag());
                    });
                    // SAFETY: the caller took the duty
                    unsafe { self.ring.publish_freed() };
                }
                Pop::Unwritten => break,
                Pop::Empty => {
                    if self.park() {
                        return;
                    }
                }
                Pop::Closed => return self.with_log(|log| log.finals += 1),
            }
        }
        self.duty.submit();
    }

    #[track_caller]
    fn park(&self) -> bool {
        // SAFETY: whoever calls `run` took the duty, and a new mailbox has it
        unsafe { self.ring.park(|retired| self.reclaim.retire(retired)) }
    }

    #[track_caller]
    fn with_log(&self, f: impl FnOnce(&mut Log)) {
        self.log.with_mut(|log| {
            // SAFETY: who holds the duty has the log to himself, which loom checks
            f(unsafe { &mut *log });
        });
    }

    /// Once all threads are done: runs the consumer as long as it is due, and checks that each producer's
    /// items in `accepted` came out, once, in order; and one end, if there is to be one.
    #[track_caller]
    pub fn finish(&self, accepted: &[Vec<Tag>], closed: bool) {
        while self.duty.take() {
            self.run(usize::MAX);
        }
        assert_eq!(self.ring.is_parked(), !closed);
        assert_eq!(self.ring.is_closed(), closed);
        self.with_log(|log| {
            for (producer, expected) in accepted.iter().enumerate() {
                let of_producer = log
                    .items
                    .iter()
                    .filter(|tag| usize::from(tag.0) == producer);
                let delivered: Vec<Tag> = of_producer.copied().collect();
                assert_eq!(&delivered, expected, "lost, twice, or out of order");
            }
            assert_eq!(
                log.items.len(),
                accepted.iter().map(Vec::len).sum::<usize>()
            );
            assert_eq!(log.finals, usize::from(closed), "exactly one end");
        });
    }
}
