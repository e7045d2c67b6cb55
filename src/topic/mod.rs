//! Topics: where messages are published, and who hears them. See [`Topic`].

pub(crate) mod aftermath;
pub(crate) mod aggregates;
pub(crate) mod blocked;
pub(crate) mod core;
pub(crate) mod forward;
mod interest;
pub(crate) mod node;
mod offers;
pub(crate) mod pattern;
pub(crate) mod place;
pub(crate) mod pool;
mod prepare;
pub(crate) mod publish;
pub(crate) mod publish_async;
pub(crate) mod publish_error;
pub(crate) mod registry;
pub(crate) mod staged;
pub(crate) mod stats;
pub(crate) mod subscribe;
pub(crate) mod subscribers;
pub(crate) mod sync_publish;
pub(crate) mod tap;
pub(crate) mod topics;
pub(crate) mod topology;

pub use self::core::{Discarded, HandlerPanic};
pub use forward::Forward;
pub use pool::TopicPool;
pub use publish_async::PublishFuture;
pub use publish_error::PublishError;
pub use staged::{Offered, Stage, Staged};
pub use stats::TopicStats;
pub use subscribe::SubscriptionBuilder;
pub use sync_publish::SyncError;
pub use tap::Tap;
pub use topics::Topics;

use crate::error::{ForwardError, PoolError, SubscribeError};
use crate::message::{
    FinalReason, Message, MessageType, Origin, Receipt, TypeInfo, default_type, into_message,
};
use crate::subscription::{Handled, Subscription, scope};
use crate::sync::unmodelled::Arc;
use aftermath::Aftermath;
use node::{Alive, Node};
use publish::Special;
use std::any::{Any, TypeId};
use std::fmt;
use std::time::{Duration, Instant};

/// A topic: what is published on it is offered to each of its subscriptions, and to those of the topics
/// that it forwards to.
///
/// A `Topic` is a handle; clones are the same topic. It lives for as long as somebody has a handle, a
/// subscription or a forward of it.
///
/// ```
/// use stasis_bus::Bus;
///
/// let bus = Bus::new()?;
/// let orders = bus.topic("orders")?;
/// let subscription = orders.subscribe().run(|order: &u32| println!("order {order}"))?;
/// let receipt = orders.publish(17_u32)?;
/// assert_eq!(receipt.offered(), 1);
/// subscription.unsubscribe();
/// let last = subscription.join()?;
/// assert_eq!(last.delivered, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Topic {
    alive: Arc<Alive>,
    /// The same one's, here too: publishers do not look at `alive`, whose count everybody writes who comes or
    /// goes.
    node: Arc<Node>,
}

impl Topic {
    pub(crate) fn new(alive: Arc<Alive>) -> Self {
        let node = Arc::clone(&alive.node);
        Self { alive, node }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.node.name
    }

    /// True for handles of the same topic.
    #[must_use]
    pub fn is_same(&self, other: &Topic) -> bool {
        Arc::ptr_eq(&self.alive, &other.alive)
    }

    /// True if it keeps one order of messages for all its subscriptions (D7).
    #[must_use]
    pub fn has_total_order(&self) -> bool {
        self.node.has_total_order()
    }

    /// Publishes a payload under the type that it has by default, or a [`Message`] as it is. Every
    /// subscription that wants it, here and downstream by forwards, is offered it once (D4), in the order
    /// of D2.
    ///
    /// Neither waits for handlers nor for other publishers; the exceptions are mailboxes that asked to
    /// block their publishers when full, total order, inline subscriptions, which run here, and the short
    /// locks of mailboxes that shed their oldest message (R5). Legal in handlers.
    ///
    /// # Errors
    /// [`PublishError`] says what, and hands the message back. If it is [`PublishError::Full`], everybody
    /// else was offered the message all the same.
    pub fn publish<T: Send + Sync + 'static>(&self, payload: T) -> Result<Receipt, PublishError> {
        let info = info_of(&payload);
        if let Some(receipt) = publish::publish_to_nobody(&self.node, info) {
            drop_payload(payload);
            return Ok(receipt);
        }
        publish::publish_and_settle(&self.node, &self.alive, into_message(payload))
    }

    /// Publishes as [`Topic::publish`] does, as a future for any runtime: where a mailbox asks to block
    /// its publishers, the task waits for room, and not its thread. The mailbox's own timeout does not
    /// count; use the runtime's.
    ///
    /// Nothing happens before the first poll. Cancel safe in this sense: dropped before that, nothing was
    /// published; dropped later, the message is shed, with a gap notice, for those who had no room yet.
    ///
    /// # Errors
    /// As [`Topic::publish`].
    pub fn publish_async<T: Send + Sync + 'static>(&self, payload: T) -> PublishFuture {
        PublishFuture::new(Arc::clone(&self.alive), into_message(payload))
    }

    /// Publishes several, in their order, and wakes whoever is to be woken once for all of them.
    ///
    /// The iterator counts as a handler: subscriptions may be waiting for the end of the batch to be run,
    /// so nothing waits in there (R1b). That of a [`Receiver`](crate::Receiver) ends as soon as it would
    /// have to.
    ///
    /// # Errors
    /// As [`Topic::publish`]. Messages of declined types and after a close are not published: the first
    /// of them is handed back, and what comes after it in the batch is not published either. A mailbox
    /// that fails when full does not end the batch.
    ///
    /// ```
    /// # use stasis_bus::Bus;
    /// # let bus = Bus::new()?;
    /// # let topic = bus.topic("numbers")?;
    /// # let mut receiver = topic.subscribe().receiver()?;
    /// let receipt = topic.publish_batch(1..=3_i64)?;
    /// assert_eq!(receipt.offered(), 3);
    /// assert_eq!(receiver.recv()?.get::<i64>(), Some(&1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_batch<T: Send + Sync + 'static>(
        &self,
        payloads: impl IntoIterator<Item = T>,
    ) -> Result<Receipt, PublishError> {
        let mut batch = Settled::default();
        let mut refused = None;
        let mut payloads = UserIterator::new(payloads);
        while let Some(payload) = payloads.next() {
            let info = info_of(&payload);
            if let Some(receipt) = publish::publish_to_nobody(&self.node, info) {
                drop_payload(payload);
                batch.total += receipt;
                continue;
            }
            let message = match publish::admit(&self.alive, into_message(payload)) {
                Ok(message) => message,
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            };
            let Settled { after, total } = &mut batch;
            *total += publish::publish(&self.alive, message, &mut Special::Nobody, after);
            if after.is_urgent() || after.has_gathered() {
                after.settle(total);
            }
        }
        drop(payloads);
        batch.settle();
        match refused {
            Some(error) => Err(error),
            None => batch.after.outcome(batch.total),
        }
    }

    /// Publishes in steps: this one runs the filters and key functions of those who are subscribed, and
    /// [`Staged::offer`] then runs no code of the user's and waits for nobody, so it may be called under
    /// a short lock of one's own. For who changes something and publishes the change as one step.
    ///
    /// # Errors
    /// As [`Topic::publish`], but for [`PublishError::Full`].
    ///
    /// ```
    /// # use stasis_bus::Bus;
    /// # use std::sync::Mutex;
    /// # let bus = Bus::new()?;
    /// # let topic = bus.topic("counter")?;
    /// # let mut receiver = topic.subscribe().receiver()?;
    /// let counter = Mutex::new(0_u64);
    /// let mut count = counter.lock().unwrap();
    /// *count += 1;
    /// let offered = topic.stage(*count)?.offer();
    /// drop(count); // whoever counts next is published next
    /// assert_eq!(offered.settle()?.offered(), 1);
    /// # assert_eq!(receiver.recv()?.get::<u64>(), Some(&1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stage<T: Send + Sync + 'static>(&self, payload: T) -> Result<Staged, PublishError> {
        Staged::new(&self.alive, into_message(payload))
    }

    /// A stage for the moment: if there is nobody here or downstream for whom code of the user's has to
    /// be run first, a message can be offered at once, without [`Topic::stage`] before the lock. For
    /// messages that are only known under it. `None`: there is somebody, so the long way has to be gone.
    ///
    /// ```
    /// # use stasis_bus::Bus;
    /// # let bus = Bus::new()?;
    /// # let topic = bus.topic("t")?;
    /// if let Some(stage) = topic.try_stage() {
    ///     stage.offer("now")?.settle()?;
    /// }
    /// let filtering = topic.subscribe().filter(|_| true).receiver()?;
    /// assert!(topic.try_stage().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn try_stage(&self) -> Option<Stage<'_>> {
        Stage::new(&self.alive)
    }

    /// Has `tap` run with every message that is published here, or forwarded to here, before its publish
    /// returns: on the publisher's thread, after the offers, without any lock or pin. Not with the bus's
    /// own notices.
    ///
    /// Runs may overlap, and those of two publishers come in either order. It counts as a handler:
    /// nothing waits in there (R1b), everything else is legal. If it panics, the bus's hook is told, and
    /// nobody else notices.
    ///
    /// # Errors
    /// [`SubscribeError`] if the topic is closed or the bus is shut down.
    ///
    /// ```
    /// # use stasis_bus::{Bus, Message};
    /// # use std::sync::atomic::{AtomicUsize, Ordering};
    /// # use std::sync::Arc;
    /// # let bus = Bus::new()?;
    /// # let topic = bus.topic("audited")?;
    /// let seen = Arc::new(AtomicUsize::new(0));
    /// let tap = topic.tap({
    ///     let seen = seen.clone();
    ///     move |_: &Message| { seen.fetch_add(1, Ordering::Relaxed); }
    /// })?;
    /// topic.publish("a")?;
    /// assert_eq!(seen.load(Ordering::Relaxed), 1);
    /// tap.cancel();
    /// topic.publish("b")?;
    /// assert_eq!(seen.load(Ordering::Relaxed), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tap(
        &self,
        tap: impl Fn(&Message) + Send + Sync + 'static,
    ) -> Result<Tap, SubscribeError> {
        Tap::new(&self.alive, tap)
    }

    /// Who this process is among those that share messages: see
    /// [`BusBuilder::origin`](crate::BusBuilder::origin).
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.alive.core.config.origin
    }

    /// Publishes as [`Topic::publish`] does, and waits, without any lock, until `subscription` has
    /// handled this message and all before it. The others are not waited for.
    ///
    /// # Errors
    /// [`SyncError::WouldDeadlock`] inside any handler (R1b), and [`SyncError::Refused`] where publish
    /// itself is refused: both hand the message back.
    pub fn publish_sync<T: Send + Sync + 'static>(
        &self,
        subscription: &Subscription,
        payload: T,
    ) -> Result<Handled, SyncError> {
        sync_publish::publish_sync(&self.alive, subscription, into_message(payload), None)
    }

    /// As [`Topic::publish_sync`], waiting for at most `timeout`.
    ///
    /// # Errors
    /// As there, and [`SyncError::TimedOut`]: the message was published, and will be handled.
    pub fn publish_sync_timeout<T: Send + Sync + 'static>(
        &self,
        subscription: &Subscription,
        payload: T,
        timeout: Duration,
    ) -> Result<Handled, SyncError> {
        let deadline = Instant::now().checked_add(timeout);
        sync_publish::publish_sync(&self.alive, subscription, into_message(payload), deadline)
    }

    /// True if somebody, here or downstream, wants messages of that type, as far as filters by type tell.
    /// Cheap: a publisher can skip building what nobody wants. False: a publish that began and ended
    /// between this call's begin and end would have been offered to nobody. Both may change at once.
    #[must_use]
    pub fn has_subscribers_for<T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
    ) -> bool {
        publish::has_subscribers_for(&self.node, message_type.info())
    }

    /// The same for payloads of type `T` under the type that they have by default.
    #[must_use]
    pub fn has_subscribers_for_payload<T: Send + Sync + 'static>(&self) -> bool {
        debug_assert_ne!(TypeId::of::<T>(), TypeId::of::<Message>());
        publish::has_subscribers_for(&self.node, default_type::<T>())
    }

    /// Begins a subscription. Nothing happens before the builder's last call.
    pub fn subscribe(&self) -> SubscriptionBuilder {
        SubscriptionBuilder::new(Arc::clone(&self.alive))
    }

    /// Forwards everything that is published here, or forwarded to here, to `other` too. A publish that
    /// begins after this has returned goes there. Diamonds, duplicates, cycles and a forward to itself
    /// are legal, and do not duplicate messages (D4).
    ///
    /// Costs the same however many topics have their only way through this one. Of those upstream that
    /// have several ways out, or are in a circle, each has the list of what it reaches worked out anew.
    ///
    /// # Errors
    /// [`ForwardError`] if the topics belong to two buses, or one of them is closed.
    ///
    /// ```
    /// # use stasis_bus::Bus;
    /// let bus = Bus::new()?;
    /// let (leg, all) = (bus.topic("calls/7")?, bus.topic("calls")?);
    /// let mut receiver = all.subscribe().receiver()?;
    /// let forward = leg.forward_to(&all)?;
    /// leg.publish("ringing")?;
    /// assert_eq!(receiver.recv()?.get::<&str>(), Some(&"ringing"));
    /// forward.cancel();
    /// assert_eq!(leg.publish("answered")?.offered(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forward_to(&self, other: &Topic) -> Result<Forward, ForwardError> {
        if !self.alive.core.same_bus(&other.alive) {
            return Err(ForwardError::OtherBus);
        }
        if self.alive.core.is_shut_down() {
            return Err(ForwardError::ShutDown);
        }
        if self.node.is_closed() || other.node.is_closed() {
            return Err(ForwardError::TopicClosed);
        }
        Ok(Forward::new(&self.alive, &other.alive))
    }

    /// A pool of this topic's children. Any number of pools of one topic may exist; each has children of
    /// its own, and if two have the same one, a message still comes once (D4).
    ///
    /// # Errors
    /// [`PoolError`] if the topic is closed, or the bus shut down.
    pub fn pool(&self) -> Result<TopicPool, PoolError> {
        TopicPool::new(&self.alive)
    }

    /// Closes the topic: it takes no messages and no subscriptions any more, and its subscriptions end.
    /// The name is free for a new topic. Does not wait; legal in handlers; does nothing if it is closed
    /// already.
    pub fn close(&self) {
        self.alive.close_all(FinalReason::TopicClosed);
    }

    /// True: it is closed for good. False may be old news.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.node.is_closed()
    }

    /// Its figures and those of its subscriptions, as of now. Stops nothing.
    #[must_use]
    pub fn stats(&self) -> TopicStats {
        TopicStats::of(&self.alive)
    }
}

/// The type that a payload is published under: its default one, or that of the message that it is.
#[inline]
fn info_of<T: Send + Sync + 'static>(payload: &T) -> &'static TypeInfo {
    let payload: &dyn Any = payload;
    match payload.downcast_ref::<Message>() {
        Some(message) => message.info(),
        None => default_type::<T>(),
    }
}

/// Drops what nobody wants: it may be, or own, a value of the user's.
#[inline]
fn drop_payload<T>(payload: T) {
    if std::mem::needs_drop::<T>() {
        scope::drop_in_scope(payload);
        // It may have published.
        scope::run_pending();
    }
}

/// An iterator of the user's, run and dropped as what it is.
struct UserIterator<I>(Option<I>);

impl<I: Iterator> UserIterator<I> {
    fn new(payloads: impl IntoIterator<IntoIter = I>) -> Self {
        let _scope = scope::enter();
        Self(Some(payloads.into_iter()))
    }

    fn next(&mut self) -> Option<I::Item> {
        let _scope = scope::enter();
        self.0.as_mut()?.next()
    }
}

impl<I> Drop for UserIterator<I> {
    fn drop(&mut self) {
        let _scope = scope::enter();
        drop(self.0.take());
    }
}

/// A batch is settled when it ends, however that is: its iterator is code of the user's, and may unwind.
#[derive(Default)]
struct Settled {
    after: Aftermath,
    total: Receipt,
}

impl Settled {
    fn settle(&mut self) {
        self.after.settle(&mut self.total);
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        self.settle();
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
