//! Which types have a handler, and how that is changed while the router runs. A handler goes to the table
//! as a message, before its type is accepted, and is taken out of it by one, after its type was declined.
//! No lock is held while anything is sent, for that may run handlers (R1): of two changes of one place that
//! overtake each other on their way the later one stays, as each handler has a number.

use super::error::RouterError;
use super::removed::Removed;
use super::table::{Change, Cleared, Place, Posted, ROUTES_CHANGE, Route, RouteFn};
use crate::cache::CacheUpdate;
use crate::error::AcceptError;
use crate::message::{Message, MessageType, TypeInfo, default_type};
use crate::subscription::types;
use crate::subscription::waiting::Completion;
use crate::subscription::{SecondHandle, Subscription};
use crate::sync::Mutex;
use crate::sync::unmodelled::{Arc, OnceLock};
use std::collections::BTreeMap;
use std::fmt;

/// The routes of a [`Router`](super::Router), to be changed by anybody at any time: clones are the same
/// routes. It does not keep the router subscribed, but it keeps the subscription's books, and so the topic,
/// also when the router has ended: drop it then.
///
/// Changes are legal in handlers, the router's own included, and have their place in the order of its
/// messages. A publish that begins after `add` has returned is handled by the new route; what was accepted
/// before `remove` was called is handled by the old one, and none of its type comes in once it has returned.
///
/// ```
/// use stasis_bus::{Bus, MessageType, Router, RouterError};
///
/// static TICK: MessageType<u32> = MessageType::new("tick");
///
/// let bus = Bus::new()?;
/// let clock = bus.topic("clock")?;
/// let builder = Router::builder();
/// let routes = builder.routes();
/// let last = routes.clone();
/// let router = builder
///     .on(&TICK, move |tick: &u32| {
///         if *tick == 2 {
///             let _ = last.remove(&TICK); // it wants no more of them
///         }
///     })
///     .subscribe(clock.subscribe())?;
/// clock.publish_sync(router.subscription(), TICK.message(1))?;
/// clock.publish_sync(router.subscription(), TICK.message(2))?;
/// assert_eq!(clock.publish(TICK.message(3))?.offered(), 0);
/// assert!(matches!(routes.remove(&TICK), Err(RouterError::NoSuchRoute { name: "tick" })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Routes {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Mutex<Registry>,
    subscription: OnceLock<SecondHandle>,
}

/// What the table holds, or is about to.
#[derive(Debug, Default)]
struct Registry {
    last_number: u64,
    /// By the keys of their places.
    entries: BTreeMap<(u8, u32), Entry>,
    /// The default is in place, and for every type, not for such as have a format.
    for_all: bool,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    place: Place,
    number: u64,
    /// It is on its way to the table, and its type is not accepted yet.
    pending: bool,
}

impl Registry {
    fn at(&self, place: Place) -> Option<Entry> {
        self.entries.get(&place.key()).copied()
    }

    /// Books a handler; gives its number.
    fn book(&mut self, place: Place, pending: bool) -> u64 {
        self.last_number += 1;
        let entry = Entry {
            place,
            number: self.last_number,
            pending,
        };
        self.entries.insert(place.key(), entry);
        entry.number
    }

    fn forget(&mut self, place: Place) {
        self.entries.remove(&place.key());
    }

    /// The types that handlers in place want.
    fn wanted(&self) -> impl Iterator<Item = &'static TypeInfo> + '_ {
        let active = self.entries.values().filter(|entry| !entry.pending);
        active.filter_map(|entry| entry.place.wants())
    }
}

impl Routes {
    pub(super) fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                registry: Mutex::new(Registry::default()),
                subscription: OnceLock::new(),
            }),
        }
    }

    /// Books a handler that is in the table from the beginning; gives its number.
    pub(super) fn begin_with(&self, place: Place, for_all: bool) -> u64 {
        let mut registry = self.shared.registry.lock();
        registry.for_all = for_all;
        registry.book(place, false)
    }

    /// What it is about, once there is one.
    pub(super) fn subscription(&self) -> Option<&Subscription> {
        self.shared.subscription().ok()
    }

    /// From here on it can be changed.
    pub(super) fn begin(&self, subscription: &Subscription) {
        let first = self.shared.subscription.set(subscription.second_handle());
        debug_assert!(first.is_ok(), "a builder subscribes once");
    }

    /// Routes messages of that type to a handler for their payloads.
    ///
    /// # Errors
    /// [`RouterError`] if the type has a route already, if the bus declines it, or the router has ended.
    pub fn add<T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
        handler: impl FnMut(&T) + Send + 'static,
    ) -> Result<(), RouterError> {
        self.insert(Place::Type(message_type.info()), for_payload(handler))
    }

    /// Routes messages of that type to a handler for messages.
    ///
    /// # Errors
    /// As [`Routes::add`].
    pub fn add_message<T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
        handler: impl FnMut(&Message) + Send + 'static,
    ) -> Result<(), RouterError> {
        self.insert(Place::Type(message_type.info()), Box::new(handler))
    }

    /// Routes payloads of type `T` under their default type to a handler.
    ///
    /// # Errors
    /// As [`Routes::add`].
    pub fn add_payload<T: Send + Sync + 'static>(
        &self,
        handler: impl FnMut(&T) + Send + 'static,
    ) -> Result<(), RouterError> {
        self.insert(Place::Type(default_type::<T>()), for_payload(handler))
    }

    /// Routes updates of what is cached of that type to a handler. It is not a route for messages of the
    /// type itself, nor for those of [`CACHE_UPDATE`](crate::CACHE_UPDATE): that is for updates which have
    /// none of these.
    ///
    /// Updates of all cached types are messages of one type. So a router that has a route for some is
    /// offered all of them; those that no route and no default is for are dropped.
    ///
    /// # Errors
    /// As [`Routes::add`].
    pub fn add_update<T: Send + Sync + 'static>(
        &self,
        cached: &MessageType<T>,
        handler: impl FnMut(&CacheUpdate) + Send + 'static,
    ) -> Result<(), RouterError> {
        self.insert(Place::Update(cached.info()), for_payload(handler))
    }

    /// Has every message that has no route handled, of whatever type it is, gap notices without a hook and
    /// the final message included.
    ///
    /// # Errors
    /// [`RouterError`] if there is a default already, or the router has ended.
    pub fn set_default(
        &self,
        handler: impl FnMut(&Message) + Send + 'static,
    ) -> Result<(), RouterError> {
        self.insert(Place::Default, Box::new(handler))
    }

    /// Removes the route of a type. Its messages go to the default from here on, if that is for them, else
    /// they are not accepted any more. What was accepted before is handled by the old route; see
    /// [`Removed`].
    ///
    /// # Errors
    /// [`RouterError::NoSuchRoute`] if there is none.
    pub fn remove<T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
    ) -> Result<Removed, RouterError> {
        self.take(Place::Type(message_type.info()))
    }

    /// Removes the route for payloads of type `T` under their default type.
    ///
    /// # Errors
    /// As [`Routes::remove`].
    pub fn remove_payload<T: Send + Sync + 'static>(&self) -> Result<Removed, RouterError> {
        self.take(Place::Type(default_type::<T>()))
    }

    /// Removes the route for updates of what is cached of that type.
    ///
    /// # Errors
    /// As [`Routes::remove`].
    pub fn remove_update<T: Send + Sync + 'static>(
        &self,
        cached: &MessageType<T>,
    ) -> Result<Removed, RouterError> {
        self.take(Place::Update(cached.info()))
    }

    /// Removes the default, whether for all types or by format. Nothing is accepted from here on but what
    /// has a route.
    ///
    /// # Errors
    /// [`RouterError::NoDefault`] if there is none.
    pub fn remove_default(&self) -> Result<Removed, RouterError> {
        self.take(Place::Default)
    }

    /// True if messages of that type have a route. Both may change at once.
    #[must_use]
    pub fn has_route<T: Send + Sync + 'static>(&self, message_type: &MessageType<T>) -> bool {
        let place = Place::Type(message_type.info());
        self.shared.registry.lock().at(place).is_some()
    }

    fn insert(&self, place: Place, call: RouteFn) -> Result<(), RouterError> {
        let subscription = self.shared.subscription()?;
        let number = self.shared.announce(place)?;
        let route = Change::Set(place, Route { number, call });
        let sent = subscription.send(ROUTES_CHANGE.message(Posted::new(route)));
        if sent.is_err() {
            self.shared.registry.lock().forget(place);
            return Err(RouterError::Ended);
        }
        if let Err(error) = self.shared.accept(subscription, place) {
            self.clear(subscription, place, number);
            return Err(error.into());
        }
        Ok(())
    }

    fn take(&self, place: Place) -> Result<Removed, RouterError> {
        let subscription = self.shared.subscription()?;
        let (number, narrowed) = self.shared.decline(subscription, place)?;
        if narrowed {
            // No message of it comes once this returns: the table hears of the removal after the last one.
            subscription.outwait_offers();
        }
        Ok(self.clear(subscription, place, number))
    }

    fn clear(&self, subscription: &Subscription, place: Place, number: u64) -> Removed {
        let done = Arc::new(Completion::new());
        let cleared = Cleared::new(Arc::clone(&done));
        let change = Change::Clear(place, number, cleared);
        // Refused: it ends, and says so as it is dropped.
        drop(subscription.send(ROUTES_CHANGE.message(Posted::new(change))));
        Removed::new(done, self.clone())
    }
}

impl Shared {
    fn subscription(&self) -> Result<&Subscription, RouterError> {
        let handle = self.subscription.get();
        handle
            .map(|handle| &**handle)
            .ok_or(RouterError::NotSubscribed)
    }

    /// Books a handler before it is sent; gives its number.
    fn announce(&self, place: Place) -> Result<u64, RouterError> {
        let mut registry = self.registry.lock();
        match (registry.at(place), place.name()) {
            (None, _) => Ok(registry.book(place, true)),
            (Some(_), Some(name)) => Err(RouterError::DuplicateRoute { name }),
            (Some(_), None) => Err(RouterError::DuplicateDefault),
        }
    }

    /// The handler is on its way: what it is for is accepted from here on.
    fn accept(&self, subscription: &Subscription, place: Place) -> Result<(), AcceptError> {
        let mut registry = self.registry.lock();
        let wanted = place.wants();
        let change = wanted.map_or(types::Change::All, types::Change::Accept);
        let accepted = subscription.relist(change);
        if accepted.is_err() {
            registry.forget(place);
            return accepted;
        }
        if let Some(entry) = registry.entries.get_mut(&place.key()) {
            entry.pending = false;
        }
        registry.for_all |= wanted.is_none();
        Ok(())
    }

    /// The handler is to go: what only it is for is not accepted from here on. Gives its number, and
    /// whether there was any such thing.
    fn decline(
        &self,
        subscription: &Subscription,
        place: Place,
    ) -> Result<(u64, bool), RouterError> {
        let mut registry = self.registry.lock();
        let Some(entry) = registry.at(place).filter(|entry| !entry.pending) else {
            return Err(match place.name() {
                Some(name) => RouterError::NoSuchRoute { name },
                None => RouterError::NoDefault,
            });
        };
        registry.forget(place);
        let change = match place.wants() {
            Some(info) => {
                let is_wanted = registry.for_all || registry.wanted().any(|other| other == info);
                (!is_wanted).then_some(types::Change::Decline(info))
            }
            None => {
                registry.for_all = false;
                Some(types::Change::Only {
                    infos: registry.wanted().collect(),
                    formats: false,
                })
            }
        };
        // If it has ended nothing is accepted anyhow.
        let relisted = change.map(|change| subscription.relist(change));
        Ok((entry.number, relisted.is_some()))
    }
}

/// A handler for payloads as one for messages.
pub(super) fn for_payload<T: 'static>(mut handler: impl FnMut(&T) + Send + 'static) -> RouteFn {
    Box::new(move |message| {
        if let Some(payload) = message.get::<T>() {
            handler(payload);
        }
    })
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registry = self.shared.registry.lock();
        let entries = registry.entries.values();
        let names: Vec<_> = entries.filter_map(|entry| entry.place.name()).collect();
        f.debug_struct("Routes")
            .field("types", &names)
            .field("default", &registry.at(Place::Default).is_some())
            .finish_non_exhaustive()
    }
}
