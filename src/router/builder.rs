//! A router in the making.

use super::Router;
use super::error::RouterError;
use super::routes::{Routes, for_payload};
use super::table::{Dispatcher, Hooks, Place, Route, RouteFn, Table};
use crate::cache::CacheUpdate;
use crate::message::{
    FinalMessage, Format, Gap, Message, MessageType, SubscriptionChange, default_type,
};
use crate::subscription::Receiver;
use crate::topic::SubscriptionBuilder;
use std::collections::BTreeSet;
use std::fmt;

/// A [`Router`] in the making. Its last call is [`subscribe`](Self::subscribe) or
/// [`receiver`](Self::receiver); nothing happens before that.
#[must_use = "a builder does nothing until one of its last calls"]
pub struct RouterBuilder {
    handlers: Vec<(Place, RouteFn)>,
    defaults: Vec<Default>,
    hooks: Hooks,
    wants_changes: bool,
    routes: Routes,
}

/// A default, for every type if it is for no formats.
struct Default {
    call: RouteFn,
    formats: Option<Vec<&'static Format>>,
}

impl RouterBuilder {
    pub(super) fn new() -> Self {
        Self {
            handlers: Vec::new(),
            defaults: Vec::new(),
            hooks: Hooks::default(),
            wants_changes: false,
            routes: Routes::new(),
        }
    }

    /// The routes of the router to be, for its handlers to keep. They can be changed once it is subscribed.
    #[must_use]
    pub fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// Routes messages of that type to a handler for their payloads.
    pub fn on<T: Send + Sync + 'static>(
        mut self,
        message_type: &MessageType<T>,
        handler: impl FnMut(&T) + Send + 'static,
    ) -> Self {
        let handler = for_payload(handler);
        self.handlers
            .push((Place::Type(message_type.info()), handler));
        self
    }

    /// Routes messages of that type to a handler for messages.
    pub fn on_message<T: Send + Sync + 'static>(
        mut self,
        message_type: &MessageType<T>,
        handler: impl FnMut(&Message) + Send + 'static,
    ) -> Self {
        let place = Place::Type(message_type.info());
        self.handlers.push((place, Box::new(handler)));
        self
    }

    /// Routes payloads of type `T` under their default type to a handler.
    pub fn on_payload<T: Send + Sync + 'static>(
        mut self,
        handler: impl FnMut(&T) + Send + 'static,
    ) -> Self {
        let handler = for_payload(handler);
        self.handlers
            .push((Place::Type(default_type::<T>()), handler));
        self
    }

    /// Routes updates of what is cached of that type to a handler: see [`Routes::add_update`].
    pub fn on_update<T: Send + Sync + 'static>(
        mut self,
        cached: &MessageType<T>,
        handler: impl FnMut(&CacheUpdate) + Send + 'static,
    ) -> Self {
        let handler = for_payload(handler);
        self.handlers.push((Place::Update(cached.info()), handler));
        self
    }

    /// Handles every message that has no route, of whatever type it is: the router accepts all types then.
    /// Notices of the bus without a hook go here as well, the final message included.
    pub fn default(mut self, handler: impl FnMut(&Message) + Send + 'static) -> Self {
        self.defaults.push(Default {
            call: Box::new(handler),
            formats: None,
        });
        self
    }

    /// Handles every message that has no route and whose type has one of these formats: the router accepts
    /// such types besides those with routes. Notices of the bus without a hook go here as well.
    pub fn default_for(
        mut self,
        formats: &[&'static Format],
        handler: impl FnMut(&Message) + Send + 'static,
    ) -> Self {
        self.defaults.push(Default {
            call: Box::new(handler),
            formats: Some(formats.to_vec()),
        });
        self
    }

    /// Gets gap notices (D5). Without it they go to the default, if there is one. If the subscription's
    /// builder has such a hook itself, that is the one that is called.
    pub fn on_gap(mut self, on_gap: impl FnMut(&Gap) + Send + 'static) -> Self {
        self.hooks.on_gap = Some(Box::new(on_gap));
        self
    }

    /// Wants to hear who subscribes and unsubscribes (L5), as by
    /// [`SubscriptionBuilder::change_notices`], and this is what gets it.
    pub fn on_change(
        mut self,
        on_change: impl FnMut(&SubscriptionChange) + Send + 'static,
    ) -> Self {
        self.hooks.on_change = Some(Box::new(on_change));
        self.wants_changes = true;
        self
    }

    /// Gets the final message (L2), the last of all. Without it that goes to the default, if there is one.
    pub fn on_final(mut self, on_final: impl FnOnce(&FinalMessage) + Send + 'static) -> Self {
        self.hooks.on_final = Some(Box::new(on_final));
        self
    }

    /// Subscribes it, by a builder that says all else: on which topic, how it is run, what happens when its
    /// mailbox is full. What types it accepts is decided by the routes, whatever that builder says.
    ///
    /// # Errors
    /// [`RouterError`] if a type has two routes, if there are two defaults, if the bus declines a type, or if
    /// the subscription could not be made.
    pub fn subscribe(self, subscription: SubscriptionBuilder) -> Result<Router, RouterError> {
        let (mut table, builder, routes) = self.into_table(subscription)?;
        let call = Box::new(move |message: &Message| table.dispatch(message));
        let subscription = builder.run_each(call, |subscription| routes.begin(subscription))?;
        Ok(Router {
            subscription,
            routes,
        })
    }

    /// Subscribes a receiver, and gives the handlers to its owner: each message that is received is to be
    /// handed to [`Dispatcher::dispatch`], which runs its handler there and then.
    ///
    /// ```
    /// use stasis_bus::{Bus, Router};
    ///
    /// let bus = Bus::new()?;
    /// let topic = bus.topic("numbers")?;
    /// let (mut receiver, mut dispatcher) = Router::builder()
    ///     .on_payload(|number: &u32| assert_eq!(*number, 7))
    ///     .receiver(topic.subscribe())?;
    /// topic.publish(7_u32)?;
    /// dispatcher.routes().add_payload(|text: &&str| assert_eq!(*text, "hello"))?;
    /// topic.publish("hello")?;
    /// let dispatched = receiver.try_iter().map(|message| dispatcher.dispatch(&message)).count();
    /// assert_eq!(dispatched, 3, "two messages, and the change of routes between them");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::subscribe`].
    pub fn receiver(
        self,
        subscription: SubscriptionBuilder,
    ) -> Result<(Receiver, Dispatcher), RouterError> {
        let (table, builder, routes) = self.into_table(subscription)?;
        let receiver = builder.receiver()?;
        routes.begin(receiver.subscription());
        Ok((receiver, Dispatcher::new(table, routes)))
    }

    fn into_table(
        mut self,
        mut builder: SubscriptionBuilder,
    ) -> Result<(Table, SubscriptionBuilder, Routes), RouterError> {
        let mut known = BTreeSet::new();
        for (place, _) in &self.handlers {
            let name = place.name().filter(|_| !known.insert(place.key()));
            if let Some(name) = name {
                return Err(RouterError::DuplicateRoute { name });
            }
        }
        let wanted = self.handlers.iter().filter_map(|(place, _)| place.wants());
        let infos: Vec<_> = wanted.collect();
        if let Some(info) = infos.iter().find(|info| builder.declines(info)) {
            return Err(RouterError::DeclinedType { name: info.name() });
        }
        if self.defaults.len() > 1 {
            return Err(RouterError::DuplicateDefault);
        }
        let (mut for_all, mut formats) = (false, Vec::new());
        if let Some(default) = self.defaults.pop() {
            for_all = default.formats.is_none();
            formats = default.formats.unwrap_or_default();
            self.handlers.push((Place::Default, default.call));
        }
        builder = builder.routed((!for_all).then_some(infos), formats);
        if self.wants_changes {
            builder = builder.change_notices();
        }
        let routes = self.routes;
        let handlers = self.handlers.into_iter();
        let in_table = handlers.map(|(place, call)| {
            let number = routes.begin_with(place, for_all);
            (place, Route { number, call })
        });
        let table = Table::new(in_table.collect(), self.hooks);
        Ok((table, builder, routes))
    }
}

impl fmt::Debug for RouterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.handlers.iter();
        let names: Vec<_> = places.filter_map(|(place, _)| place.name()).collect();
        f.debug_struct("RouterBuilder")
            .field("types", &names)
            .finish_non_exhaustive()
    }
}
