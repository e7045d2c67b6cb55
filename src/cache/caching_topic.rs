//! Caching topics: a topic whose messages are kept, and one that tells of each change.

use super::Cache;
use super::announcer::Announcer;
use super::error::CacheError;
use super::shared::Shared;
use super::snapshot;
use super::update::{CACHE_UPDATE, CacheUpdate};
use crate::error::SubscribeError;
use crate::message::{KeyRef, Message, MessageType, Origin};
use crate::subscription::{Receiver, Subscription};
use crate::sync::unmodelled::{Arc, RwLock};
use crate::topic::{SubscriptionBuilder, Tap, Topic, Topics};
use std::fmt;

/// What is published on one topic is cached, and each change is announced on another one, its own, as a
/// [`CacheUpdate`]. Made by [`Cache::attach`].
///
/// When publish of a cacheable message returns, the cache has it or something newer (C1). Who gets an
/// update finds the cache at least as new (C2). The updates of one key form a chain, whoever publishes
/// (C3).
///
/// Dropping it ends the caching, but neither clears the cache nor closes the topic of updates.
#[must_use = "dropping a caching topic ends the caching"]
pub struct CachingTopic {
    announcer: Arc<Announcer>,
    tap: Tap,
}

/// Numbers for the names of caching topics. No model looks at it.
static NUMBERS: RwLock<u64> = RwLock::new(0);

pub(super) fn next_number() -> u64 {
    let mut number = NUMBERS
        .write()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    *number += 1;
    *number
}

impl CachingTopic {
    pub(super) fn new(shared: &Arc<Shared>, original: &Topic) -> Result<Self, CacheError> {
        Self::begin(Self::announcer(shared, original)?)
    }

    /// All but the beginning: nothing is cached yet.
    pub(super) fn announcer(
        shared: &Arc<Shared>,
        original: &Topic,
    ) -> Result<Announcer, CacheError> {
        let own_origin = original.origin();
        if shared
            .own_origin
            .get()
            .is_some_and(|own| *own != own_origin)
        {
            return Err(CacheError::OtherBus);
        }
        let name = format!("cache:{}/{}", next_number(), original.name());
        Ok(Announcer {
            shared: Arc::clone(shared),
            original: original.clone(),
            topic: original.topic(&name)?,
        })
    }

    /// From here on what is published is cached.
    pub(super) fn begin(announcer: Announcer) -> Result<Self, CacheError> {
        let (original, shared) = (&announcer.original, &announcer.shared);
        if original.is_closed() {
            return Err(SubscribeError::TopicClosed.into());
        }
        // Before the first message can come, and only once hardly anything can go wrong any more.
        let own_origin = original.origin();
        if *shared.own_origin.get_or_init(|| own_origin) != own_origin {
            return Err(CacheError::OtherBus);
        }
        let announcer = Arc::new(announcer);
        let tapped = Arc::clone(&announcer);
        let tap = announcer
            .original
            .tap(move |message| tapped.tapped(message))?;
        Ok(Self { announcer, tap })
    }

    /// The topic of updates. What subscribes here gets messages of type
    /// [`CACHE_UPDATE`](super::CACHE_UPDATE).
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.announcer.topic
    }

    /// The topic that is cached.
    #[must_use]
    pub fn original(&self) -> &Topic {
        &self.announcer.original
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> Cache {
        Cache::new(Arc::clone(&self.announcer.shared))
    }

    /// Begins a subscription to the updates, and nothing else that may come there, whose closure filter,
    /// if it gets one, runs before its handler: publishers have less to do then than for filters of their
    /// own ([`SubscriptionBuilder::filter`]), which have to be run again if two change a key at once.
    pub fn subscribe(&self) -> SubscriptionBuilder {
        self.topic()
            .subscribe()
            .filter_on_delivery()
            .accept(&CACHE_UPDATE)
    }

    /// Subscribes a handler that begins with what is cached, as updates without an old snapshot, and goes
    /// on with the updates that follow, without a hole and without a duplicate (C4). That is of what came
    /// through this caching topic, if the cache has others. `options` may choose delivery, overflow and
    /// so on, but not what is accepted.
    ///
    /// The snapshots are handed over in the subscription's first run, one after the other, in no order.
    ///
    /// # Errors
    /// [`CacheError::Subscribe`].
    ///
    /// ```
    /// # use stasis_bus::{Bus, Cache, CacheUpdate, MessageType};
    /// # static STATE: MessageType<u32> = MessageType::new("state");
    /// # let bus = Bus::new()?;
    /// # let cache = Cache::builder().key(&STATE, |state| Some((*state / 100).into())).build()?;
    /// # let states = bus.topic("states")?;
    /// let caching = cache.attach(&states)?;
    /// states.publish(STATE.message(101))?;
    /// let subscription = caching.subscribe_with_snapshot(
    ///     |options| options.name("board"),
    ///     |update: &CacheUpdate| println!("{:?} -> {:?}", update.old_as::<u32>(), update.new_as::<u32>()),
    /// )?;
    /// states.publish(STATE.message(102))?; // the handler gets None -> 101, 101 -> 102
    /// # subscription.flush()?;
    /// # assert_eq!(subscription.stats().delivered, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe_with_snapshot(
        &self,
        options: impl FnOnce(SubscriptionBuilder) -> SubscriptionBuilder,
        handler: impl FnMut(&CacheUpdate) + Send + 'static,
    ) -> Result<Subscription, CacheError> {
        let builder = options(self.subscribe());
        snapshot::subscribe(
            &self.announcer.shared,
            Some(&self.announcer),
            builder,
            handler,
        )
    }

    /// The same with a receiver: the snapshots, in no order, and a receiver that has the updates that
    /// follow.
    ///
    /// # Errors
    /// [`CacheError::Subscribe`].
    pub fn receive_with_snapshot(
        &self,
        options: impl FnOnce(SubscriptionBuilder) -> SubscriptionBuilder,
    ) -> Result<(Vec<CacheUpdate>, Receiver), CacheError> {
        let builder = options(self.subscribe());
        snapshot::receive(&self.announcer.shared, Some(&self.announcer), builder)
    }

    /// Forgets what is cached for that key and origin, and announces that.
    ///
    /// # Errors
    /// [`CacheError::NotCached`] if there is nothing, [`CacheError::NotCacheable`] and
    /// [`CacheError::WrongKey`] if there cannot be.
    pub fn clear<'a, T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
        key: impl Into<KeyRef<'a>>,
        origin: Origin,
    ) -> Result<(), CacheError> {
        let (info, key) = (message_type.info(), key.into());
        self.announcer.shared.check(info, key)?;
        let was_there = self.announcer.clear_key(info, key, origin);
        cleared(was_there, info.name())
    }

    /// Forgets what has the type, key and origin of that message, and announces that.
    ///
    /// # Errors
    /// [`CacheError::NotCached`] if there is nothing, [`CacheError::NotCacheable`] if the message is not.
    pub fn clear_like(&self, sample: &Message) -> Result<(), CacheError> {
        let name = sample.info().name();
        let was_there = self.announcer.clear_like(sample);
        cleared(was_there.ok_or(CacheError::NotCacheable { name })?, name)
    }

    /// Ends the caching, and closes the topic of updates: whoever is subscribed there gets a final
    /// message. The cache keeps what it has.
    pub fn close(self) {
        let Self { announcer, tap } = self;
        drop(tap);
        announcer.topic.close();
    }
}

fn cleared(was_there: bool, name: &'static str) -> Result<(), CacheError> {
    if was_there {
        Ok(())
    } else {
        Err(CacheError::NotCached { name })
    }
}

impl fmt::Debug for CachingTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachingTopic")
            .field("topic", &self.topic().name())
            .field("original", &self.tap.topic_name())
            .finish_non_exhaustive()
    }
}
