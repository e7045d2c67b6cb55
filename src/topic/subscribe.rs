//! Subscribing: a builder that fixes everything before the first message can arrive (D6, L1).

use super::node::Alive;
use crate::error::{MAX_NAME_LEN, SubscribeError};
use crate::message::{
    CHANGE, ChangeKind, FinalMessage, Format, Gap, Message, MessageType, TypeInfo, default_type,
};
use crate::subscription::consumer::{
    Asides, Batch, Consumer, ConsumerCell, EachFn, FinalFn, GapFn, Handler,
};
use crate::subscription::filter::{FilterFn, Hooks, TypeFilter};
use crate::subscription::mailbox::Mailbox;
use crate::subscription::marks::Marks;
use crate::subscription::parcel::Parcel;
use crate::subscription::state::{Duty, Home, Offered, Parts, Subscriber, Wake};
use crate::subscription::thread::Prepared;
use crate::subscription::waiting::WaiterSlot;
use crate::subscription::{
    Conflate, Congestion, Delivery, Executor, Overflow, PanicPolicy, Receiver, Subscription, scope,
};
use crate::sync::unmodelled::Arc;
use std::any::TypeId;
use std::fmt;

/// How many messages a mailbox holds if nothing else is said: the slots of its ring.
pub(crate) const DEFAULT_CAPACITY: usize = 8;

/// How many messages a batch has at most if nothing else is said.
const DEFAULT_BATCH: usize = 64;

/// A subscription in the making. Its last call is one of [`run`](Self::run),
/// [`run_type`](Self::run_type), [`run_batch`](Self::run_batch) and [`receiver`](Self::receiver); nothing
/// happens before that, and everything is fixed when the first message can arrive.
#[must_use = "a builder does nothing until one of its last calls"]
pub struct SubscriptionBuilder {
    alive: Arc<Alive>,
    name: Option<String>,
    delivery: Option<Delivery>,
    executor: Option<Arc<dyn Executor>>,
    overflow: Overflow,
    capacity: usize,
    batch: usize,
    accepted: Vec<&'static TypeInfo>,
    accepts_all: bool,
    changeable: bool,
    formats: Vec<&'static Format>,
    changes: bool,
    filter: Option<FilterFn>,
    filters_late: bool,
    marks: Option<(u64, u64)>,
    hooks: Hooks,
    panic_policy: PanicPolicy,
    on_gap: Option<GapFn>,
    on_final: Option<FinalFn>,
    /// Its handler hears nothing of the end, and there is nothing in it to drop.
    ends_quietly: bool,
}

impl fmt::Debug for SubscriptionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionBuilder")
            .field("topic", &self.alive.node.name)
            .field("name", &self.name)
            .field("delivery", &self.delivery)
            .field("overflow", &self.overflow)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl SubscriptionBuilder {
    pub(super) fn new(alive: Arc<Alive>) -> Self {
        Self {
            alive,
            name: None,
            delivery: None,
            executor: None,
            overflow: Overflow::default(),
            capacity: DEFAULT_CAPACITY,
            batch: DEFAULT_BATCH,
            accepted: Vec::new(),
            accepts_all: false,
            changeable: false,
            formats: Vec::new(),
            changes: false,
            filter: None,
            filters_late: false,
            marks: None,
            hooks: Hooks::default(),
            panic_policy: PanicPolicy::default(),
            on_gap: None,
            on_final: None,
            ends_quietly: false,
        }
    }

    /// A name, for statistics and notices. Default: the topic's name, `#` and a number.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only messages of that type, and of the others for which this is called. Publish does not even look
    /// at subscriptions that do not want its type.
    pub fn accept<T: Send + Sync + 'static>(mut self, message_type: &MessageType<T>) -> Self {
        self.accepts_all = false;
        self.accepted.push(message_type.info());
        self
    }

    /// Only messages whose payload is a `T` under its default type, and of the others accepted.
    pub fn accept_payload<T: Send + Sync + 'static>(mut self) -> Self {
        self.accepts_all = false;
        self.accepted.push(default_type::<T>());
        self
    }

    /// Messages of every type but the bus's own, whatever was accepted so far. The default, unless the
    /// subscription is [`changeable`](Self::changeable) or its handler is typed.
    pub fn accept_all(mut self) -> Self {
        self.accepts_all = true;
        self.accepted.clear();
        self.formats.clear();
        self
    }

    /// The types that it accepts can be changed while it runs: see [`Subscription::accept`]. It begins
    /// with those that are accepted here, and with none if there are none: then it hears nothing for now.
    pub fn changeable(mut self) -> Self {
        self.changeable = true;
        self
    }

    /// Only messages whose type has that format, and those of the types accepted besides. Decided before
    /// the mailbox as well, also for types that come into use later. Each publish looks at such a
    /// subscription, and looks up the topic's list twice for it, as for a closure filter.
    ///
    /// ```
    /// # use stasis_bus::{Bus, Format, Formatter, MessageType};
    /// # let bus = Bus::new()?;
    /// # let topic = bus.topic("numbers")?;
    /// static TEXT: Format = Format::new("text");
    /// static COUNT: MessageType<u32> = MessageType::with_formats(
    ///     "count",
    ///     &[Formatter::new(&TEXT, |count, _| Some(count.to_string()))],
    /// );
    /// let mut texts = topic.subscribe().accept_format(&TEXT).receiver()?;
    /// topic.publish("not text")?;
    /// topic.publish(COUNT.message(7))?;
    /// assert_eq!(texts.recv()?.render(&TEXT).as_deref(), Some("7"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accept_format(mut self, format: &'static Format) -> Self {
        self.accepts_all = false;
        self.formats.push(format);
        self
    }

    /// Only messages that the closure lets pass. It runs on the publisher's thread, before the mailbox,
    /// without any lock; on topics with total order on the consumer's side, before the handler. If it
    /// panics, the message does not pass. Notices of the bus always pass. Called again, it adds a filter:
    /// what the ones before let pass goes to this one.
    pub fn filter(mut self, filter: impl Fn(&Message) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(match self.filter.take() {
            Some(first) => Box::new(move |message| first(message) && filter(message)),
            None => Box::new(filter),
        });
        self
    }

    /// The closure filter runs where the handler does, right before it and never twice at once, instead
    /// of on publishers' threads. What it declines has been through the mailbox, then, and may have taken the
    /// room or, with [`Overflow::Conflate`], the place of what it would have let pass. For filters that
    /// depend on what was delivered before, or cost too much for publishers.
    pub fn filter_on_delivery(mut self) -> Self {
        self.filters_late = true;
        self
    }

    /// How it is run. Default: [`Delivery::Pool`].
    pub fn delivery(mut self, delivery: impl Into<Delivery>) -> Self {
        self.delivery = Some(delivery.into());
        self
    }

    /// What happens when its mailbox is full. Default: [`Overflow::Spill`] without a limit.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// How many messages its mailbox holds: exactly so many wait at most, not counting the one that is
    /// being handled. For [`Overflow::Spill`] it is the size of the ring, rounded up to a power of two,
    /// and only what is beyond is spilled. Default: 8.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// High-water and low-water marks. The callback runs when `high` messages wait, and again when no
    /// more than `low` do: on a publisher's thread and on the consumer's, each time once.
    pub fn congestion(
        mut self,
        high: u64,
        low: u64,
        callback: impl Fn(&Congestion) + Send + Sync + 'static,
    ) -> Self {
        self.marks = Some((high, low));
        self.hooks.congestion = Some(Box::new(callback));
        self
    }

    /// Wants to hear who subscribes and unsubscribes here, and on topics that forward to here (L5). The
    /// notice of its own subscribing is the first message that it gets (L1).
    pub fn change_notices(mut self) -> Self {
        self.changes = true;
        self
    }

    /// What happens when its handler panics. Default: [`PanicPolicy::Continue`].
    pub fn panic_policy(mut self, policy: PanicPolicy) -> Self {
        self.panic_policy = policy;
        self
    }

    /// Gets gap notices (D5). Without it they go to handlers for [`Message`] as messages, and typed
    /// handlers do not hear of them.
    pub fn on_gap(mut self, on_gap: impl FnMut(&Gap) + Send + 'static) -> Self {
        self.on_gap = Some(Box::new(on_gap));
        self
    }

    /// Gets the final message (L2), after the handler's last call. Handlers for [`Message`] get it as a
    /// message as well. A receiver takes it as a message only.
    pub fn on_final(mut self, on_final: impl FnOnce(&FinalMessage) + Send + 'static) -> Self {
        self.on_final = Some(Box::new(on_final));
        self
    }

    /// The most messages in one call of a batch handler. Default: 64.
    pub fn max_batch(mut self, max: usize) -> Self {
        self.batch = max;
        self
    }

    /// Subscribes a handler. One for `&Message` gets everything that was accepted, gap notices in their
    /// places, and the final message as the last of all. One for `&T` gets payloads of type `T`: those
    /// under its default type, unless [`accept`](Self::accept) or [`accept_format`](Self::accept_format)
    /// says otherwise.
    ///
    /// ```
    /// # use stasis_bus::{Bus, Message};
    /// # let bus = Bus::new()?;
    /// # let topic = bus.topic("orders")?;
    /// # struct Order { id: u32 }
    /// let typed = topic.subscribe().run(|order: &Order| println!("order {}", order.id))?;
    /// let general = topic.subscribe().run(|message: &Message| match message.as_final() {
    ///     Some(last) => println!("the end: {}", last.reason),
    ///     None => println!("{}", message.type_name()),
    /// })?;
    /// # drop((typed, general));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SubscribeError`] says what is wrong; nothing has happened then.
    pub fn run<T, F>(mut self, mut handler: F) -> Result<Subscription, SubscribeError>
    where
        T: Send + Sync + 'static,
        F: FnMut(&T) + Send + 'static,
    {
        let general = TypeId::of::<T>() == TypeId::of::<Message>();
        self.ends_quietly = !general && !std::mem::needs_drop::<F>();
        let call: Box<dyn FnMut(&Message) + Send> = if general {
            Box::new(move |message: &Message| {
                let message: &dyn std::any::Any = message;
                if let Some(message) = message.downcast_ref::<T>() {
                    handler(message);
                }
            })
        } else {
            if self.accepted.is_empty() && self.formats.is_empty() && !self.accepts_all {
                self.accepted.push(default_type::<T>());
            }
            Box::new(move |message: &Message| {
                if let Some(payload) = message.get::<T>() {
                    handler(payload);
                }
            })
        };
        self.build(Handler::Each(call), general)
    }

    /// Subscribes a handler for the payloads of one message type.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_type<T, F>(
        mut self,
        message_type: &MessageType<T>,
        handler: F,
    ) -> Result<Subscription, SubscribeError>
    where
        T: Send + Sync + 'static,
        F: FnMut(&T) + Send + 'static,
    {
        self.accepts_all = false;
        self.accepted = vec![message_type.info()];
        self.formats.clear();
        self.run(handler)
    }

    /// Subscribes a handler that gets all that is there at once, up to [`max_batch`](Self::max_batch)
    /// messages: never none, in their order, gap notices in their places, and the final message as the
    /// last of all.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_batch(
        self,
        handler: impl FnMut(&[Message]) + Send + 'static,
    ) -> Result<Subscription, SubscribeError> {
        let max = self.batch;
        let batch = Batch {
            call: Box::new(handler),
            max,
            ready: Vec::new(),
        };
        self.build(Handler::Batch(Box::new(batch)), true)
    }

    /// Subscribes a receiver, from which its owner takes messages.
    ///
    /// # Errors
    /// As [`Self::run`], and [`SubscribeError::ReceiverWithDelivery`] if a delivery kind was chosen.
    pub fn receiver(self) -> Result<Receiver, SubscribeError> {
        if self.delivery.is_some() {
            return Err(SubscribeError::ReceiverWithDelivery);
        }
        self.check()?;
        let wake = Wake::Receiver(Box::new(WaiterSlot::new()));
        let (subscription, duty) = self.list(Handler::None, true, wake)?;
        Ok(Receiver::new(subscription, duty))
    }

    /// For a handler whose types others choose: those, or all for `None`, and whatever has one of the
    /// formats. Nothing that was accepted before counts.
    pub(crate) fn routed(
        mut self,
        accepted: Option<Vec<&'static TypeInfo>>,
        formats: Vec<&'static Format>,
    ) -> Self {
        self.accepts_all = accepted.is_none();
        self.accepted = accepted.unwrap_or_default();
        self.formats = formats;
        self.changeable()
    }

    /// True if the bus takes no messages of that type.
    pub(crate) fn declines(&self, info: &TypeInfo) -> bool {
        self.alive.core.declines(info)
    }

    /// Subscribes a handler for everything that was accepted. `ready` is shown the subscription before
    /// the handler is run at all.
    pub(crate) fn run_each(
        self,
        call: EachFn,
        ready: impl FnOnce(&Subscription),
    ) -> Result<Subscription, SubscribeError> {
        self.build_and(Handler::Each(call), true, ready)
    }

    fn build(self, handler: Handler, general: bool) -> Result<Subscription, SubscribeError> {
        self.build_and(handler, general, |_| {})
    }

    fn build_and(
        mut self,
        handler: Handler,
        general: bool,
        ready: impl FnOnce(&Subscription),
    ) -> Result<Subscription, SubscribeError> {
        self.check()?;
        let delivery = self.delivery.take().unwrap_or_default();
        let core = &self.alive.core;
        let mut thread = None;
        let wake = match delivery {
            Delivery::Pool => Wake::Pool(core.pool().map_err(SubscribeError::Thread)?),
            Delivery::Inline => Wake::Inline,
            Delivery::Executor(executor) => {
                self.executor = Some(executor);
                Wake::Executor
            }
            Delivery::OwnThread(options) => {
                let prepared = Prepared::new(&options, &core.config.name)?;
                let parker = Arc::clone(&prepared.parker);
                thread = Some(prepared);
                Wake::Thread(parker)
            }
        };
        let (subscription, duty) = self.list(handler, general, wake)?;
        ready(&subscription);
        match thread {
            Some(thread) => thread.start(duty),
            // What has come meanwhile is waiting.
            None => {
                if let Err(duty) = duty.park() {
                    duty.submit();
                    scope::run_pending();
                }
            }
        }
        Ok(subscription)
    }

    fn check(&self) -> Result<(), SubscribeError> {
        if self.alive.core.is_shut_down() {
            return Err(SubscribeError::ShutDown);
        }
        if self.alive.node.is_closed() {
            return Err(SubscribeError::TopicClosed);
        }
        if let Some(len) = self
            .name
            .as_ref()
            .map(String::len)
            .filter(|len| *len > MAX_NAME_LEN)
        {
            return Err(SubscribeError::NameTooLong { len });
        }
        if self.capacity == 0 {
            return Err(SubscribeError::ZeroCapacity);
        }
        if self.batch == 0 {
            return Err(SubscribeError::ZeroBatch);
        }
        if let Overflow::Spill { limit: Some(limit) } = self.overflow {
            if limit < self.capacity as u64 {
                return Err(SubscribeError::LimitBelowCapacity {
                    limit,
                    capacity: self.capacity,
                });
            }
        }
        if let Some((high, low)) = self.marks {
            if high == 0 || low > high {
                return Err(SubscribeError::BadMarks { low, high });
            }
        }
        if let Some(info) = self
            .accepted
            .iter()
            .find(|info| self.alive.core.declines(info))
        {
            return Err(SubscribeError::DeclinedType { name: info.name() });
        }
        let blocks = matches!(self.overflow, Overflow::Block { .. });
        if blocks && self.alive.node.has_total_order() {
            return Err(SubscribeError::BlockingOnTotalOrder);
        }
        Ok(())
    }

    /// Makes the subscription and puts it on the topic's list. The duty is still with us, so nothing runs
    /// yet.
    fn list(
        self,
        handler: Handler,
        general: bool,
        wake: Wake,
    ) -> Result<(Subscription, Duty), SubscribeError> {
        let (alive, subscriber, duty) = self.into_subscriber(handler, general, wake);
        if subscriber.types.changes() {
            let first = CHANGE.message(subscriber.change(ChangeKind::Subscribed));
            let parcel = Parcel::Message(first.into_one_delivery());
            let offered = subscriber.offer_unlimited(parcel, &crate::epoch::pin());
            debug_assert!(matches!(offered, Offered::Queued(None)));
        }
        if !alive.node.list(&subscriber) {
            return Err(if alive.core.is_shut_down() {
                SubscribeError::ShutDown
            } else {
                SubscribeError::TopicClosed
            });
        }
        alive.announce(&subscriber, ChangeKind::Subscribed);
        Ok((Subscription::new(subscriber, alive), duty))
    }

    fn into_subscriber(
        mut self,
        handler: Handler,
        general: bool,
        wake: Wake,
    ) -> (Arc<Alive>, Arc<Subscriber>, Duty) {
        let alive = self.alive;
        let core = &alive.core;
        let id = core.next_id();
        let total_order = alive.node.has_total_order();
        let marks = self.marks.map(|(high, low)| Marks::new(high, low));
        let mailbox = Mailbox::new(&self.overflow, self.capacity, marks, &core.budget);
        let filters_itself = self.filter.is_some() && (total_order || self.filters_late);
        self.hooks.filter = self.filter.take();
        if let Overflow::Conflate(Conflate(key)) = self.overflow {
            self.hooks.key = Some(key);
        }
        let is_slow = self.hooks.key.is_some()
            || (self.hooks.filter.is_some() && !filters_itself)
            || !self.formats.is_empty();
        let hooks = (!self.hooks.is_empty()).then(|| Arc::new(self.hooks));
        let has_hooks = hooks.is_some() || self.on_gap.is_some() || self.on_final.is_some();
        let is_pools = matches!(wake, Wake::Pool(_));
        let ends_quietly = self.ends_quietly && is_pools && !has_hooks;
        let types = match self.changeable {
            true => {
                let accepted = (!self.accepts_all).then_some(self.accepted);
                TypeFilter::changeable(accepted, self.formats, self.changes)
            }
            false => TypeFilter::with_formats(self.accepted, self.formats, self.changes),
        };
        let (each, batch) = match handler {
            Handler::Each(each) => (Some(each), None),
            Handler::Batch(batch) => (None, Some(batch)),
            Handler::None => (None, None),
        };
        let asides = Asides {
            batch,
            on_gap: self.on_gap,
            on_final: self.on_final,
            executor: self.executor,
        };
        let consumer = Consumer {
            each,
            general,
            asides: asides.boxed_if_any(),
            greeting: self.changes,
            panic_policy: self.panic_policy,
            hooks: hooks.clone(),
            home: Some(Arc::clone(&alive) as Arc<dyn Home>),
            ..Consumer::default()
        };
        let (subscriber, duty) = Subscriber::new(Parts {
            mailbox,
            consumer: ConsumerCell::new(consumer),
            wake,
            hooks: hooks.as_ref().map(Arc::downgrade),
            types,
            is_slow,
            filters_itself,
            ends_quietly,
            id,
            topic: &alive.node.name,
            name: self.name,
        });
        (alive, subscriber, duty)
    }
}
