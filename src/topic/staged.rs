//! Publishing in steps, for who has to change something of their own and publish it as one step, under a
//! short lock: a cache stores a message and announces it in the order of its stores. What runs code of the
//! user's comes before the lock and after it; the offers between need none of it, and wait for nobody.

use super::aftermath::Aftermath;
use super::node::Alive;
use super::prepare::Prepared;
use super::publish;
use super::publish_error::PublishError;
use crate::message::{Message, Receipt, into_message};
use crate::sync::unmodelled::Arc;
use std::fmt;

/// A message that is about to be published: see [`Topic::stage`](crate::Topic::stage). Filters and key
/// functions of those who subscribed have been run. Dropping it publishes nothing.
#[must_use = "nothing is published before `offer`"]
pub struct Staged {
    alive: Arc<Alive>,
    message: Message,
    prepared: Prepared,
    receipt: Receipt,
}

impl Staged {
    pub(super) fn new(alive: &Arc<Alive>, message: Message) -> Result<Self, PublishError> {
        let message = publish::admit(alive, message)?;
        let mut receipt = Receipt::default();
        let prepared = publish::prepare_ahead(&alive.node, &message, &mut receipt);
        Ok(Self {
            alive: Arc::clone(alive),
            message,
            prepared,
            receipt,
        })
    }

    /// Offers the message to everybody. Runs no code of the user's, and waits for nobody, so it is legal
    /// under a lock that others who publish in the same way take too: all subscriptions get their messages
    /// in one order then. A mailbox that blocks its publishers takes the message past its capacity, which is
    /// counted (R1b).
    pub fn offer(self) -> Offered {
        let Self {
            alive,
            message,
            prepared,
            receipt,
        } = self;
        offer(alive, message, prepared, receipt)
    }
}

/// A place to offer from at once: see [`Topic::try_stage`](crate::Topic::try_stage). Who subscribes with a
/// closure filter or a key function after it was made is offered nothing from it, so make it anew each time,
/// under the lock under which the message is offered.
#[derive(Debug)]
#[must_use = "a stage is there to offer from"]
pub struct Stage<'a> {
    alive: &'a Arc<Alive>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(alive: &'a Arc<Alive>) -> Option<Self> {
        publish::is_plain(&alive.node).then_some(Self { alive })
    }

    /// Offers a message as [`Staged::offer`] does.
    ///
    /// # Errors
    /// As [`Topic::stage`](crate::Topic::stage). The message is handed back: drop it where its payload may be
    /// dropped.
    pub fn offer<T: Send + Sync + 'static>(&self, payload: T) -> Result<Offered, PublishError> {
        let message = publish::admit(self.alive, into_message(payload))?;
        Ok(offer(
            Arc::clone(self.alive),
            message,
            Prepared::new(),
            Receipt::default(),
        ))
    }
}

fn offer(alive: Arc<Alive>, message: Message, prepared: Prepared, mut receipt: Receipt) -> Offered {
    let mut after = Aftermath::default();
    publish::offer_staged(&alive.node, message, prepared, &mut receipt, &mut after);
    Offered {
        alive,
        after,
        receipt,
        settled: false,
    }
}

/// A message that was offered: see [`Staged::offer`]. What follows from that is done by [`Offered::settle`],
/// or when this is dropped: nobody is woken before.
#[must_use = "nobody is woken before `settle`"]
pub struct Offered {
    alive: Arc<Alive>,
    after: Aftermath,
    receipt: Receipt,
    settled: bool,
}

impl Offered {
    /// Wakes those who were offered the message, runs taps and inline subscriptions, closes who is to be
    /// evicted, drops what was shed. Hold no lock here.
    ///
    /// # Errors
    /// [`PublishError::Full`] from a mailbox that fails when full.
    pub fn settle(mut self) -> Result<Receipt, PublishError> {
        self.settled = true;
        self.after.settle(&mut self.receipt);
        self.after.outcome(self.receipt)
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        if !self.settled {
            self.after.settle(&mut self.receipt);
        }
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged")
            .field("topic", &self.alive.node.name)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offered")
            .field("topic", &self.alive.node.name)
            .field("receipt", &self.receipt)
            .finish_non_exhaustive()
    }
}
