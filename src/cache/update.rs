//! What a caching topic says: that what is cached for a key has changed. And what is said to one: that
//! something is to be forgotten.

use crate::message::{Key, Message, MessageType, Origin, TypeInfo};
use std::fmt;

/// The type of cache updates, on caching topics. Its messages may be made by anybody, but caches make
/// only genuine ones.
pub static CACHE_UPDATE: MessageType<CacheUpdate> = MessageType::new("cache_update");

/// The type of requests to forget something, published on the topic that is cached. Everybody else on
/// that topic sees them too, as in the original.
pub static CACHE_CLEAR: MessageType<CacheClear> = MessageType::new("cache_clear");

/// A change of what is cached for one key: of one origin's snapshot, or of the aggregate over all of
/// them.
///
/// For one key, each update's [`old`](Self::old) is the [`new`](Self::new) of the one before it that
/// concerns the same origin (C3), and its [`version`](Self::version) is greater.
#[derive(Clone)]
#[non_exhaustive]
pub struct CacheUpdate {
    /// The type of what is cached.
    pub info: &'static TypeInfo,
    /// Its key.
    pub key: Key,
    /// Whose snapshot it is; [`Origin::LOCAL`] for the bus's own, [`Origin::AGGREGATE`] for the
    /// aggregate.
    pub origin: Origin,
    /// What was cached before.
    pub old: Option<Message>,
    /// What is cached now. `None`: it was cleared.
    pub new: Option<Message>,
    /// Counts the changes of the key's snapshots, of whatever origin; the aggregate's are counted by
    /// themselves. Does not begin anew if the key is cleared and comes back.
    pub version: u64,
}

impl CacheUpdate {
    /// True if it is about the aggregate.
    #[must_use]
    pub fn is_aggregate(&self) -> bool {
        self.origin == Origin::AGGREGATE
    }

    /// The new snapshot's payload, if it is a `T`.
    #[must_use]
    pub fn new_as<T: 'static>(&self) -> Option<&T> {
        self.new.as_ref()?.get()
    }

    /// The old snapshot's payload, if it is a `T`.
    #[must_use]
    pub fn old_as<T: 'static>(&self) -> Option<&T> {
        self.old.as_ref()?.get()
    }

    /// The update, if the message is one of a snapshot of that type.
    #[must_use]
    pub fn of<'a, T: Send + Sync + 'static>(
        message: &'a Message,
        message_type: &MessageType<T>,
    ) -> Option<&'a Self> {
        let update = message.payload(&CACHE_UPDATE)?;
        (update.info == message_type.info()).then_some(update)
    }
}

/// Says of what it is an update, never what is in it.
impl fmt::Debug for CacheUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheUpdate")
            .field("type", &self.info.name())
            .field("key", &self.key)
            .field("origin", &self.origin)
            .field("old", &self.old.as_ref().map(Message::id))
            .field("new", &self.new.as_ref().map(Message::id))
            .field("version", &self.version)
            .finish()
    }
}

/// A request to forget the snapshot of one type, key and origin. Publish it on the topic that is cached,
/// as a message of type [`CACHE_CLEAR`]; where there is nothing to forget, nothing happens.
///
/// ```
/// use stasis_bus::{Bus, Cache, CacheClear, CACHE_CLEAR, MessageType};
///
/// static STATE: MessageType<(u32, &str)> = MessageType::new("state");
///
/// let bus = Bus::new()?;
/// let cache = Cache::builder().key(&STATE, |(id, _)| Some((*id).into())).build()?;
/// let states = bus.topic("states")?;
/// let _caching = cache.attach(&states)?;
/// let ringing = STATE.message((7, "ringing"));
/// states.publish(ringing.clone())?;
/// assert!(cache.get(&STATE, 7)?.is_some());
/// states.publish(CACHE_CLEAR.message(CacheClear::like(&ringing)))?;
/// assert!(cache.get(&STATE, 7)?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CacheClear(pub(super) Clear);

#[derive(Clone, Debug)]
pub(super) enum Clear {
    Like(Message),
    Key {
        info: &'static TypeInfo,
        key: Key,
        origin: Origin,
    },
}

impl CacheClear {
    /// What has the type, key and origin of that message.
    #[must_use]
    pub fn like(sample: &Message) -> Self {
        Self(Clear::Like(sample.clone()))
    }

    /// What has that type, key and origin.
    #[must_use]
    pub fn of<T: Send + Sync + 'static>(
        message_type: &MessageType<T>,
        key: impl Into<Key>,
        origin: Origin,
    ) -> Self {
        Self(Clear::Key {
            info: message_type.info(),
            key: key.into(),
            origin,
        })
    }
}
