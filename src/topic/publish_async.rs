//! Publishing for tasks: where a mailbox blocks its publishers, the task waits for room, not its thread.

use super::aftermath::{Aftermath, Tapped};
use super::blocked::Blocked;
use super::node::Alive;
use super::publish::{self, Special};
use super::publish_error::PublishError;
use super::tap;
use crate::message::{Message, Receipt};
use crate::subscription::scope;
use crate::subscription::waiting::{Waiter, WaiterSlot};
use crate::sync::unmodelled::Arc;
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
    blocked: Blocked,
    /// Run once nobody is waited for, or the wait is given up.
    tapped: Tapped,
    /// The task that waits for room, in whatever mailboxes.
    task: Arc<WaiterSlot>,
}

impl PublishFuture {
    pub(super) fn new(alive: Arc<Alive>, message: Message) -> Self {
        Self {
            alive,
            message: Some(message),
            receipt: Receipt::default(),
            failed: None,
            blocked: Blocked::default(),
            tapped: Tapped::new(),
            task: Arc::new(WaiterSlot::new()),
        }
    }

    /// Offers the message to everybody; those without room remain.
    fn offer(&mut self, message: Message) {
        let mut after = Aftermath::default();
        let mut receipt = publish::publish(&self.alive, message, &mut Special::Nobody, &mut after);
        self.blocked = after.take_blocked();
        if !self.blocked.is_empty() {
            self.tapped = after.take_tapped();
        }
        after.settle(&mut receipt);
        self.failed = after.take_failed();
        self.receipt = receipt;
    }
}

impl Future for PublishFuture {
    type Output = Result<Receipt, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(message) = this.message.take() {
            match publish::admit(&this.alive, message) {
                Ok(message) => this.offer(message),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if !this.blocked.is_empty() {
            this.task.set(Waiter::Task(cx.waker().clone()));
            let waiter = Waiter::Slot(Arc::clone(&this.task));
            if !this.blocked.poll(&waiter, &mut this.receipt) {
                return Poll::Pending;
            }
            this.task.clear();
            tap::run(std::mem::take(&mut this.tapped));
            scope::run_pending();
        }
        let receipt = this.receipt;
        Poll::Ready(match (this.blocked.take_shut_down(), this.failed.take()) {
            (Some(message), _) => Err(PublishError::ShutDown(message)),
            (None, Some(message)) => Err(PublishError::Full { message, receipt }),
            (None, None) => Ok(receipt),
        })
    }
}

/// The wait is given up: what was blocked is shed, and taps have their turn, for the others were offered the
/// message.
impl Drop for PublishFuture {
    fn drop(&mut self) {
        drop(std::mem::take(&mut self.blocked));
        if !self.tapped.is_empty() {
            tap::run(std::mem::take(&mut self.tapped));
            scope::run_pending();
        }
    }
}

impl fmt::Debug for PublishFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishFuture")
            .field("topic", &self.alive.node.name)
            .field("waiting", &self.blocked.len())
            .finish_non_exhaustive()
    }
}
