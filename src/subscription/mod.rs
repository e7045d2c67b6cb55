//! Subscriptions: a mailbox, what runs it, and the handle that its owner has. What a subscription hears is
//! the business of the topic layer, which this one knows only as a [`Home`](state::Home).

#[allow(unreachable_pub, reason = "the models reach it through `internals`")]
pub(crate) mod budget;
pub(crate) mod consumer;
pub(crate) mod deliver;
pub(crate) mod executor;
pub(crate) mod filter;
mod gaps;
#[cfg(any(loom, feature = "internals"))]
#[allow(unreachable_pub, reason = "tests reach it through `internals`")]
pub(crate) mod hold;
pub(crate) mod mailbox;
pub(crate) mod marks;
mod name;
pub(crate) mod options;
pub(crate) mod parcel;
pub(crate) mod place;
mod policy;
pub(crate) mod receiver;
pub(crate) mod scope;
mod send;
pub(crate) mod state;
pub(crate) mod stats;
#[cfg(all(test, not(loom), target_pointer_width = "64"))]
mod tests;
pub(crate) mod thread;
pub(crate) mod times;
pub(crate) mod types;
pub(crate) mod waiting;

pub use executor::{Executor, ManualExecutor, Task};
pub use options::{Conflate, Congestion, Delivery, Overflow, OwnThread, PanicPolicy, WaitStrategy};
pub use parcel::Handled;
pub use receiver::{Receiver, RecvFuture};
pub(crate) use send::Sender;
pub use send::{SendError, Sent};
pub use stats::SubscriptionStats;

use crate::epoch;
use crate::error::WaitError;
use crate::message::{FinalMessage, FinalReason, Message, into_message};
use crate::sync::unmodelled::Arc;
use parcel::{Envelope, Parcel};
use state::{Duty, Home, Offered, Subscriber};
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use waiting::Completion;

/// The handle of a subscription. Dropping it unsubscribes, without waiting; [`Subscription::detach`] keeps
/// the subscription for as long as its topic and the bus live.
#[must_use = "dropping a subscription unsubscribes"]
pub struct Subscription {
    subscriber: Arc<Subscriber>,
    /// `None` once the handle is given up: then dropping it does nothing.
    home: Option<Arc<dyn Home>>,
}

impl Subscription {
    pub(crate) fn new(subscriber: Arc<Subscriber>, home: Arc<dyn Home>) -> Self {
        Self {
            subscriber,
            home: Some(home),
        }
    }

    fn home(&self) -> &dyn Home {
        self.home.as_deref().expect("a handle that is not given up")
    }

    /// The handle is given up: dropping it does nothing. Whoever gets this ends the subscription.
    fn give_up(&mut self) -> Arc<dyn Home> {
        self.home.take().expect("a handle that is not given up")
    }

    pub(crate) fn sender(&self) -> Sender {
        Sender(Arc::downgrade(&self.subscriber))
    }

    pub(crate) fn subscriber(&self) -> &Arc<Subscriber> {
        &self.subscriber
    }

    /// Its name, as its owner gave it; by default that of its topic and its number.
    #[must_use]
    pub fn name(&self) -> &str {
        self.subscriber.name()
    }

    /// Its number, unique in the bus.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.subscriber.id
    }

    /// The name of the topic that it is on.
    #[must_use]
    pub fn topic_name(&self) -> &str {
        self.home().topic_name()
    }

    /// Ends the subscription. What was accepted is still delivered, and then the final message; a publish
    /// that begins after this has returned is not (L3).
    ///
    /// Does not wait, does nothing if it has ended already, and is legal anywhere, in its own handler too.
    pub fn unsubscribe(&self) {
        self.home()
            .close(&self.subscriber, FinalReason::Unsubscribed);
    }

    /// Waits until the subscription is done: its final run has returned, and its handler with all that it
    /// captured has been dropped (L4). Gives the final message. Any number of threads may wait.
    ///
    /// Does not unsubscribe: a subscription that nobody ends is waited for without end.
    ///
    /// # Errors
    /// [`WaitError::WouldDeadlock`] inside any handler (R1b), if it is not done already.
    pub fn join(&self) -> Result<FinalMessage, WaitError> {
        self.join_until(None)
    }

    /// As [`Subscription::join`], for at most `timeout`.
    ///
    /// # Errors
    /// As there, and [`WaitError::TimedOut`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<FinalMessage, WaitError> {
        self.join_until(Instant::now().checked_add(timeout))
    }

    pub(crate) fn join_until(&self, deadline: Option<Instant>) -> Result<FinalMessage, WaitError> {
        if !self.subscriber.is_done() {
            scope::may_wait()?;
            self.subscriber.completion.wait(deadline)?;
        }
        Ok(self.subscriber.last())
    }

    /// As [`Subscription::join`], as a future for any runtime. Cancel safe. Awaited inside the handler of
    /// the same subscription it never ends, as nothing blocks there but the future itself.
    pub fn join_async(&self) -> JoinFuture {
        JoinFuture {
            subscriber: Arc::clone(&self.subscriber),
        }
    }

    /// True: its final run has returned, and nothing of it will ever run again. False may be old news.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.subscriber.is_done()
    }

    /// True: it was on its topic's list just now. False: it is not, and will never be again.
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        !self.subscriber.mailbox.is_closed() && self.home().is_listed(&self.subscriber)
    }

    /// Gives the handle up, and keeps the subscription until its topic is closed or the bus shuts down.
    pub fn detach(mut self) {
        self.home = None;
    }

    /// Waits until everything that was accepted before this call has been handled.
    ///
    /// # Errors
    /// [`WaitError::WouldDeadlock`] inside any handler (R1b), [`WaitError::Closed`] if the subscription has
    /// ended, or ends before its turn comes.
    pub fn flush(&self) -> Result<(), WaitError> {
        self.flush_until(None)
    }

    /// As [`Subscription::flush`], for at most `timeout`.
    ///
    /// # Errors
    /// As there, and [`WaitError::TimedOut`].
    pub fn flush_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        self.flush_until(Instant::now().checked_add(timeout))
    }

    fn flush_until(&self, deadline: Option<Instant>) -> Result<(), WaitError> {
        scope::may_wait()?;
        let completion = Arc::new(Completion::new());
        let envelope = Box::new(Envelope::new(None, Arc::clone(&completion)));
        let parcel = Parcel::Marked(envelope);
        let offered = self.subscriber.offer_unlimited(parcel, &epoch::pin());
        match offered {
            Offered::Queued(duty) => {
                self.subscriber.mailbox.flushes().add(1);
                duty.into_iter().for_each(Duty::submit);
            }
            // The envelope says so itself as it is dropped.
            Offered::Refused(_, envelope) => drop(envelope),
        }
        scope::run_pending();
        match completion.wait(deadline)? {
            Handled::Handled => Ok(()),
            _ => Err(WaitError::Closed),
        }
    }

    /// Offers a message to this subscription alone, past its filters and its limits: it is never shed. In
    /// order with what is published: after all that was offered before this call began, before all that is
    /// published after it has returned. Does not wait; legal in handlers.
    ///
    /// For what concerns one subscriber only: where it is to begin, that its settings have changed.
    ///
    /// # Errors
    /// [`SendError`] hands the message back: the subscription has closed, or the message is of one of the
    /// bus's own types.
    ///
    /// ```
    /// # use stasis_bus::Bus;
    /// # let bus = Bus::new()?;
    /// # let topic = bus.topic("numbers")?;
    /// let mut receiver = topic.subscribe().accept_payload::<u64>().receiver()?;
    /// topic.publish(1_u64)?;
    /// receiver.subscription().send("that was the last of the old ones")?;
    /// topic.publish(2_u64)?;
    /// assert_eq!(receiver.recv()?.get::<u64>(), Some(&1));
    /// assert!(receiver.recv()?.get::<&str>().is_some());
    /// assert_eq!(receiver.recv()?.get::<u64>(), Some(&2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send<T: Send + Sync + 'static>(&self, payload: T) -> Result<(), SendError> {
        self.offer(payload).map(Sent::settle)
    }

    /// The first half of [`Subscription::send`]: puts the message into the mailbox, wakes nobody and runs no
    /// code of the user's. So it is legal under a lock of one's own, which also
    /// [offers](crate::Staged::offer) what it is to be in order with. [`Sent::settle`] is the second half.
    ///
    /// # Errors
    /// As [`Subscription::send`].
    ///
    /// ```
    /// # use stasis_bus::Bus;
    /// # use std::sync::Mutex;
    /// # let bus = Bus::new()?;
    /// # let topic = bus.topic("counter")?;
    /// let counter = Mutex::new(17_u64);
    /// let mut receiver = topic.subscribe().receiver()?;
    /// let count = counter.lock().unwrap();
    /// let sent = receiver.subscription().offer(*count)?;
    /// drop(count); // whoever counts on comes after that
    /// sent.settle();
    /// assert_eq!(receiver.recv()?.get::<u64>(), Some(&17));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn offer<T: Send + Sync + 'static>(&self, payload: T) -> Result<Sent, SendError> {
        send::offer(&self.subscriber, into_message(payload))
    }

    /// As [`Subscription::offer`], of a message that is no notice of the bus; a filter that runs on delivery
    /// is asked.
    pub(crate) fn offer_to_filter(&self, message: Message) -> Result<Sent, SendError> {
        send::offer_to_filter(&self.subscriber, message)
    }

    /// Its figures as of now. Stops nothing.
    #[must_use]
    pub fn stats(&self) -> SubscriptionStats {
        SubscriptionStats::of(&self.subscriber)
    }
}

impl AsRef<Subscription> for Subscription {
    fn as_ref(&self) -> &Subscription {
        self
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.topic_name())
            .field("name", &self.name())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if self.home.is_some() {
            self.unsubscribe();
        }
    }
}

/// A handle of a subscription that somebody else owns: dropping it leaves the subscription as it is.
pub(crate) struct SecondHandle(Subscription);

impl Subscription {
    pub(crate) fn second_handle(&self) -> SecondHandle {
        SecondHandle(Self {
            subscriber: Arc::clone(&self.subscriber),
            home: self.home.clone(),
        })
    }
}

impl Deref for SecondHandle {
    type Target = Subscription;

    fn deref(&self) -> &Subscription {
        &self.0
    }
}

impl Drop for SecondHandle {
    fn drop(&mut self) {
        scope::drop_in_scope(self.0.home.take());
    }
}

/// The future of [`Subscription::join_async`]. It does not keep the subscription.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct JoinFuture {
    subscriber: Arc<Subscriber>,
}

impl Future for JoinFuture {
    type Output = FinalMessage;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<FinalMessage> {
        let subscriber = &self.subscriber;
        subscriber.completion.poll(cx).map(|()| subscriber.last())
    }
}
