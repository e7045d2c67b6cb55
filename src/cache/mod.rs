//! Caches: the last message of each type, key and origin, for who wants to know how things stand without
//! waiting for the next message. A cache is filled by [caching topics](CachingTopic); it knows no
//! subscription.

mod aggregate;
mod announcer;
mod builder;
mod caching_topic;
mod dump;
mod entry;
mod error;
mod index;
mod pattern;
mod shared;
mod snapshot;
mod update;

pub use aggregate::{Aggregate, Snapshots};
pub use builder::CacheBuilder;
pub use caching_topic::CachingTopic;
pub use dump::Dump;
pub use error::CacheError;
pub use pattern::{CacheFamily, CacheMember};
pub use update::{CACHE_CLEAR, CACHE_UPDATE, CacheClear, CacheUpdate};

use crate::message::{KeyRef, Message, MessageType, Origin};
use crate::subscription::{Receiver, Subscription};
use crate::sync::unmodelled::Arc;
use crate::topic::{SubscriptionBuilder, Topic};
use shared::Shared;
use std::fmt;

/// Keeps the last message of each type, key and origin.
///
/// A `Cache` is a handle; clones are the same cache. It is filled by the topics that it is
/// [attached](Cache::attach) to, any number of them. Reading takes no lock: it neither waits for who
/// publishes
/// nor makes them wait, and is not begun anew because they do.
///
/// ```
/// use stasis_bus::{Bus, Cache, CacheUpdate, MessageType};
///
/// struct Line { number: u32, state: &'static str }
/// static LINE: MessageType<Line> = MessageType::new("line");
///
/// let bus = Bus::new()?;
/// let lines = bus.topic("lines")?;
/// let cache = Cache::builder().key(&LINE, |line| Some(line.number.into())).build()?;
/// let caching = cache.attach(&lines)?;
/// let subscription = caching.subscribe().run(|update: &CacheUpdate| {
///     let state = |line: Option<&Line>| line.map_or("unknown", |line| line.state);
///     println!("{:?}: {} -> {}", update.key, state(update.old_as()), state(update.new_as()));
/// })?;
///
/// lines.publish(LINE.message(Line { number: 7, state: "ringing" }))?;
/// let ringing = cache.get(&LINE, 7)?.expect("what was published is there");
/// assert_eq!(ringing.get::<Line>().map(|line| line.state), Some("ringing"));
/// # subscription.flush()?;
/// # assert_eq!(subscription.stats().delivered, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

impl Cache {
    /// A cache with rules of one's own.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::default()
    }

    fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Keeps what is published on that topic from here on, forwarded to it or published there, and
    /// announces each change on a topic of its own, whose name is `cache:<number>/<that topic's name>`. So
    /// that topic's name has to leave room for it, which 30 bytes are: see
    /// [`TopicError::NameTooLong`](crate::TopicError::NameTooLong).
    ///
    /// A message is stored after it was offered to the topic's subscriptions. Of two that are published
    /// at the same time, the one that a subscription gets last may be stored first, also where the topic
    /// has total order. The updates have an order for each key (C3), and it is that of the stores.
    ///
    /// # Errors
    /// [`CacheError::Subscribe`] if the topic is closed or the bus is shut down, [`CacheError::Topic`] if
    /// the topic of updates cannot be had, [`CacheError::OtherBus`] if the cache is used on a bus of
    /// another origin already.
    pub fn attach(&self, topic: &Topic) -> Result<CachingTopic, CacheError> {
        CachingTopic::new(&self.shared, topic)
    }

    /// The snapshot of the bus's own origin.
    ///
    /// # Errors
    /// [`CacheError::NotCacheable`] for types that the cache never keeps, [`CacheError::WrongKey`] if the
    /// keys of that type are made of something else than the given one.
    #[inline]
    pub fn get<'a, T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
        key: impl Into<KeyRef<'a>>,
    ) -> Result<Option<Message>, CacheError> {
        self.get_by_origin(message_type, key, Origin::LOCAL)
    }

    /// The snapshot of that origin; for [`Origin::AGGREGATE`] the aggregate over all of them.
    ///
    /// # Errors
    /// As [`Cache::get`].
    #[inline]
    pub fn get_by_origin<'a, T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
        key: impl Into<KeyRef<'a>>,
        origin: Origin,
    ) -> Result<Option<Message>, CacheError> {
        let (info, key) = (message_type.info(), key.into());
        let found = self.shared.get(info, key, self.shared.normal(origin));
        if found.is_none() {
            self.shared.check(info, key)?;
        }
        Ok(found)
    }

    /// The aggregate over the snapshots of all origins.
    ///
    /// # Errors
    /// As [`Cache::get`].
    pub fn aggregate<'a, T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
        key: impl Into<KeyRef<'a>>,
    ) -> Result<Option<Message>, CacheError> {
        self.get_by_origin(message_type, key, Origin::AGGREGATE)
    }

    /// The snapshots of all origins, the local one first, without the aggregate. Each is one that was
    /// current between the call's begin and its end.
    ///
    /// # Errors
    /// As [`Cache::get`].
    pub fn get_all<'a, T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
        key: impl Into<KeyRef<'a>>,
    ) -> Result<Vec<Message>, CacheError> {
        let (info, key) = (message_type.info(), key.into());
        let mut all = Vec::new();
        match self.shared.find(info, key) {
            Some(entry) => entry.for_each(|_, message| all.push(message)),
            None => self.shared.check(info, key)?,
        }
        Ok(all)
    }

    /// A look at all that is cached: see [`Dump`].
    pub fn dump(&self) -> Dump<'_> {
        Dump::new(&self.shared)
    }

    /// For how many types and keys something is cached. Others may be changing it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.index.len()
    }

    /// True if nothing was cached just now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all snapshots of an origin, each with its update, announced where it was stored last: for
    /// who has left, and will not clear them. How many there were. What is stored for that origin at the
    /// same time may stay.
    ///
    /// ```
    /// # use stasis_bus::{Bus, Cache, MessageType, Origin};
    /// # static STATE: MessageType<u32> = MessageType::new("state");
    /// # let bus = Bus::new()?;
    /// # let states = bus.topic("states")?;
    /// # let cache = Cache::builder().key(&STATE, |state| Some((*state).into())).build()?;
    /// # let caching = cache.attach(&states)?;
    /// let node = Origin::new(7);
    /// states.publish(STATE.message_with_origin(1, node))?;
    /// assert_eq!(cache.expire_origin(node), 1);
    /// assert!(cache.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn expire_origin(&self, origin: Origin) -> usize {
        self.shared.expire(self.shared.normal(origin))
    }

    /// Subscribes to `updates`, a topic that the updates of all caching topics of this cache are
    /// forwarded to, as [`CachingTopic::subscribe_with_snapshot`] does for one of them.
    ///
    /// # Errors
    /// [`CacheError::Subscribe`].
    pub fn subscribe_with_snapshot(
        &self,
        updates: &Topic,
        options: impl FnOnce(SubscriptionBuilder) -> SubscriptionBuilder,
        handler: impl FnMut(&CacheUpdate) + Send + 'static,
    ) -> Result<Subscription, CacheError> {
        let builder = options(updates.subscribe().filter_on_delivery());
        snapshot::subscribe(&self.shared, None, builder, handler)
    }

    /// The same with a receiver: see [`CachingTopic::receive_with_snapshot`].
    ///
    /// # Errors
    /// [`CacheError::Subscribe`].
    pub fn receive_with_snapshot(
        &self,
        updates: &Topic,
        options: impl FnOnce(SubscriptionBuilder) -> SubscriptionBuilder,
    ) -> Result<(Vec<CacheUpdate>, Receiver), CacheError> {
        let builder = options(updates.subscribe().filter_on_delivery());
        snapshot::receive(&self.shared, None, builder)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
