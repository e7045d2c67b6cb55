//! Sending: one message for one subscription, whatever its filters and limits say.

use super::parcel::{Envelope, Parcel};
use super::scope;
use super::state::{Duty, Offered, Subscriber};
use crate::epoch;
use crate::message::Message;
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

pub(super) fn send(subscriber: &Subscriber, message: Message) -> Result<(), SendError> {
    if message.info().is_control() {
        return Err(SendError::ControlType(message));
    }
    // A filter that runs on delivery has to be told that it is not asked.
    let parcel = if subscriber.filters_itself {
        Parcel::Marked(Box::new(Envelope::unfiltered(message)))
    } else {
        Parcel::Message(message.into_one_delivery())
    };
    let offered = subscriber.offer_unlimited(parcel, &epoch::pin());
    match offered {
        Offered::Queued(duty) => {
            duty.into_iter().for_each(Duty::submit);
            scope::run_pending();
            Ok(())
        }
        Offered::Refused(_, parcel) => match parcel.into_message() {
            Some(message) => Err(SendError::Closed(message)),
            None => Ok(()),
        },
    }
}
