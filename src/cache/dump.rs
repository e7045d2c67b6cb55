//! Looking at all of a cache at once.

use super::entry::Entry;
use super::shared::Shared;
use crate::message::{Message, MessageType, Origin, TypeInfo};
use std::fmt;

/// A look at all that is cached, or at part of it. Without more it is the local snapshots of all types.
///
/// Nobody waits for it. Each message is one that was current at some time between the begin and the end
/// of [`Dump::to_vec`]; what was cached from begin to end is in it, each key and origin once; what came
/// or went meanwhile may be. It is not a consistent view over several keys: of two changes made one after
/// the other, it may have the second only.
///
/// ```
/// # use stasis_bus::{Bus, Cache, MessageType};
/// # static STATE: MessageType<u32> = MessageType::new("state");
/// # let bus = Bus::new()?;
/// # let states = bus.topic("states")?;
/// # let cache = Cache::builder().key(&STATE, |state| Some((*state).into())).build()?;
/// # let caching = cache.attach(&states)?;
/// for state in [1_u32, 2, 3] {
///     states.publish(STATE.message(state))?;
/// }
/// assert_eq!(cache.dump().of(&STATE).to_vec().len(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is looked at before `to_vec`"]
#[derive(Clone, Copy)]
pub struct Dump<'a> {
    shared: &'a Shared,
    info: Option<&'static TypeInfo>,
    origin: Option<Origin>,
}

impl<'a> Dump<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            info: None,
            origin: Some(Origin::LOCAL),
        }
    }

    /// Only messages of that type.
    pub fn of<T: Send + Sync + 'static>(mut self, message_type: &MessageType<T>) -> Self {
        self.info = Some(message_type.info());
        self
    }

    /// The snapshots of that origin; the aggregates for [`Origin::AGGREGATE`].
    pub fn by_origin(mut self, origin: Origin) -> Self {
        self.origin = Some(self.shared.normal(origin));
        self
    }

    /// The snapshots of all origins, without the aggregates.
    pub fn all_origins(mut self) -> Self {
        self.origin = None;
        self
    }

    /// Looks, and gives what it has found, in no order.
    #[must_use]
    pub fn to_vec(self) -> Vec<Message> {
        let mut found = Vec::new();
        let wants = |entry: &Entry| self.info.is_none_or(|info| *info == *entry.info);
        self.shared.index.for_each(|_, entry| {
            if !wants(entry) {
                return;
            }
            match self.origin {
                Some(origin) => found.extend(entry.get(origin)),
                None => entry.for_each(|_, message| found.push(message)),
            }
        });
        found
    }
}

impl fmt::Debug for Dump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dump")
            .field("type", &self.info.map(TypeInfo::name))
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
