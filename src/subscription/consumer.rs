//! What belongs to whoever runs a subscription: its handler and all that the handler captured, and the hooks
//! that publishers borrow. It is emptied on the final run (L4), so nothing of the user's outlives that.

#![expect(
    unsafe_code,
    reason = "the cell is opened with the duty, which exists once"
)]

use super::executor::Executor;
use super::filter::Hooks;
use super::options::PanicPolicy;
use super::state::{Duty, Home};
use crate::message::{FinalMessage, Gap, Message};
use crate::sync::UnsafeCell;
use crate::sync::unmodelled::Arc;

pub(crate) type EachFn = Box<dyn FnMut(&Message) + Send>;
pub(crate) type BatchFn = Box<dyn FnMut(&[Message]) + Send>;
pub(crate) type FinalFn = Box<dyn FnOnce(&FinalMessage) + Send>;
pub(crate) type GapFn = Box<dyn FnMut(&Gap) + Send>;

/// How messages are handled.
pub(crate) enum Handler {
    /// One by one.
    Each(EachFn),
    /// Several at once.
    Batch(Box<Batch>),
    /// A receiver takes them.
    None,
}

pub(crate) struct Batch {
    pub(crate) call: BatchFn,
    pub(crate) max: usize,
    /// Kept from call to call, so that a batch costs no allocation.
    pub(crate) ready: Vec<Message>,
}

/// What becomes of what waits.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// It is handled.
    #[default]
    Handling,
    /// It is discarded: the handler panicked. It is kept for its final message, if it wants that all the
    /// same.
    Panicked,
    /// It is discarded: nobody runs the handler any more.
    Abandoned,
}

/// What most subscriptions have nothing of.
#[derive(Default)]
pub(crate) struct Asides {
    /// The handler, if it gets several messages at once.
    pub(crate) batch: Option<Box<Batch>>,
    pub(crate) on_gap: Option<GapFn>,
    pub(crate) on_final: Option<FinalFn>,
    /// Who is given the runs, if that is an executor of the user's.
    pub(crate) executor: Option<Arc<dyn Executor>>,
}

impl Asides {
    pub(crate) fn boxed_if_any(self) -> Option<Box<Self>> {
        let calls = self.batch.is_some() || self.on_gap.is_some() || self.on_final.is_some();
        (calls || self.executor.is_some()).then(|| Box::new(self))
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Consumer {
    /// The handler, if it gets messages one by one. Without one, and without a batch, a receiver takes them;
    /// or nobody does any more, and they are discarded.
    pub(crate) each: Option<EachFn>,
    /// True: the handler itself gets gap notices and the final message. Typed handlers do not.
    pub(crate) general: bool,
    /// The next thing in the mailbox is the notice of its own subscribing, which nothing comes before (L1).
    pub(crate) greeting: bool,
    pub(crate) course: Course,
    pub(crate) panic_policy: PanicPolicy,
    pub(crate) hooks: Option<Arc<Hooks>>,
    pub(crate) asides: Option<Box<Asides>>,
    pub(crate) home: Option<Arc<dyn Home>>,
    /// Messages until the next one whose times are taken.
    pub(crate) sample_in: u32,
}

impl Consumer {
    #[inline]
    pub(crate) fn batch(&mut self) -> Option<&mut Batch> {
        self.asides.as_mut()?.batch.as_deref_mut()
    }

    /// Nobody handles what is taken out here.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.each.is_none() && self.batch().is_none()
    }

    pub(crate) fn on_gap(&mut self) -> Option<&mut GapFn> {
        self.asides.as_mut()?.on_gap.as_mut()
    }

    pub(crate) fn take_on_final(&mut self) -> Option<FinalFn> {
        self.asides.as_mut()?.on_final.take()
    }

    pub(crate) fn executor(&self) -> Option<Arc<dyn Executor>> {
        self.asides.as_ref()?.executor.clone()
    }

    /// What waits is not handled any more.
    #[inline]
    pub(crate) fn is_discarding(&self) -> bool {
        self.course != Course::Handling
    }
}

/// The consumer of one subscription. Opened by the holder of the duty only.
pub(crate) struct ConsumerCell(UnsafeCell<Consumer>);

// SAFETY: what is inside is Send, and the duty, which exists once, is needed to get at it
unsafe impl Send for ConsumerCell {}
// SAFETY: as above; the duty passes from thread to thread with happens-before, through the mailbox's tail
// word or a queue of the pool
unsafe impl Sync for ConsumerCell {}

impl ConsumerCell {
    pub(crate) fn new(consumer: Consumer) -> Self {
        Self(UnsafeCell::new(consumer))
    }

    /// Opens the cell of the subscription that `duty` is for. `f` does not open it again.
    pub(crate) fn open<R>(duty: &mut Duty, f: impl FnOnce(&mut Consumer, &Duty) -> R) -> R {
        let duty = &*duty;
        duty.consumer.0.with_mut(|consumer| {
            // SAFETY: `duty` is the only one of this subscription, and borrowed exclusively meanwhile
            f(unsafe { &mut *consumer }, duty)
        })
    }
}
