//! Publishing, and waiting until one given subscription has handled the message.

use super::aftermath::Aftermath;
use super::forward::reach;
use super::node::{Alive, Node};
use super::publish::{self, Special};
use super::publish_error::PublishError;
use crate::epoch;
use crate::error::WouldDeadlock;
use crate::message::Message;
use crate::subscription::parcel::Envelope;
use crate::subscription::state::Subscriber;
use crate::subscription::waiting::Completion;
use crate::subscription::{Handled, Subscription, scope};
use crate::sync::unmodelled::Arc;
use std::error::Error;
use std::fmt;
use std::time::Instant;

/// Why a publish was not waited for to the end.
#[derive(Debug)]
#[non_exhaustive]
pub enum SyncError {
    /// The call was made inside a handler, or on a worker, where to wait could be to wait for oneself (R1b).
    /// Nothing was published.
    WouldDeadlock(Message),
    /// Publish was refused.
    Refused(PublishError),
    /// The time ran out. The message was published, and will be handled.
    TimedOut,
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldDeadlock(_) => WouldDeadlock.fmt(f),
            Self::Refused(error) => error.fmt(f),
            Self::TimedOut => f.write_str("the time ran out"),
        }
    }
}

impl Error for SyncError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::WouldDeadlock(_) | Self::TimedOut => None,
        }
    }
}

/// See [`Topic::publish_sync`](super::Topic::publish_sync).
pub(super) fn publish_sync(
    alive: &Alive,
    subscription: &Subscription,
    message: Message,
    deadline: Option<Instant>,
) -> Result<Handled, SyncError> {
    if scope::may_wait().is_err() {
        return Err(SyncError::WouldDeadlock(message));
    }
    let message = publish::admit(alive, message).map_err(SyncError::Refused)?;
    let subscriber = subscription.subscriber();
    let completion = Arc::new(Completion::new());
    let envelope = Box::new(Envelope::new(
        Some(message.clone()),
        Arc::clone(&completion),
    ));
    let mut special = Special::Mark(subscriber, Some(envelope));
    let mut after = Aftermath::default();
    let mut receipt = publish::publish(alive, message, &mut special, &mut after);
    after.settle(&mut receipt);
    drop(after.outcome(receipt));
    if let Special::Mark(_, Some(envelope)) = special {
        // It was not offered: its subscriber did not want it, or is not in reach.
        envelope.complete(why_not(&alive.node, subscriber));
    }
    completion.wait(deadline).map_err(|_| SyncError::TimedOut)
}

fn why_not(node: &Node, subscriber: &Arc<Subscriber>) -> Handled {
    if subscriber.mailbox.is_closed() {
        return Handled::Closed;
    }
    let guard = epoch::pin();
    let in_reach = reach(node, &guard)
        .iter()
        .any(|node| node.is_listed(subscriber));
    if in_reach {
        Handled::Filtered
    } else {
        Handled::NotSubscribed
    }
}
