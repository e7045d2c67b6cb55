//! Sending: one message for one subscription, whatever its filters and limits say.

use super::parcel::{Envelope, Parcel};
use super::scope;
use super::state::{Duty, Offered, Subscriber};
use crate::epoch;
use crate::message::Message;
use crate::sync::unmodelled::Weak;
use std::error::Error;
use std::fmt;

/// Why a message was not sent. It is handed back.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The subscription has closed.
    Closed(Message),
    /// Only the bus itself publishes messages of this type.
    ControlType(Message),
}

impl SendError {
    /// The message that was not sent.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Closed(message) | Self::ControlType(message) => message,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("the subscription has closed"),
            Self::ControlType(message) => {
                write!(
                    f,
                    "only the bus publishes messages of type `{}`",
                    message.type_name()
                )
            }
        }
    }
}

impl Error for SendError {}

/// A message that was put into a mailbox, and that nobody was told of yet: see
/// [`Subscription::offer`](super::Subscription::offer). Dropping this does what [`Sent::settle`] does.
#[must_use = "the subscription is not woken before `settle`"]
pub struct Sent {
    duty: Option<Duty>,
}

impl Sent {
    /// Has the subscription run. Hold no lock here: if it is inline, its handler runs here.
    pub fn settle(self) {}
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.duty.take().into_iter().for_each(Duty::submit);
        scope::run_pending();
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}

/// A way to send to a subscription that does not keep it: for what its own handler keeps.
#[derive(Debug, Clone)]
pub(crate) struct Sender(pub(super) Weak<Subscriber>);

impl Sender {
    /// As [`Subscription::send`](super::Subscription::send). Nothing happens if it has closed, or has gone.
    pub(crate) fn send(&self, message: Message) {
        if let Some(subscriber) = self.0.upgrade() {
            drop(offer(&subscriber, message));
        }
    }
}

pub(super) fn offer(subscriber: &Subscriber, message: Message) -> Result<Sent, SendError> {
    if message.info().is_control() {
        return Err(SendError::ControlType(message));
    }
    // A filter that runs on delivery has to be told that it is not asked.
    let parcel = if subscriber.filters_itself {
        Parcel::Marked(Box::new(Envelope::unfiltered(message)))
    } else {
        Parcel::Message(message.into_one_delivery())
    };
    put(subscriber, parcel)
}

/// The same, but a filter that runs on delivery is asked.
pub(super) fn offer_to_filter(
    subscriber: &Subscriber,
    message: Message,
) -> Result<Sent, SendError> {
    debug_assert!(!message.info().is_control());
    put(subscriber, Parcel::Message(message.into_one_delivery()))
}

fn put(subscriber: &Subscriber, parcel: Parcel) -> Result<Sent, SendError> {
    match subscriber.offer_unlimited(parcel, &epoch::pin()) {
        Offered::Queued(duty) => Ok(Sent { duty }),
        Offered::Refused(_, parcel) => match parcel.into_message() {
            Some(message) => Err(SendError::Closed(message)),
            None => Ok(Sent { duty: None }),
        },
    }
}
