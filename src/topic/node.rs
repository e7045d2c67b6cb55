//! A topic in two parts. The *node* is what publishers read under a pin: memory of the bus, which the epoch
//! may free at any time and on any thread, so it owns nothing with a say of its own. *Alive* is what keeps
//! the topic in existence: handles, subscriptions and forwards hold it, and its end takes the name out of
//! the registry.

use super::core::{Core, Discarded, HandlerPanic};
use super::forward::Route;
use super::interest::{Glance, Interest};
use super::publish;
use super::subscribers::{self, Listing};
use super::tap::TapInner;
use crate::epoch::{self, EpochCell, Guard};
use crate::error::AcceptError;
use crate::message::{CHANGE, ChangeKind, FinalReason};
use crate::stats::Counter;
use crate::subscription::place::{OfTopic, Places};
use crate::subscription::scope;
use crate::subscription::state::{Duty, Home, Subscriber};
use crate::subscription::types::Change;
use crate::sync::unmodelled::{Arc, Weak};
use crate::sync::{Mutex, contain};
use crate::worker::Pool;

/// So many of the bound forwards that lead to a topic are removed under one lock when it goes.
const UNBOUND_AT_ONCE: usize = 64;

/// See the module. What every publish looks at comes first, and is together on one line of memory most times.
#[repr(C)]
pub(crate) struct Node {
    /// What the list comes to.
    pub(super) interest: Interest,
    pub(super) listing: EpochCell<Listing>,
    /// Where else a publish goes.
    pub(super) route: EpochCell<Route>,
    pub(super) published: Counter,
    /// Held for the offers of a publish, on topics with total order (D7).
    pub(super) sequencer: Option<Box<Mutex<()>>>,
    pub(super) id: u64,
    pub(super) name: Arc<str>,
    alive: Weak<Alive>,
    kind: Kind,
    /// Held for every change of the list. From here on it is what those write who come or go.
    control: Mutex<()>,
    pub(super) ended: Mutex<Ended>,
}

/// What a topic is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its name.
    Named,
    /// A pattern of the names of others.
    Aggregate,
}

/// Subscriptions that were taken off the list, until they are done, and the figures of those that are. A
/// subscription that is closed is in here before it is off the list, so whoever holds the lock finds each
/// of them, in one place or both, and no figure ever goes back.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) ending: Places<Subscriber, OfTopic>,
    pub(super) totals: Totals,
}

impl Ended {
    fn new() -> Self {
        Self {
            ending: Places::new(),
            totals: Totals::default(),
        }
    }
}

/// The figures of subscriptions that are done.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Totals {
    pub(super) filtered: u64,
    pub(super) shed: u64,
    pub(super) delivered: u64,
    pub(super) discarded: u64,
}

/// See the module.
pub(crate) struct Alive {
    pub(super) node: Arc<Node>,
    pub(super) core: Arc<Core>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Alive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alive")
            .field("name", &self.node.name)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// One that `declines` some types looks at each message.
    pub(super) fn new(
        id: u64,
        name: Arc<str>,
        total_order: bool,
        declines: bool,
        kind: Kind,
        alive: &Weak<Alive>,
    ) -> Self {
        Self {
            interest: Interest::new(total_order || declines),
            listing: EpochCell::null(),
            route: EpochCell::null(),
            published: Counter::default(),
            sequencer: total_order.then(|| Box::new(Mutex::new(()))),
            id,
            name,
            alive: Weak::clone(alive),
            kind,
            control: Mutex::new(()),
            ended: Mutex::new(Ended::new()),
        }
    }

    pub(super) fn alive(&self) -> Option<Arc<Alive>> {
        self.alive.upgrade()
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.interest.glance().is_closed()
    }

    pub(super) fn has_total_order(&self) -> bool {
        self.sequencer.is_some()
    }

    /// Replaces the list. The control lock is held.
    fn relist(&self, next: Option<Listing>, guard: &Guard) {
        let next = next.filter(|next| !next.is_empty());
        let summary = Glance::of(next.as_ref());
        // One after the other: publishers take the line of all three away again and again.
        let before = || self.interest.widen(summary);
        let after = || self.interest.settle(summary);
        self.listing.replace_between(next, guard, before, after);
    }

    /// Lists a subscriber. False if the topic is closed.
    pub(super) fn list(&self, subscriber: &Arc<Subscriber>) -> bool {
        let control = self.control.lock();
        if self.is_closed() {
            return false;
        }
        let guard = epoch::pin();
        let new = match self.listing.load(&guard) {
            Some(listing) => listing.with(subscriber, &guard),
            None => Listing::default().with(subscriber, &guard),
        };
        self.relist(Some(new), &guard);
        drop(control);
        true
    }

    /// Takes a subscriber off the list. False if it was not on it.
    pub(super) fn delist(&self, subscriber: &Arc<Subscriber>) -> bool {
        let control = self.control.lock();
        let guard = epoch::pin();
        let Some(listing) = self.listing.load(&guard) else {
            return false;
        };
        let Some(new) = listing.without(subscriber, &guard) else {
            return false;
        };
        self.relist(Some(new), &guard);
        subscriber.place.leave();
        drop(control);
        subscribers::retire(subscriber, &guard);
        true
    }

    /// Changes the types that a subscriber accepts. The listing is replaced once: whoever publishes finds it
    /// there by what it accepted before or by what it accepts now, and never by both (D4, D6).
    fn change_types(
        &self,
        subscriber: &Arc<Subscriber>,
        change: Change,
    ) -> Result<(), AcceptError> {
        let types = subscriber.types.as_changeable();
        let types = types.ok_or(AcceptError::NotChangeable)?;
        let control = self.control.lock();
        let guard = epoch::pin();
        let listing = self.listing.load(&guard);
        let Some(listing) = listing.filter(|_| subscriber.place.get().is_some()) else {
            return Err(AcceptError::Ended);
        };
        if let Some(after) = types.after(change, &guard)? {
            if !subscriber.is_slow {
                let before = subscriber.types.accepted(&guard);
                let new = listing.relisted(subscriber, before, after.accepted());
                self.relist(Some(new), &guard);
            }
            types.change(after, &guard);
        }
        drop(control);
        Ok(())
    }

    /// Lists a tap. False if the topic is closed.
    pub(super) fn add_tap(&self, tap: Weak<TapInner>) -> bool {
        let control = self.control.lock();
        if self.is_closed() {
            return false;
        }
        let guard = epoch::pin();
        let new = match self.listing.load(&guard) {
            Some(listing) => listing.with_tap(tap),
            None => Listing::default().with_tap(tap),
        };
        self.relist(Some(new), &guard);
        drop(control);
        true
    }

    /// Takes a tap off the list.
    pub(super) fn remove_tap(&self, tap: &Arc<TapInner>) {
        let control = self.control.lock();
        let guard = epoch::pin();
        if let Some(listing) = self.listing.load(&guard) {
            self.relist(Some(listing.without_tap(tap)), &guard);
        }
        drop(control);
    }

    /// Accepts nothing from here on. Gives those who were listed; each is still to be closed.
    pub(super) fn close(&self) -> Vec<Arc<Subscriber>> {
        let control = self.control.lock();
        self.interest.close();
        let guard = epoch::pin();
        let listing = self.listing.load(&guard);
        let listed = listing.map(Listing::all).unwrap_or_default();
        // What held forwards still bring here is for nobody.
        if let Some(listing) = listing {
            self.relist(Some(listing.without_taps()), &guard);
        }
        drop(control);
        listed
    }

    /// Everybody on the list.
    pub(super) fn listed(&self) -> Vec<Arc<Subscriber>> {
        self.listing
            .load(&epoch::pin())
            .map(Listing::all)
            .unwrap_or_default()
    }

    /// Books that a subscriber is about to be taken off the list, unless it has been counted since the caller
    /// decided to close it.
    fn ending(&self, subscriber: &Arc<Subscriber>) {
        self.ended.lock().ending.add(subscriber);
    }

    /// Adds its figures to the totals: they are final.
    fn count(&self, subscriber: &Subscriber) {
        let mut ended = self.ended.lock();
        // Not the last reference: the caller has one.
        drop(ended.ending.remove(subscriber));
        let totals = &mut ended.totals;
        totals.filtered += subscriber.mailbox.figure(|seldom| &seldom.filtered);
        totals.shed += subscriber.mailbox.figure(|seldom| &seldom.shed);
        totals.delivered += subscriber.delivered.get();
        totals.discarded += subscriber.mailbox.figure(|seldom| &seldom.discarded);
    }

    pub(super) fn is_listed(&self, subscriber: &Subscriber) -> bool {
        let guard = epoch::pin();
        let listing = self.listing.load(&guard);
        listing.is_some_and(|listing| listing.contains(subscriber, &guard))
    }
}

impl Alive {
    /// Tells the topic, and all downstream of it, that a subscriber came or went (L5).
    pub(super) fn announce(&self, subscriber: &Arc<Subscriber>, kind: ChangeKind) {
        if publish::has_subscribers_for(&self.node, CHANGE.info()) {
            let change = CHANGE.message(subscriber.change(kind));
            publish::control(self, change, subscriber);
        }
    }

    /// Closes the topic, and ends all its subscriptions for that reason, and the forwards that are bound to
    /// it.
    pub(crate) fn close_all(&self, reason: FinalReason) {
        for subscriber in self.node.close() {
            self.close(&subscriber, reason);
        }
        self.leave();
    }

    /// Takes a topic that is closed or gone out of where others would find it, and removes the forwards
    /// that are bound to it: no more of them come. Not all under one lock: others have forwards to change
    /// meanwhile.
    fn leave(&self) {
        if self.node.kind == Kind::Aggregate {
            self.core.aggregates.forget(self);
        }
        while (self.core.topology.lock()).unbind_some(self.node.id, UNBOUND_AT_ONCE) {}
    }
}

impl Home for Alive {
    fn close(&self, subscriber: &Arc<Subscriber>, reason: FinalReason) {
        // Whoever is first gives the reason. Who is not does all of the rest too: when any of them returns,
        // the subscription is off the list and closed (L3).
        let first = subscriber.set_reason(reason);
        if first {
            self.core.ending(subscriber);
            self.node.ending(subscriber);
        }
        self.node.delist(subscriber);
        let duty = subscriber.close_mailbox();
        if first {
            self.announce(subscriber, ChangeKind::Unsubscribed);
        }
        if let Some(duty) = duty {
            duty.submit_end();
        }
        // Whoever waited for room may have published as it was woken.
        scope::run_pending();
    }

    fn count(&self, subscriber: &Subscriber) {
        self.node.count(subscriber);
    }

    fn finished(&self, subscriber: &Arc<Subscriber>) {
        self.core.finished(subscriber);
    }

    fn panicked(&self, subscriber: &Subscriber, message_type: &'static str, panic: &str) {
        if let Some(hook) = &self.core.config.on_panic {
            let report = HandlerPanic {
                topic: &self.node.name,
                subscription: subscriber.name(),
                message_type,
                panic,
            };
            contain(|| hook(&report));
        }
    }

    fn discarded(&self, subscriber: &Subscriber, count: u64) {
        if let Some(hook) = &self.core.config.on_discard {
            let report = Discarded {
                topic: &self.node.name,
                subscription: subscriber.name(),
                count,
            };
            contain(|| hook(&report));
        }
    }

    fn change_types(
        &self,
        subscriber: &Arc<Subscriber>,
        change: Change,
    ) -> Result<(), AcceptError> {
        let declined = match &change {
            Change::Accept(info) => Some(*info).filter(|info| self.core.declines(info)),
            Change::Only { infos, .. } => {
                infos.iter().copied().find(|info| self.core.declines(info))
            }
            Change::Decline(_) | Change::All => None,
        };
        if let Some(info) = declined {
            return Err(AcceptError::DeclinedType { name: info.name() });
        }
        self.node.change_types(subscriber, change)
    }

    fn topic_name(&self) -> &Arc<str> {
        &self.node.name
    }

    fn is_listed(&self, subscriber: &Subscriber) -> bool {
        self.node.is_listed(subscriber)
    }

    fn pool(&self) -> Option<Pool<Duty>> {
        self.core.pool().ok()
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if self.node.kind == Kind::Named {
            self.core.registry.forget(self);
        }
        self.node.interest.close();
        self.leave();
    }
}
