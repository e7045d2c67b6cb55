//! Topics that keep their last message: a state each, by id, for as long as somebody has to do with it. See
//! [`StateTopics`]. It is *not* a cache: what a state holds is one message, whatever its type, and who owns
//! a state is known.

mod error;
mod handles;
mod observers;
mod start;
mod table;

pub use error::StateError;
pub use handles::{StatePublisher, StateSubscriber};
pub use observers::{StateObservation, StateObserver};

use crate::error::SubscribeError;
use crate::message::{Message, Origin, Receipt, into_message};
use crate::subscription::Subscription;
use crate::sync::unmodelled::Arc;
use crate::topic::{SubscriptionBuilder, Topic, TopicPool};
use handles::Held;
use observers::Observers;
use std::fmt;
use std::ops::ControlFlow;
use table::{Role, State, Table};

/// The states below one topic, the *all-topic*: that of the id `7` below `mwi:all` is the topic `mwi:all/7`,
/// which everything on it goes from to `mwi:all`, and its last message, which is *retained* for who asks for
/// it or subscribes later.
///
/// A state lives while somebody refers to it: an explicit subscriber ([`StateSubscriber`]) or publisher
/// ([`StatePublisher`]), an implicit publisher (an [`Origin`] that has published by
/// [id](Self::publish_by_id) and not [taken leave](Self::remove_publish_by_id)), or a subscription that was
/// made here. When the last of these goes, the retained message goes, and nothing is left of the id. Ids are
/// case-sensitive, and may contain slashes.
///
/// A state whose topic was closed by hand makes way for a new one of its id; who has the old one keeps it,
/// with what is retained there, for nothing but that.
///
/// What is published through here is stored and offered as one step for each id: with any number of
/// publishers, the retained message is the one that subscriptions got last. To publish on a state's topic
/// itself is legal, and stores nothing.
///
/// A `StateTopics` is a handle; clones are the same. So are publishers and subscribers, in that they keep
/// the whole. Two that were made for one topic know nothing of each other: have one.
///
/// ```
/// use stasis_bus::{Bus, Message, Origin, StateTopics};
///
/// let bus = Bus::new()?;
/// let mailboxes = StateTopics::new(&bus.topic("mwi:all")?)?;
/// mailboxes.publish_by_id("1000@default", Origin::LOCAL, 3_u32)?;
/// assert_eq!(mailboxes.get("1000@default").unwrap().get::<u32>(), Some(&3));
///
/// let mut waiting = mailboxes.subscribe_with_retained("1000@default", |it| it.receiver())?;
/// assert_eq!(waiting.recv()?.get::<u32>(), Some(&3));
/// mailboxes.remove_publish_by_id("1000@default", Origin::LOCAL, Some(Message::new(0_u32)))?;
/// assert_eq!(waiting.recv()?.get::<u32>(), Some(&0));
/// drop(waiting);
/// assert!(mailboxes.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct StateTopics {
    shared: Arc<Shared>,
}

struct Shared {
    all: Topic,
    pool: TopicPool,
    states: Table,
    observers: Arc<Observers>,
}

impl StateTopics {
    /// The states below that topic, which this keeps.
    ///
    /// # Errors
    /// [`StateError::Pool`] if it is closed, or the bus shut down.
    pub fn new(all: &Topic) -> Result<Self, StateError> {
        Ok(Self {
            shared: Arc::new(Shared {
                all: all.clone(),
                pool: all.pool().map_err(StateError::Pool)?,
                states: Table::new(),
                observers: Arc::default(),
            }),
        })
    }

    /// The all-topic: what is published on any state goes there.
    #[must_use]
    pub fn all(&self) -> &Topic {
        &self.shared.all
    }

    /// An explicit publisher of a state, which is made if it does not live.
    ///
    /// # Errors
    /// [`StateError::Pool`] if the state's topic cannot be had: the id is empty or too long, the all-topic
    /// is closed, the bus is shut down.
    pub fn publisher(&self, id: &str) -> Result<StatePublisher, StateError> {
        self.hold(id, Role::Publisher).map(StatePublisher::new)
    }

    /// An explicit subscriber of a state, which is made if it does not live. It has no subscription yet:
    /// observers are told that somebody is interested, and whoever publishes may wait for that.
    ///
    /// # Errors
    /// As [`Self::publisher`].
    pub fn subscriber(&self, id: &str) -> Result<StateSubscriber, StateError> {
        let held = self.hold(id, Role::Subscriber)?;
        self.shared.observers.tell(|it| it.on_subscribe(id));
        Ok(StateSubscriber::new(held))
    }

    /// A subscription of a state, to be built by `build`; it is an explicit subscriber for as long as it
    /// lives. It gets what is published from then on. A filter that `build` sets runs on delivery, as after
    /// [`filter_on_delivery`](SubscriptionBuilder::filter_on_delivery).
    ///
    /// # Errors
    /// As [`Self::subscriber`], and [`StateError::Subscribe`] with what `build` gave.
    pub fn subscribe<S>(
        &self,
        id: &str,
        build: impl FnOnce(SubscriptionBuilder) -> Result<S, SubscribeError>,
    ) -> Result<S, StateError> {
        self.subscriber(id)?.subscribe(build)
    }

    /// As [`Self::subscribe`], and the retained message, if there is one, comes first: exactly once, and
    /// after it everything that was published after it, without a hole or a duplicate. (Its statistics count
    /// what came before that as filtered.)
    ///
    /// # Errors
    /// As [`Self::subscribe`].
    pub fn subscribe_with_retained<S: AsRef<Subscription>>(
        &self,
        id: &str,
        build: impl FnOnce(SubscriptionBuilder) -> Result<S, SubscribeError>,
    ) -> Result<S, StateError> {
        self.subscriber(id)?.subscribe_with_retained(build)
    }

    /// Stores a message as the retained one of a state, and publishes it there. `origin` is a publisher of
    /// the state from then on, until [`Self::remove_publish_by_id`]; the state is made if it does not live.
    ///
    /// # Errors
    /// As [`Self::publisher`], and [`StateError::Publish`]: unless that is
    /// [`PublishError::Full`](crate::PublishError::Full), nothing was stored, and `origin` is no publisher
    /// by it.
    pub fn publish_by_id<T: Send + Sync + 'static>(
        &self,
        id: &str,
        origin: Origin,
        payload: T,
    ) -> Result<Receipt, StateError> {
        // Holds the state meanwhile, whoever else takes leave.
        let held = self.hold(id, Role::Publisher)?;
        let enter = || {
            self.shared.states.add_origin(&held.state, origin);
            true
        };
        let published = held.state.publish(into_message(payload), enter);
        let receipt = published.map_err(StateError::Publish)?;
        Ok(receipt.unwrap_or_default())
    }

    /// Takes leave of a state in the name of an implicit publisher, after a last message, if one is given:
    /// it is stored and published like the others. False, and nothing happens, if `origin` is none of the
    /// state's publishers. If several take leave for it at once, one of them does, and the others get false.
    ///
    /// # Errors
    /// [`StateError::Publish`] if the last message was refused. The publisher is removed all the same.
    pub fn remove_publish_by_id(
        &self,
        id: &str,
        origin: Origin,
        last: Option<Message>,
    ) -> Result<bool, StateError> {
        let Some(state) = self.shared.states.enter_if_origin(id, origin) else {
            return Ok(false);
        };
        let held = Held::new(&self.shared, state, Role::Publisher);
        let leave = || self.shared.states.remove_origin(&held.state, origin);
        let Some(last) = last else {
            return Ok(leave());
        };
        let mut has_left = false;
        let published = held.state.publish(last, || {
            has_left = leave();
            has_left
        });
        match published {
            Ok(published) => Ok(published.is_some()),
            // Where nothing was stored, it has not left yet.
            Err(error) if has_left || leave() => Err(StateError::Publish(error)),
            Err(_) => Ok(false),
        }
    }

    /// The retained message of a state. Looking the state up takes a short lock; who has a handle of it
    /// reads without one.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Message> {
        self.shared.states.get(id)?.retained.get()
    }

    /// True if there is a state of that id. May be old news.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.shared.states.get(id).is_some()
    }

    /// How many states there are. May be old news.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.states.len()
    }

    /// True if there are no states. May be old news.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `f` with the id and the retained message of each state, in the order of the ids, until it
    /// breaks. These are the states as of the call's beginning, each with its message as of its turn. No
    /// lock is held: `f` may do anything, and publish.
    pub fn for_each(&self, f: impl FnMut(&str, Option<&Message>) -> ControlFlow<()>) {
        visit(self.shared.states.all(), f);
    }

    /// As [`Self::for_each`], of those states that have an explicit subscriber.
    pub fn for_each_subscribed(&self, f: impl FnMut(&str, Option<&Message>) -> ControlFlow<()>) {
        visit(self.shared.states.subscribed(), f);
    }

    /// Has an observer told of explicit subscribers that come and go, until what this returns is dropped.
    pub fn observe(&self, observer: impl StateObserver + 'static) -> StateObservation {
        Observers::add(&self.shared.observers, Arc::new(observer))
    }

    fn hold(&self, id: &str, role: Role) -> Result<Held, StateError> {
        let topic = || self.shared.pool.topic(id).map_err(StateError::Pool);
        let state = self.shared.states.enter(id, role, topic)?;
        Ok(Held::new(&self.shared, state, role))
    }
}

fn visit(
    mut states: Vec<Arc<State>>,
    mut f: impl FnMut(&str, Option<&Message>) -> ControlFlow<()>,
) {
    states.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    for state in states {
        let retained = state.retained.get();
        if f(&state.id, retained.as_ref()).is_break() {
            return;
        }
    }
}

impl fmt::Debug for StateTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateTopics")
            .field("all", &self.shared.all.name())
            .field("len", &self.len())
            .finish()
    }
}
