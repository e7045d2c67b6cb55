//! Waiting until a handler that was removed is gone.

use super::routes::Routes;
use super::table::Clearing;
use crate::error::WaitError;
use crate::subscription::waiting::Completion;
use crate::subscription::{Subscription, scope};
use crate::sync::unmodelled::Arc;
use std::fmt;
use std::time::{Duration, Instant};

/// A route that was removed. Its handler runs for what was accepted before, and is dropped after that. One
/// may wait for it, or let it go.
#[derive(Clone)]
pub struct Removed {
    done: Arc<Completion<Clearing>>,
    routes: Routes,
}

impl Removed {
    pub(super) fn new(done: Arc<Completion<Clearing>>, routes: Routes) -> Self {
        Self { done, routes }
    }

    /// Waits until the removed handler cannot run any more and has been dropped, with all that it captured.
    ///
    /// Where a receiver's owner dispatches, it is them who is waited for; if they have dropped the change
    /// without dispatching it, the end of the subscription is.
    ///
    /// # Errors
    /// [`WaitError::WouldDeadlock`] inside any handler (R1b), unless that has come to pass already.
    pub fn wait(&self) -> Result<(), WaitError> {
        self.wait_until(None)
    }

    /// As [`Removed::wait`], for at most `timeout`.
    ///
    /// # Errors
    /// As there, and [`WaitError::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    /// True: the handler is gone. False may be old news.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self.done.get() {
            None => false,
            Some(Clearing::Cleared) => true,
            Some(Clearing::Ends) => self.routes.subscription().is_none_or(Subscription::is_done),
        }
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<(), WaitError> {
        if self.is_done() {
            return Ok(());
        }
        scope::may_wait()?;
        match (self.done.wait(deadline)?, self.routes.subscription()) {
            (Clearing::Ends, Some(subscription)) => {
                subscription.join_until(deadline)?;
            }
            (Clearing::Cleared | Clearing::Ends, _) => {}
        }
        Ok(())
    }
}

impl fmt::Debug for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Removed")
            .field("is_done", &self.is_done())
            .finish_non_exhaustive()
    }
}
