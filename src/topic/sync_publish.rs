//! Publishing, and waiting until one given subscription has handled the message.

use super::aftermath::Aftermath;
use super::forward::reach;
use super::node::{Alive, Node};
use super::publish::{self, Special};
use crate::epoch;
use crate::error::WaitError;
use crate::message::Message;
use crate::subscription::parcel::Envelope;
use crate::subscription::state::Subscriber;
use crate::subscription::waiting::Completion;
use crate::subscription::{Handled, Subscription, scope};
use crate::sync::unmodelled::Arc;
use std::time::Instant;

/// See [`Topic::publish_sync`](super::Topic::publish_sync).
pub(super) fn publish_sync(
    alive: &Alive,
    subscription: &Subscription,
    message: Message,
    deadline: Option<Instant>,
) -> Result<Handled, WaitError> {
    scope::may_wait()?;
    let message = publish::admit(alive, message).map_err(|_| WaitError::Closed)?;
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
    drop(after.take_failed());
    if let Special::Mark(_, Some(envelope)) = special {
        // It was not offered: its subscriber did not want it, or is not in reach.
        envelope.complete(why_not(&alive.node, subscriber));
    }
    completion.wait(deadline)
}

fn why_not(node: &Node, subscriber: &Arc<Subscriber>) -> Handled {
    if subscriber.mailbox.is_closed() {
        return Handled::Closed;
    }
    let guard = epoch::pin();
    let in_reach = reach(node, &guard).any(|node| node.is_listed(subscriber));
    if in_reach {
        Handled::Filtered
    } else {
        Handled::NotSubscribed
    }
}
