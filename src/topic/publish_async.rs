//! Publishing for tasks: where a mailbox blocks its publishers, the task waits for room, not its thread.

use super::aftermath::Aftermath;
use super::node::Alive;
use super::publish::{self, Special};
use super::publish_error::PublishError;
use crate::epoch;
use crate::message::{Message, Receipt};
use crate::subscription::mailbox::Refusal;
use crate::subscription::parcel::Parcel;
use crate::subscription::scope;
use crate::subscription::state::{Duty, Offered, Subscriber};
use crate::subscription::waiting::Waiter;
use crate::sync::unmodelled::Arc;
use smallvec::SmallVec;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future of [`Topic::publish_async`](super::Topic::publish_async).
#[must_use = "futures do nothing unless polled"]
pub struct PublishFuture {
    alive: Arc<Alive>,
    /// There until it was offered.
    message: Option<Message>,
    receipt: Receipt,
    /// What a mailbox that fails when full did not take.
    failed: Option<Message>,
    waiting: SmallVec<[(Arc<Subscriber>, Parcel); 1]>,
}

impl PublishFuture {
    pub(super) fn new(alive: Arc<Alive>, message: Message) -> Self {
        Self {
            alive,
            message: Some(message),
            receipt: Receipt::default(),
            failed: None,
            waiting: SmallVec::new(),
        }
    }

    /// Offers the message to everybody; those without room remain.
    fn offer(&mut self, message: Message) {
        let mut after = Aftermath::default();
        let mut receipt = publish::publish(&self.alive, message, &mut Special::Nobody, &mut after);
        self.waiting = after.take_waiting();
        after.settle(&mut receipt);
        self.failed = after.take_failed();
        self.receipt = receipt;
    }

    /// Offers again to those who had no room. True once nobody is left.
    fn offer_again(&mut self, cx: &Context<'_>) -> bool {
        for (subscriber, parcel) in std::mem::take(&mut self.waiting) {
            if let Some((_, room)) = subscriber.mailbox.blocking() {
                room.register(Waiter::Task(cx.waker().clone()));
            }
            match subscriber.offer(parcel, None, &mut None, &epoch::pin()) {
                Offered::Queued(duty) => {
                    self.receipt.offered += 1;
                    duty.into_iter().for_each(Duty::submit);
                }
                Offered::Refused(Refusal::Wait, parcel) => self.waiting.push((subscriber, parcel)),
                Offered::Refused(_, parcel) => {
                    self.receipt.closed += 1;
                    scope::drop_in_scope(parcel);
                }
            }
        }
        scope::run_pending();
        self.waiting.is_empty()
    }
}

impl Future for PublishFuture {
    type Output = Result<Receipt, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(message) = self.message.take() {
            match publish::admit(&self.alive, message) {
                Ok(message) => self.offer(message),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if !self.offer_again(cx) {
            return Poll::Pending;
        }
        let receipt = self.receipt;
        Poll::Ready(match self.failed.take() {
            None => Ok(receipt),
            Some(message) => Err(PublishError::Full { message, receipt }),
        })
    }
}

impl Drop for PublishFuture {
    fn drop(&mut self) {
        for (subscriber, parcel) in std::mem::take(&mut self.waiting) {
            scope::drop_in_scope(subscriber.mailbox.shed_newest(parcel));
            subscriber.notify().into_iter().for_each(Duty::submit);
        }
        scope::run_pending();
    }
}

impl fmt::Debug for PublishFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishFuture")
            .field("topic", &self.alive.node.name)
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
