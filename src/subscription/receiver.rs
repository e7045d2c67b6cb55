//! A subscription whose owner takes the messages: at once, waiting, for a while, several, as an iterator,
//! or as a future on any runtime.

#![expect(
    unsafe_code,
    reason = "the mailbox's consumer side wants the duty, which the receiver has"
)]

use super::Subscription;
use super::consumer::ConsumerCell;
use super::deliver;
use super::executor::abandon;
use super::parcel::{Handled, Parcel};
use super::scope;
use super::state::{Duty, Wake};
use super::waiting::Waiter;
use crate::error::{RecvError, TryRecvError};
use crate::message::{FINAL, GAP, Message};
use crate::queue::Pop;
use crate::sync::unmodelled::Arc;
use crate::sync::{Parker, thread};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How often a receiver looks again at a position that is claimed but not written yet, before it sleeps.
const LOOKS_BEFORE_SLEEP: u32 = 16;

/// The receiving end of a subscription: messages in their order, gap notices in their places, and, last, the
/// final message. Dropping it unsubscribes, and discards what waits.
///
/// ```
/// use stasis_bus::Bus;
///
/// let bus = Bus::new()?;
/// let topic = bus.topic("greetings")?;
/// let mut receiver = topic.subscribe().receiver()?;
/// topic.publish("hello")?;
/// assert_eq!(receiver.recv()?.get::<&str>(), Some(&"hello"));
/// topic.close();
/// assert!(receiver.recv()?.as_final().is_some());
/// assert!(receiver.recv().is_err(), "nothing follows the final message");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping a receiver unsubscribes"]
pub struct Receiver {
    subscription: Subscription,
    /// `None` while it is in the mailbox, or with whoever has just taken it out of there to wake us.
    duty: Option<Duty>,
    /// A message that a gap notice came before.
    behind_gap: Option<Parcel>,
    /// How often in a row the next position was found claimed and not written. Kept from call to call:
    /// futures that are dropped after one poll must not make a hot loop of it.
    unwritten: u32,
    /// Someone has waited for a message, and may be remembered.
    waited: bool,
    ended: bool,
}

enum Next {
    Message(Message),
    Empty,
    Unwritten,
    Ended,
}

impl AsRef<Subscription> for Receiver {
    fn as_ref(&self) -> &Subscription {
        &self.subscription
    }
}

impl Receiver {
    pub(crate) fn new(subscription: Subscription, duty: Duty) -> Self {
        Self {
            subscription,
            duty: Some(duty),
            behind_gap: None,
            unwritten: 0,
            waited: false,
            ended: false,
        }
    }

    /// The subscription: its name, its figures, unsubscribing.
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// Takes the next message, without waiting.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is none, [`TryRecvError::Ended`] after the final message.
    pub fn try_recv(&mut self) -> Result<Message, TryRecvError> {
        match self.next() {
            Next::Message(message) => Ok(message),
            Next::Empty | Next::Unwritten => Err(TryRecvError::Empty),
            Next::Ended => Err(TryRecvError::Ended),
        }
    }

    /// Takes the next message, and waits for it if need be.
    ///
    /// # Errors
    /// [`RecvError::Ended`] after the final message, [`RecvError::WouldDeadlock`] inside a handler (R1b).
    pub fn recv(&mut self) -> Result<Message, RecvError> {
        self.recv_until(None)
    }

    /// Takes the next message, and waits for it for at most `timeout`.
    ///
    /// # Errors
    /// As for [`Receiver::recv`], and [`RecvError::TimedOut`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Message, RecvError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    /// Waits for a message, and takes up to `max` of those that are there into `messages`. Returns how many.
    ///
    /// # Errors
    /// As for [`Receiver::recv`]. Nothing was taken then. If `max` is 0, it returns 0 at once.
    pub fn recv_many(
        &mut self,
        messages: &mut Vec<Message>,
        max: usize,
    ) -> Result<usize, RecvError> {
        if max == 0 {
            return Ok(0);
        }
        messages.push(self.recv()?);
        let mut count = 1;
        while count < max {
            let Ok(message) = self.try_recv() else { break };
            messages.push(message);
            count += 1;
        }
        Ok(count)
    }

    /// Takes the next message, as a future for any runtime.
    ///
    /// Cancel safe: a message is taken only when the future is ready, so none is lost if it is dropped
    /// before.
    pub fn recv_async(&mut self) -> RecvFuture<'_> {
        RecvFuture { receiver: self }
    }

    /// The messages as they come, the final one included; it waits for them, and ends after that. Inside a
    /// handler it ends as soon as it would have to wait (R1b).
    pub fn iter(&mut self) -> impl Iterator<Item = Message> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// The messages that are there now, without waiting.
    pub fn try_iter(&mut self) -> impl Iterator<Item = Message> + '_ {
        std::iter::from_fn(|| self.try_recv().ok())
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<Message, RecvError> {
        let mut parker = None;
        loop {
            match self.next() {
                Next::Message(message) => return Ok(message),
                Next::Ended => return Err(RecvError::Ended),
                Next::Unwritten => self.look_again(false),
                Next::Empty => {}
            }
            scope::may_wait().map_err(|_| RecvError::WouldDeadlock)?;
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(RecvError::TimedOut);
            }
            let parker: &Arc<Parker> = parker.get_or_insert_with(|| Arc::new(Parker::new()));
            if !self.park(Waiter::Thread(Arc::clone(parker))) {
                continue;
            }
            match left {
                None => parker.park(),
                Some(left) => {
                    parker.park_timeout(left);
                }
            }
        }
    }

    /// Leaves the duty in the mailbox for whoever publishes next, who wakes `waiter`. False if there is
    /// something to do.
    fn park(&mut self, waiter: Waiter) -> bool {
        let Some(duty) = self.duty.take() else {
            return true;
        };
        if let Wake::Receiver(slot) = &duty.wake {
            self.waited = true;
            slot.set(waiter);
        }
        self.duty = duty.park().err();
        self.duty.is_none()
    }

    /// Makes sure that the duty is here: whoever took it out of the mailbox to wake us has let go of it, or
    /// will in a moment, and does nothing else with it.
    fn take_duty(&mut self) -> Duty {
        if let Some(duty) = self.duty.take() {
            return duty;
        }
        let subscriber = self.subscription.subscriber();
        subscriber.unpark().unwrap_or_else(|| {
            // SAFETY: we had left it in the mailbox, and as it is not parked any more, somebody has cleared
            // PARKED
            unsafe { Duty::renewed(Arc::clone(subscriber)) }
        })
    }

    fn next(&mut self) -> Next {
        if self.ended {
            return Next::Ended;
        }
        let mut duty = self.take_duty();
        let next = self.next_of(&mut duty);
        self.duty = Some(duty);
        self.unwritten = match next {
            Next::Unwritten => self.unwritten.saturating_add(1),
            _ => 0,
        };
        // A filter or a callback may have published to somebody inline.
        scope::run_pending();
        next
    }

    /// A publisher is between two instructions, or was preempted there. The longer it takes, the longer
    /// this sleeps, but not in a poll, which keeps other tasks waiting.
    fn look_again(&self, is_poll: bool) {
        match self.unwritten.checked_sub(LOOKS_BEFORE_SLEEP) {
            None => thread::yield_now(),
            Some(_) if is_poll => thread::sleep(deliver::stalled_sleep(0)),
            Some(tries) => thread::sleep(deliver::stalled_sleep(tries)),
        }
    }

    fn next_of(&mut self, duty: &mut Duty) -> Next {
        if let Some(parcel) = self.behind_gap.take() {
            if let Some(message) = accept(duty, parcel) {
                return Next::Message(message);
            }
        }
        duty.note_depth();
        loop {
            match duty.pop() {
                Pop::Item(parcel) => {
                    // Congestion is judged by what is told to be free.
                    duty.publish_freed(true);
                    let gap = ConsumerCell::open(duty, |consumer, duty| {
                        deliver::gap_before(consumer, duty)
                    });
                    if let Some(gap) = gap {
                        self.behind_gap = Some(parcel);
                        return Next::Message(GAP.message(gap));
                    }
                    if let Some(message) = accept(duty, parcel) {
                        return Next::Message(message);
                    }
                }
                Pop::Unwritten => return Next::Unwritten,
                Pop::Closed => {
                    duty.publish_freed(false);
                    if let Some(gap) = duty.mailbox.last_gap() {
                        return Next::Message(GAP.message(gap));
                    }
                    self.ended = true;
                    return Next::Message(end(duty));
                }
                Pop::Empty => {
                    duty.publish_freed(false);
                    if let Some(gap) = duty.due_gap(false) {
                        return Next::Message(GAP.message(gap));
                    }
                    rest(duty);
                    return Next::Empty;
                }
            }
        }
    }
}

/// The message of a parcel that was taken, if it passes.
fn accept(duty: &mut Duty, parcel: Parcel) -> Option<Message> {
    clear_congestion(duty);
    let accepted = ConsumerCell::open(duty, |consumer, duty| {
        let (message, envelope) = match parcel {
            Parcel::Message(message) => (Some(message), None),
            Parcel::Marked(mut envelope) => (envelope.take_message(), Some(envelope)),
        };
        // A mark without a message is handled when it is reached.
        let mut outcome = Handled::Handled;
        let passed = message.and_then(|message| {
            let is_unfiltered = envelope.as_ref().is_some_and(|it| it.is_unfiltered());
            if is_unfiltered || deliver::passes(consumer, duty, &message) {
                return Some(message);
            }
            outcome = Handled::Filtered;
            scope::drop_in_scope(message);
            None
        });
        if let Some(envelope) = envelope {
            envelope.complete(outcome);
        }
        duty.delivered.add_alone(u64::from(passed.is_some()));
        passed
    });
    // The filter may have published.
    scope::run_pending();
    accepted
}

fn clear_congestion(duty: &mut Duty) {
    if duty.marks().is_some() {
        ConsumerCell::open(duty, |consumer, duty| {
            deliver::clear_congestion(consumer, duty);
        });
        // The callback may have published.
        scope::run_pending();
    }
}

/// There is nothing to take, whether or not anybody waits for more.
fn rest(duty: &mut Duty) {
    duty.mailbox.return_grants();
    clear_congestion(duty);
}

/// The final message of a receiver's subscription, which is done with it.
fn end(duty: &mut Duty) -> Message {
    forget_waiter(duty);
    let last = ConsumerCell::open(duty, |consumer, duty| {
        let last = duty.last();
        deliver::complete(consumer, duty, last);
        FINAL.message(last)
    });
    // What was dropped may have published.
    scope::run_pending();
    last
}

/// A waker is the user's, and what becomes of a subscriber's memory is up to the epoch (R1).
fn forget_waiter(duty: &Duty) {
    if let Wake::Receiver(slot) = &duty.wake {
        slot.clear();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut duty = self.take_duty();
        if self.waited {
            forget_waiter(&duty);
        }
        if let Some(parcel) = self.behind_gap.take() {
            // It was taken, but given to nobody. There is no handler, so it is discarded and counted.
            ConsumerCell::open(&mut duty, |consumer, duty| {
                deliver::deliver(consumer, duty, parcel);
            });
        }
        let home = self.subscription.give_up();
        abandon(duty, Some(&*home));
        scope::drop_in_scope(home);
    }
}

/// The future of [`Receiver::recv_async`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct RecvFuture<'a> {
    receiver: &'a mut Receiver,
}

impl Future for RecvFuture<'_> {
    type Output = Result<Message, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.receiver.poll_recv(cx)
    }
}

impl Receiver {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, RecvError>> {
        loop {
            match self.next() {
                Next::Message(message) => return Poll::Ready(Ok(message)),
                Next::Ended => return Poll::Ready(Err(RecvError::Ended)),
                Next::Empty => {
                    if self.park(Waiter::Task(cx.waker().clone())) {
                        return Poll::Pending;
                    }
                }
                Next::Unwritten => {
                    self.look_again(true);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }
}

#[cfg(feature = "stream")]
impl futures_core::Stream for Receiver {
    type Item = Message;

    /// The messages, the final one included, and then the end.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_recv(cx).map(Result::ok)
    }
}
