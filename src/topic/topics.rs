//! Where topics come from, for what is built on topics and knows no bus.

use super::Topic;
use super::core::Core;
use crate::error::{MAX_NAME_LEN, TopicError};
use crate::sync::unmodelled::Arc;

/// Where topics come from: a [`Bus`](crate::Bus), or any topic of one. What is built on topics (caching
/// topics, the objects of an application) takes it, so that it can be made from either.
///
/// ```
/// use stasis_bus::{Bus, Topic, TopicError, Topics};
///
/// fn audited(topics: &impl Topics) -> Result<Topic, TopicError> {
///     topics.topic("audited")
/// }
/// let bus = Bus::new()?;
/// let one = audited(&bus)?;
/// assert!(one.is_same(&audited(&one)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Topics: sealed::Sealed {
    /// The topic of that name on the same bus: the one that lives, or else a new one.
    ///
    /// # Errors
    /// As [`Bus::topic`](crate::Bus::topic).
    fn topic(&self, name: &str) -> Result<Topic, TopicError>;

    /// The topic of that name on the same bus, if it lives.
    fn get_topic(&self, name: &str) -> Option<Topic>;
}

pub(crate) mod sealed {
    /// The bus decides what topics come from.
    pub trait Sealed {}
}

impl sealed::Sealed for Topic {}

impl Topics for Topic {
    fn topic(&self, name: &str) -> Result<Topic, TopicError> {
        topic(&self.alive.core, name, false)
    }

    fn get_topic(&self, name: &str) -> Option<Topic> {
        self.alive.core.registry.get(name).map(Topic::new)
    }
}

/// The topic of that name, if it lives, or a new one, with total order or without.
pub(crate) fn topic(core: &Arc<Core>, name: &str, total_order: bool) -> Result<Topic, TopicError> {
    if name.is_empty() {
        return Err(TopicError::EmptyName);
    }
    if name.len() > MAX_NAME_LEN {
        return Err(TopicError::NameTooLong { len: name.len() });
    }
    if core.is_shut_down() {
        return Err(TopicError::ShutDown);
    }
    let alive = core.topic(name, total_order);
    alive.map(Topic::new).ok_or(TopicError::ShutDown)
}
