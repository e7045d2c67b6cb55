//! Routers: one subscription, and for each message type a handler of its own. See [`Router`].
//!
//! A router is an ordinary handler on an ordinary subscription, whose types change while it runs. Which
//! handler gets what stands in a table that belongs to the handler ([`table`]): nobody else looks at it, and
//! it is changed by messages that the subscription gets in their order with all others. So to find a
//! message's handler takes neither a lock nor an atomic operation, and a change of routes has its place in
//! the order of messages. What can be changed, and by whom, is the business of [`Routes`].

mod builder;
mod error;
mod removed;
mod routes;
mod table;

pub use builder::RouterBuilder;
pub use error::RouterError;
pub use removed::Removed;
pub use routes::Routes;
pub use table::Dispatcher;

use crate::subscription::Subscription;
use std::fmt;
use std::ops::Deref;

/// A subscription with a handler for each message type.
///
/// Each message goes to exactly one handler: that of its type, else the default, if there is one. The router
/// accepts what it has handlers for and nothing else: other messages do not come into its mailbox. Routes can
/// be added and removed while it runs, by anybody and in its own handlers: see [`Routes`], which a router
/// dereferences to.
///
/// The handlers of one router run one at a time and in the order of the messages, as one handler would (D2,
/// D3): it is one subscription, of any delivery kind. Dropping the router unsubscribes.
///
/// ```
/// use stasis_bus::{Bus, Message, MessageType, Router};
///
/// static RINGING: MessageType<u32> = MessageType::new("ringing");
/// static HANGUP: MessageType<u32> = MessageType::new("hangup");
/// static DTMF: MessageType<char> = MessageType::new("dtmf");
///
/// let bus = Bus::new()?;
/// let calls = bus.topic("calls")?;
/// let router = Router::builder()
///     .on(&RINGING, |call: &u32| println!("call {call} is ringing"))
///     .on_message(&HANGUP, |message: &Message| println!("the end of it, at {:?}", message.timestamp()))
///     .subscribe(calls.subscribe())?;
/// assert_eq!(calls.publish(RINGING.message(7))?.offered(), 1);
/// assert_eq!(calls.publish(DTMF.message('5'))?.offered(), 0);
///
/// router.add(&DTMF, |digit: &char| println!("somebody pressed {digit}"))?;
/// assert_eq!(calls.publish(DTMF.message('5'))?.offered(), 1);
/// router.remove(&DTMF)?.wait()?;
/// assert_eq!(calls.publish(DTMF.message('5'))?.offered(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a router unsubscribes"]
pub struct Router {
    subscription: Subscription,
    routes: Routes,
}

impl Router {
    /// A router in the making.
    pub fn builder() -> RouterBuilder {
        RouterBuilder::new()
    }

    /// The subscription: its name, its figures, flushing, unsubscribing, waiting for its end, and what
    /// `publish_sync` wants. A change of routes is a message of its own to it, and counts as one.
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// A handle for changing its routes that does not keep it subscribed.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Gives the router up, and keeps its subscription until the topic is closed or the bus shuts down. Its
    /// [`Routes`] can be changed still.
    pub fn detach(self) {
        self.subscription.detach();
    }
}

impl Deref for Router {
    type Target = Routes;

    fn deref(&self) -> &Routes {
        &self.routes
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("subscription", &self.subscription)
            .finish_non_exhaustive()
    }
}
