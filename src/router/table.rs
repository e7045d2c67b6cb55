//! From a message to its handler. The table belongs to who handles the messages of the subscription: its
//! handler, or the owner of its receiver.

use super::routes::Routes;
use crate::cache::CACHE_UPDATE;
use crate::message::{Message, MessageType, SubscriptionChange, TypeInfo};
use crate::subscription::consumer::{EachFn, FinalFn, GapFn};
use crate::subscription::scope;
use crate::subscription::waiting::Completion;
use crate::sync::Mutex;
use crate::sync::unmodelled::Arc;
use std::fmt;

pub(super) type RouteFn = EachFn;
pub(super) type ChangeFn = Box<dyn FnMut(&SubscriptionChange) + Send>;

/// A handler, and the number by which it is told from those before it and after it in the same place.
pub(super) struct Route {
    pub(super) number: u64,
    pub(super) call: RouteFn,
}

/// What gets messages that no route is for.
#[derive(Default)]
pub(super) struct Hooks {
    pub(super) on_gap: Option<GapFn>,
    pub(super) on_change: Option<ChangeFn>,
    pub(super) on_final: Option<FinalFn>,
}

type Routed = Vec<Option<Route>>;

/// See the module.
#[derive(Default)]
pub(super) struct Table {
    /// By the number of the message type.
    routes: Routed,
    /// The same for cache updates, by the number of the type that is cached.
    updates: Routed,
    /// For the other updates. Not in its place by number, where it would keep these from theirs.
    other_updates: Option<Route>,
    default: Option<Route>,
    hooks: Hooks,
}

impl Table {
    pub(super) fn new(routes: Vec<(Place, Route)>, hooks: Hooks) -> Self {
        let mut table = Self {
            hooks,
            ..Self::default()
        };
        for (place, route) in routes {
            *table.at(place) = Some(route);
        }
        table
    }

    /// Hands a message over to its handler.
    #[inline(always)]
    pub(super) fn dispatch(&mut self, message: &Message) {
        match self.routes.get_mut(message.info().id() as usize) {
            Some(Some(route)) => (route.call)(message),
            _ => self.dispatch_unrouted(message),
        }
    }

    /// For those without a route: changes of routes, what the bus itself has to say, and what the default is
    /// for.
    fn dispatch_unrouted(&mut self, message: &Message) {
        if let Some(posted) = message.payload(&ROUTES_CHANGE) {
            // One who is handed the same message again finds nothing in it.
            let change = posted.0.lock().take();
            return change.into_iter().for_each(|change| self.change(change));
        }
        if let Some(update) = message.payload(&CACHE_UPDATE) {
            let route = self.updates.get_mut(update.info.id() as usize);
            let route = route.and_then(Option::as_mut);
            if let Some(route) = route.or(self.other_updates.as_mut()) {
                return (route.call)(message);
            }
        }
        self.dispatch_to_hook(message);
    }

    fn dispatch_to_hook(&mut self, message: &Message) {
        if let Some(gap) = message.as_gap() {
            if let Some(on_gap) = &mut self.hooks.on_gap {
                return on_gap(gap);
            }
        }
        if let Some(change) = message.as_change() {
            if let Some(on_change) = &mut self.hooks.on_change {
                return on_change(change);
            }
        }
        if let Some(last) = message.as_final() {
            if let Some(on_final) = self.hooks.on_final.take() {
                return on_final(last);
            }
        }
        if let Some(default) = &mut self.default {
            (default.call)(message);
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            // What was there is about to be removed: whoever does that was overtaken.
            Change::Set(place, route) => drop(self.at(place).replace(route)),
            Change::Clear(place, number, mut cleared) => {
                // Told when this ends, even if the drop of the handler panics.
                cleared.outcome = Clearing::Cleared;
                let there = self.at(place);
                if there.as_ref().is_some_and(|route| route.number == number) {
                    drop(there.take());
                }
            }
        }
    }

    fn at(&mut self, place: Place) -> &mut Option<Route> {
        let (routes, id) = match place {
            Place::Type(info) if info == CACHE_UPDATE.info() => return &mut self.other_updates,
            Place::Default => return &mut self.default,
            Place::Type(info) => (&mut self.routes, info.id()),
            Place::Update(info) => (&mut self.updates, info.id()),
        };
        let index = id as usize;
        if routes.len() <= index {
            routes.resize_with(index + 1, || None);
        }
        &mut routes[index]
    }
}

/// Where a handler stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// For a message type.
    Type(&'static TypeInfo),
    /// For updates of what is cached of that type.
    Update(&'static TypeInfo),
    Default,
}

impl Place {
    /// What it is called in errors and listings; the default has no name.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Type(info) | Self::Update(info) => Some(info.name()),
            Self::Default => None,
        }
    }

    /// The type that has to be accepted for it; for a default, all of them.
    pub(super) fn wants(self) -> Option<&'static TypeInfo> {
        match self {
            Self::Type(info) => Some(info),
            Self::Update(_) => Some(CACHE_UPDATE.info()),
            Self::Default => None,
        }
    }

    /// By this places are told apart.
    pub(super) fn key(self) -> (u8, u32) {
        match self {
            Self::Default => (0, 0),
            Self::Type(info) => (1, info.id()),
            Self::Update(info) => (2, info.id()),
        }
    }
}

/// A change of the table, sent to where it belongs.
pub(super) enum Change {
    Set(Place, Route),
    /// If it is still that one.
    Clear(Place, u64, Cleared),
}

/// The message that a change comes in: it is taken out once.
pub(super) static ROUTES_CHANGE: MessageType<Posted> = MessageType::new("routes_change");

pub(super) struct Posted(Mutex<Option<Change>>);

impl Posted {
    pub(super) fn new(change: Change) -> Self {
        Self(Mutex::new(Some(change)))
    }
}

/// What became of a handler that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clearing {
    /// It is gone.
    Cleared,
    /// The change has not come to the table, and never will: the subscription ends, or has ended.
    Ends,
}

/// Tells those who wait for a removal, whatever happens to it.
pub(super) struct Cleared {
    done: Arc<Completion<Clearing>>,
    outcome: Clearing,
}

impl Cleared {
    pub(super) fn new(done: Arc<Completion<Clearing>>) -> Self {
        Self {
            done,
            outcome: Clearing::Ends,
        }
    }
}

impl Drop for Cleared {
    fn drop(&mut self) {
        self.done.complete(self.outcome);
    }
}

/// The handlers of a router whose messages are taken by a receiver: see
/// [`RouterBuilder::receiver`](super::RouterBuilder::receiver).
pub struct Dispatcher {
    table: Table,
    routes: Routes,
}

impl Dispatcher {
    pub(super) fn new(table: Table, routes: Routes) -> Self {
        Self { table, routes }
    }

    /// Hands a message over to its handler. Every message that was received belongs here, in its order:
    /// changes of routes are among them.
    ///
    /// It counts as a handler: nothing waits in there (R1b). Panics of handlers are the caller's.
    pub fn dispatch(&mut self, message: &Message) {
        {
            let _scope = scope::enter();
            self.table.dispatch(message);
        }
        scope::run_pending();
    }

    /// A handle for changing the routes.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.routes
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        scope::drop_in_scope(std::mem::take(&mut self.table));
        scope::run_pending();
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher").finish_non_exhaustive()
    }
}
