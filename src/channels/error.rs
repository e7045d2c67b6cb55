//! What can go wrong with the objects of telephony.

use crate::json::BlobError;
use crate::{ForwardError, PublishError, TopicError};
use std::error::Error;
use std::fmt;

/// Why something about a channel, a bridge or an endpoint could not be done.
#[derive(Debug)]
#[non_exhaustive]
pub enum TelephonyError {
    /// An id or a name is empty.
    Empty {
        /// Which one.
        what: &'static str,
    },
    /// An id or a name is longer than [`MAX_ID_LEN`](super::MAX_ID_LEN) bytes.
    TooLong {
        /// Which one.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A technology has a slash in it, so that its endpoints would be taken for those of another one.
    SlashInTechnology,
    /// `all` and `all-cached` are the topics of all, and no ids.
    ReservedId,
    /// There is one with that id already. ASCII letters are alike in both cases.
    DuplicateId {
        /// The id.
        id: String,
    },
    /// The channel has ended: its last snapshot was published, and nothing follows that.
    ChannelEnded,
    /// The bridge has ended.
    BridgeEnded,
    /// The endpoint has been taken down.
    EndpointEnded,
    /// The channel is in that bridge already.
    AlreadyInBridge,
    /// The channel is not in that bridge.
    NotInBridge,
    /// A bridge cannot be merged with itself.
    SameBridge,
    /// The dial has ended already.
    DialEnded,
    /// A blob lacks somebody without whom its type makes no sense.
    MissingRole {
        /// The role.
        role: &'static str,
    },
    /// A digit is no digit: one of `0`-`9`, `A`-`D`, `*` and `#`.
    BadDigit {
        /// What it is.
        digit: char,
    },
    /// The JSON, a role or a name is not what it has to be.
    Blob(BlobError),
    /// A topic could not be had.
    Topic(TopicError),
    /// A topic could not be forwarded to another one.
    Forward(ForwardError),
    /// A message was not published, or not to everybody. What it was to tell of has happened all the same:
    /// a full mailbox of somebody stops no change half-way.
    Publish(PublishError),
}

impl TelephonyError {
    /// True if somebody's mailbox was full, and all others were told.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Publish(PublishError::Full { .. }))
    }
}

impl fmt::Display for TelephonyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { what } => write!(f, "the {what} is empty"),
            Self::TooLong { what, len } => write!(
                f,
                "the {what} has {len} bytes, at most {} are allowed",
                super::MAX_ID_LEN
            ),
            Self::SlashInTechnology => f.write_str("a technology has no slash in its name"),
            Self::ReservedId => f.write_str("`all` and `all-cached` are no ids"),
            Self::DuplicateId { id } => write!(f, "there is one of the id {id:?} already"),
            Self::ChannelEnded => f.write_str("the channel has ended"),
            Self::BridgeEnded => f.write_str("the bridge has ended"),
            Self::EndpointEnded => f.write_str("the endpoint has been taken down"),
            Self::AlreadyInBridge => f.write_str("the channel is in that bridge already"),
            Self::NotInBridge => f.write_str("the channel is not in that bridge"),
            Self::SameBridge => f.write_str("a bridge cannot be merged with itself"),
            Self::DialEnded => f.write_str("the dial has ended"),
            Self::MissingRole { role } => write!(f, "nobody has the role `{role}`"),
            Self::BadDigit { digit } => write!(f, "{digit:?} is no DTMF digit"),
            Self::Blob(error) => error.fmt(f),
            Self::Topic(error) => error.fmt(f),
            Self::Forward(error) => error.fmt(f),
            Self::Publish(error) => error.fmt(f),
        }
    }
}

impl Error for TelephonyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Blob(error) => Some(error),
            Self::Topic(error) => Some(error),
            Self::Forward(error) => Some(error),
            Self::Publish(error) => Some(error),
            _ => None,
        }
    }
}

impl From<BlobError> for TelephonyError {
    fn from(error: BlobError) -> Self {
        Self::Blob(error)
    }
}

impl From<TopicError> for TelephonyError {
    fn from(error: TopicError) -> Self {
        Self::Topic(error)
    }
}

impl From<ForwardError> for TelephonyError {
    fn from(error: ForwardError) -> Self {
        Self::Forward(error)
    }
}

impl From<PublishError> for TelephonyError {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}
