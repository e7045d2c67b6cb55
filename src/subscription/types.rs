//! Changing what message types a subscription accepts while it runs.

use super::Subscription;
use super::filter::Change;
use crate::error::AcceptError;
use crate::message::{MessageType, TypeInfo};

/// What it accepts, for subscriptions that were built [changeable].
///
/// A change is one step for whoever publishes at the same time: each message is offered once or not at all.
/// All of these are legal anywhere, in the subscription's own handler too, and wait for no handler.
///
/// ```
/// use stasis_bus::{Bus, Message, MessageType};
///
/// static RINGING: MessageType<u32> = MessageType::new("ringing");
///
/// let bus = Bus::new()?;
/// let calls = bus.topic("calls")?;
/// let mut receiver = calls.subscribe().changeable().receiver()?;
/// assert_eq!(calls.publish(RINGING.message(1))?.offered(), 0);
/// receiver.subscription().accept(&RINGING)?;
/// assert_eq!(calls.publish(RINGING.message(2))?.offered(), 1);
/// receiver.subscription().decline(&RINGING)?;
/// assert_eq!(calls.publish(RINGING.message(3))?.offered(), 0);
/// assert_eq!(receiver.try_iter().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [changeable]: crate::SubscriptionBuilder::changeable
impl Subscription {
    /// Accepts messages of that type as well. A publish that begins after this has returned is offered.
    /// Nothing changes if it accepts them already.
    ///
    /// # Errors
    /// [`AcceptError`] if it is not changeable, has ended, or the bus declines the type.
    pub fn accept<T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
    ) -> Result<(), AcceptError> {
        self.change_types(Change::Accept(message_type.info()))
    }

    /// Accepts no messages of that type any more. Once this has returned none comes into the mailbox, not
    /// even from a publish that had begun before; those that are in it are delivered. Nothing changes if it
    /// does not accept them.
    ///
    /// Waits for publishers that are in the middle of their offers, which is a matter of microseconds, but
    /// not for those who wait for room: they give up.
    ///
    /// # Errors
    /// [`AcceptError`] if it is not changeable, has ended, or accepts every type.
    pub fn decline<T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
    ) -> Result<(), AcceptError> {
        self.change_types(Change::Decline(message_type.info()))
    }

    /// Accepts messages of every type but the bus's own. A publish that begins after this has returned is
    /// offered.
    ///
    /// # Errors
    /// [`AcceptError`] if it is not changeable or has ended.
    pub fn accept_all(&self) -> Result<(), AcceptError> {
        self.change_types(Change::All)
    }

    /// Accepts messages of these types and of no others, and of none if there are none, in one step. For
    /// those that it accepted and does not any more it does what [`Subscription::decline`] does.
    ///
    /// # Errors
    /// [`AcceptError`] if it is not changeable, has ended, or the bus declines one of the types.
    pub fn accept_only(
        &self,
        types: impl IntoIterator<Item = &'static TypeInfo>,
    ) -> Result<(), AcceptError> {
        let types = {
            let _scope = super::scope::enter();
            types.into_iter().collect()
        };
        self.change_types(Change::Only(types))
    }

    fn change_types(&self, change: Change) -> Result<(), AcceptError> {
        self.home().change_types(&self.subscriber, change)
    }
}
