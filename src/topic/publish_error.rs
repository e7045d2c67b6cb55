//! Why a publish failed, with the message handed back.

use crate::message::{Message, Receipt};
use std::error::Error;
use std::fmt;

/// Why a message was not published, or not to everybody. It hands the message back.
#[non_exhaustive]
pub enum PublishError {
    /// The topic is closed: nobody was offered the message.
    Closed(Message),
    /// The bus has been shut down: nobody was offered the message; or, if that happened while publish
    /// waited for room in a mailbox, those who had room were offered it, and the others will not be.
    ShutDown(Message),
    /// The bus declines messages of that type: nobody was offered the message.
    Declined(Message),
    /// A final message, a gap notice or a subscription change: only the bus publishes those (L2). Nobody was
    /// offered the message.
    ControlType(Message),
    /// At least one mailbox that fails when it is full was full. Everybody else was offered the message, as
    /// the receipt says.
    Full {
        /// The message.
        message: Message,
        /// What became of it.
        receipt: Receipt,
    },
}

impl PublishError {
    /// The message.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Closed(message)
            | Self::ShutDown(message)
            | Self::Declined(message)
            | Self::ControlType(message)
            | Self::Full { message, .. } => message,
        }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        match self {
            Self::Closed(message)
            | Self::ShutDown(message)
            | Self::Declined(message)
            | Self::ControlType(message)
            | Self::Full { message, .. } => message,
        }
    }
}

impl fmt::Debug for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(message) => f.debug_tuple("Closed").field(message).finish(),
            Self::ShutDown(message) => f.debug_tuple("ShutDown").field(message).finish(),
            Self::Declined(message) => f.debug_tuple("Declined").field(message).finish(),
            Self::ControlType(message) => f.debug_tuple("ControlType").field(message).finish(),
            Self::Full { message, receipt } => f
                .debug_struct("Full")
                .field("message", message)
                .field("receipt", receipt)
                .finish(),
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("the topic is closed"),
            Self::ShutDown(_) => f.write_str("the bus has been shut down"),
            Self::Declined(message) => {
                write!(
                    f,
                    "the bus declines messages of type `{}`",
                    message.type_name()
                )
            }
            Self::ControlType(message) => {
                write!(
                    f,
                    "only the bus itself publishes messages of type `{}`",
                    message.type_name()
                )
            }
            Self::Full { receipt, .. } => write!(
                f,
                "a mailbox that fails when it is full was full; {} others took the message",
                receipt.offered()
            ),
        }
    }
}

impl Error for PublishError {}
