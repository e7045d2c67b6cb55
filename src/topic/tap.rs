//! Taps: code that is run with every message of a topic before its publish returns. A subscription is told
//! later, and one message after the other; a tap is how something that must be true when publish returns
//! (a cache has the message) comes to be true.

use super::aftermath::Tapped;
use super::core::HandlerPanic;
use super::node::Alive;
use crate::error::SubscribeError;
use crate::message::Message;
use crate::subscription::scope;
use crate::sync::unmodelled::{Arc, Weak};
use crate::sync::{catch, contain};
use std::fmt;

type TapFn = Box<dyn Fn(&Message) + Send + Sync>;

/// What publishers run. Lists refer to it weakly: what the epoch frees owns no closure (R1).
pub(super) struct TapInner {
    call: TapFn,
    home: Weak<Alive>,
}

/// The handle of a tap: see [`Topic::tap`](crate::Topic::tap). Dropping it, or [`Tap::cancel`], removes the
/// tap: no publish that begins after that runs it. It keeps the topic alive.
#[must_use = "dropping a tap removes it"]
pub struct Tap {
    alive: Arc<Alive>,
    inner: Arc<TapInner>,
}

impl Tap {
    pub(super) fn new(
        alive: &Arc<Alive>,
        call: impl Fn(&Message) + Send + Sync + 'static,
    ) -> Result<Self, SubscribeError> {
        let inner = Arc::new(TapInner {
            call: Box::new(call),
            home: Arc::downgrade(alive),
        });
        if alive.core.is_shut_down() {
            return Err(SubscribeError::ShutDown);
        }
        if !alive.node.add_tap(Arc::downgrade(&inner)) {
            return Err(SubscribeError::TopicClosed);
        }
        Ok(Self {
            alive: Arc::clone(alive),
            inner,
        })
    }

    /// Removes it. Does not wait for runs that have begun.
    pub fn cancel(self) {}

    /// The name of the topic.
    #[must_use]
    pub fn topic_name(&self) -> &str {
        &self.alive.node.name
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.alive.node.remove_tap(&self.inner);
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap")
            .field("topic", &self.topic_name())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TapInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TapInner")
    }
}

/// Runs taps. Nothing is pinned or locked here; a panic goes no further than the bus's hook (R2).
#[cold]
pub(super) fn run(tapped: Tapped) {
    for (inner, message) in tapped {
        let scope = scope::enter();
        if let Err(panic) = catch(|| (inner.call)(&message)) {
            let home = inner.home.upgrade();
            if let Some((home, hook)) = home
                .as_ref()
                .and_then(|home| Some((home, home.core.config.on_panic.as_ref()?)))
            {
                let report = HandlerPanic {
                    topic: &home.node.name,
                    subscription: "tap",
                    message_type: message.type_name(),
                    panic: crate::sync::panic_text(&*panic),
                };
                contain(|| hook(&report));
            }
            contain(|| drop(panic));
        }
        contain(|| drop((inner, message)));
        drop(scope);
    }
}
