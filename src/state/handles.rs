//! Who refers to a state, as values: while one lives, so does the state.

use super::error::StateError;
use super::start::Start;
use super::table::{Role, State};
use super::{Shared, start};
use crate::error::SubscribeError;
use crate::message::{Message, Receipt, into_message};
use crate::subscription::Subscription;
use crate::sync::unmodelled::Arc;
use crate::topic::{PublishError, SubscriptionBuilder, Topic};
use std::fmt;

/// One reference to a state.
pub(super) struct Held {
    shared: Arc<Shared>,
    pub(super) state: Arc<State>,
    role: Role,
}

impl Held {
    /// The state has been entered in that role.
    pub(super) fn new(shared: &Arc<Shared>, state: Arc<State>, role: Role) -> Self {
        Self {
            shared: Arc::clone(shared),
            state,
            role,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.states.leave(&self.state, self.role);
        if self.role == Role::Subscriber {
            let observers = &self.shared.observers;
            observers.tell(|it| it.on_unsubscribe(&self.state.id));
        }
    }
}

/// An explicit publisher of a state. While it lives, so does the state, with its retained message.
pub struct StatePublisher {
    held: Held,
}

impl StatePublisher {
    pub(super) fn new(held: Held) -> Self {
        Self { held }
    }

    /// Stores a message as the retained one of the state, and publishes it there, as one step: whatever
    /// other publishers do, what is retained is what subscriptions get last. Waits for no handler; legal in
    /// handlers.
    ///
    /// # Errors
    /// As [`Topic::publish`]. Unless it is [`PublishError::Full`], nothing was stored.
    ///
    /// ```
    /// # use stasis_bus::{Bus, StateTopics};
    /// # let bus = Bus::new()?;
    /// let states = StateTopics::new(&bus.topic("presence:all")?)?;
    /// let publisher = states.publisher("alice")?;
    /// publisher.publish("away")?;
    /// assert_eq!(publisher.get().unwrap().get::<&str>(), Some(&"away"));
    /// drop(publisher);
    /// assert!(states.get("alice").is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish<T: Send + Sync + 'static>(&self, payload: T) -> Result<Receipt, PublishError> {
        let published = self.held.state.publish(into_message(payload), || true);
        published.map(Option::unwrap_or_default)
    }

    /// The state's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.held.state.id
    }

    /// The state's topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.held.state.topic
    }

    /// The retained message. Takes no lock.
    #[must_use]
    pub fn get(&self) -> Option<Message> {
        self.held.state.retained.get()
    }
}

/// An explicit subscriber of a state: somebody who is interested in it, with a subscription or without.
/// While it lives, so does the state, with its retained message.
pub struct StateSubscriber {
    held: Held,
}

impl StateSubscriber {
    pub(super) fn new(held: Held) -> Self {
        Self { held }
    }

    /// Turns it into a subscription. See [`StateTopics::subscribe`](super::StateTopics::subscribe).
    ///
    /// # Errors
    /// [`StateError::Subscribe`] with what `build` gave.
    pub fn subscribe<S>(
        self,
        build: impl FnOnce(SubscriptionBuilder) -> Result<S, SubscribeError>,
    ) -> Result<S, StateError> {
        let builder = self.held.state.topic.subscribe();
        let held = self.held;
        // It goes with the handler (L4).
        let builder = builder.filter_on_delivery().filter(move |_| {
            let _ = &held;
            true
        });
        build(builder).map_err(StateError::Subscribe)
    }

    /// Turns it into a subscription that begins with the retained message. See
    /// [`StateTopics::subscribe_with_retained`](super::StateTopics::subscribe_with_retained).
    ///
    /// # Errors
    /// As [`Self::subscribe`].
    pub fn subscribe_with_retained<S: AsRef<Subscription>>(
        self,
        build: impl FnOnce(SubscriptionBuilder) -> Result<S, SubscribeError>,
    ) -> Result<S, StateError> {
        let state = Arc::clone(&self.held.state);
        let start = Start::new();
        let held = self.held;
        let builder = state.topic.subscribe().filter_on_delivery();
        let builder = builder.filter(move |message| {
            let _ = &held;
            start.passes(message)
        });
        let subscription = build(builder).map_err(StateError::Subscribe)?;
        start::begin(subscription.as_ref(), &state);
        Ok(subscription)
    }

    /// The state's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.held.state.id
    }

    /// The state's topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.held.state.topic
    }

    /// The retained message. Takes no lock.
    #[must_use]
    pub fn get(&self) -> Option<Message> {
        self.held.state.retained.get()
    }
}

impl fmt::Debug for StatePublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StatePublisher").field(&self.id()).finish()
    }
}

impl fmt::Debug for StateSubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StateSubscriber").field(&self.id()).finish()
    }
}
