//! Publishing in steps, for who has to change something of their own and publish it as one step, under a
//! short lock: a cache stores a message and announces it in the order of its stores. What runs code of
//! the user's comes before the lock and after it; the offers between need none of it, and wait for
//! nobody.

use super::aftermath::Aftermath;
use super::node::Alive;
use super::prepare::{Asked, Prepared};
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
    /// The numbers of those whose code was run, whatever it said.
    asked: Asked,
    receipt: Receipt,
}

impl Staged {
    pub(super) fn new(alive: &Arc<Alive>, message: Message) -> Result<Self, PublishError> {
        let message = publish::admit(alive, message)?;
        let mut receipt = Receipt::default();
        let (prepared, asked) = publish::prepare_ahead(&alive.node, &message, &mut receipt);
        Ok(Self {
            alive: Arc::clone(alive),
            message,
            prepared,
            asked,
            receipt,
        })
    }

    /// True if nobody has come since it was staged whose filter or key function would have to be run:
    /// such a one is offered nothing. Ask under the lock under which you offer, if others look at what
    /// the lock guards when they subscribe; and stage again, without the lock, if it is false.
    #[must_use]
    pub fn is_current(&self) -> bool {
        publish::were_all_asked(&self.alive.node, &self.asked)
    }

    /// Offers the message to everybody. Runs no code of the user's, and waits for nobody, so it is legal
    /// under a lock that others who publish in the same way take too: all subscriptions get their
    /// messages in one order then. A mailbox that blocks its publishers takes the message past its
    /// capacity, which is counted (R1b).
    pub fn offer(self) -> Offered {
        let mut offered = Offered::default();
        self.offer_into(&mut offered);
        offered
    }

    /// The same, gathered with what was offered before: it is settled together.
    pub fn offer_into(self, offered: &mut Offered) {
        let Self {
            alive,
            message,
            prepared,
            receipt,
            ..
        } = self;
        offered.receipt += receipt;
        offered.add(&alive, message, prepared);
    }
}

/// A place to offer from at once: see [`Topic::try_stage`](crate::Topic::try_stage). Who subscribes with
/// a closure filter or a key function after it was made is offered nothing from it, so make it anew each
/// time, under the lock under which the message is offered.
#[derive(Debug)]
#[must_use = "a stage is there to offer from"]
pub struct Stage<'a> {
    alive: &'a Arc<Alive>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(alive: &'a Arc<Alive>) -> Option<Self> {
        publish::were_all_asked(&alive.node, &[]).then_some(Self { alive })
    }

    /// Offers a message as [`Staged::offer`] does.
    ///
    /// # Errors
    /// As [`Topic::stage`](crate::Topic::stage). The message is handed back: drop it where its payload
    /// may be dropped.
    pub fn offer<T: Send + Sync + 'static>(&self, payload: T) -> Result<Offered, PublishError> {
        let mut offered = Offered::default();
        self.offer_into(payload, &mut offered)?;
        Ok(offered)
    }

    /// The same, gathered with what was offered before: it is settled together.
    ///
    /// # Errors
    /// As there.
    pub fn offer_into<T: Send + Sync + 'static>(
        &self,
        payload: T,
        offered: &mut Offered,
    ) -> Result<(), PublishError> {
        let message = publish::admit(self.alive, into_message(payload))?;
        offered.add(self.alive, message, Prepared::new());
        Ok(())
    }
}

/// Messages that were offered: see [`Staged::offer`]. What follows from that is done by
/// [`Offered::settle`], or when this is dropped. Until then hardly anybody is woken (the pool, when there
/// is much to do for it), so do not wait for those who were offered something while you hold it.
#[must_use = "those who were offered something are woken by `settle`"]
#[derive(Default)]
pub struct Offered {
    after: Aftermath,
    receipt: Receipt,
    /// The topic of the last one. Kept until it is settled: to let go of it may end a bus.
    last: Option<Arc<Alive>>,
}

impl Offered {
    fn add(&mut self, alive: &Arc<Alive>, message: Message, prepared: Prepared) {
        let Self {
            after,
            receipt,
            last,
        } = self;
        if last.as_ref().is_some_and(|last| !last.core.same_bus(alive)) {
            // What is handed to a pool at once is for one pool.
            after.leave_pool();
        }
        *last = Some(Arc::clone(alive));
        publish::offer_staged(&alive.node, message, prepared, receipt, after);
    }

    /// Wakes those who were offered the message, runs taps and inline subscriptions, closes who is to be
    /// evicted, drops what was shed. Hold no lock here.
    ///
    /// # Errors
    /// [`PublishError::Full`] from a mailbox that fails when full.
    pub fn settle(mut self) -> Result<Receipt, PublishError> {
        self.after.settle(&mut self.receipt);
        let receipt = self.receipt;
        self.after.outcome(receipt)
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        self.after.settle(&mut self.receipt);
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
            .field("receipt", &self.receipt)
            .finish_non_exhaustive()
    }
}
