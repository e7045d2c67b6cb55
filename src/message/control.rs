//! What the bus itself has to say to a subscriber, and the message types that it says it with. The payloads
//! are plain data that anybody may copy; the types are the bus's alone, so a message that carries one of
//! them cannot be forged.

use super::header::MessageId;
use super::message_type::MessageType;
use crate::sync::unmodelled::Arc;
use std::fmt;

/// The last message of a subscription (L2).
pub(crate) static FINAL: MessageType<FinalMessage> = MessageType::control("final");
/// The notice of what an overflow policy shed (D5).
pub(crate) static GAP: MessageType<Gap> = MessageType::control("gap");
/// Somebody came or went (L5).
pub(crate) static CHANGE: MessageType<SubscriptionChange> =
    MessageType::control("subscription_change");

/// The last message of a subscription: why it ended, and what it got. Nothing is delivered after it.
///
/// [`Message::as_final`](crate::Message::as_final) finds the genuine ones only:
///
/// ```
/// use stasis_bus::{FinalMessage, Message};
///
/// fn last_words(message: &Message) -> Option<String> {
///     let last: &FinalMessage = message.as_final()?;
///     Some(format!("{}: {} delivered, {} shed", last.reason, last.delivered, last.shed))
/// }
/// assert_eq!(last_words(&Message::new("not the last one")), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FinalMessage {
    /// Why the subscription ended.
    pub reason: FinalReason,
    /// Messages that its handler or receiver got, this one not counted.
    pub delivered: u64,
    /// Messages that its overflow policy shed.
    pub shed: u64,
    /// Messages that a newer one of their key took the place of.
    pub conflated: u64,
    /// Messages that were accepted, but that nobody was left to run.
    pub discarded: u64,
}

/// Why a subscription ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FinalReason {
    /// Somebody unsubscribed it, or dropped its handle.
    Unsubscribed,
    /// The topic was closed.
    TopicClosed,
    /// It was too slow, and had chosen to be evicted for that.
    Evicted,
    /// Its handler panicked, and it had chosen to be closed for that.
    HandlerPanicked,
    /// The bus shut down.
    Shutdown,
}

impl fmt::Display for FinalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsubscribed => "unsubscribed",
            Self::TopicClosed => "topic closed",
            Self::Evicted => "evicted",
            Self::HandlerPanicked => "handler panicked",
            Self::Shutdown => "shutdown",
        })
    }
}

/// The notice that an overflow policy shed messages, in the place where they would have been.
///
/// ```
/// use stasis_bus::{Gap, Message};
///
/// fn missed(message: &Message) -> u64 {
///     message.as_gap().map_or(0, |gap: &Gap| gap.count)
/// }
/// assert_eq!(missed(&Message::new("all is well")), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Gap {
    /// How many messages were shed: exact.
    pub count: u64,
    /// The first of them.
    pub first: MessageId,
    /// The last of them.
    pub last: MessageId,
}

/// The notice that somebody subscribed to a topic or unsubscribed from it.
///
/// ```
/// use stasis_bus::{ChangeKind, Message, SubscriptionChange};
///
/// fn arrivals(message: &Message) -> usize {
///     let change: Option<&SubscriptionChange> = message.as_change();
///     change.is_some_and(|change| change.kind == ChangeKind::Subscribed).into()
/// }
/// assert_eq!(arrivals(&Message::new("nobody")), 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SubscriptionChange {
    /// The name of the topic that was subscribed to, or unsubscribed from.
    pub topic: Arc<str>,
    /// The number of the subscription.
    pub subscription: u64,
    /// The name of the subscription.
    pub name: Arc<str>,
    /// What happened.
    pub kind: ChangeKind,
}

/// Which way a subscription changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It was made, and gets messages from here on.
    Subscribed,
    /// It was closed, and accepts no more.
    Unsubscribed,
}
