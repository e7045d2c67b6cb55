//! Messages: one allocation each, shared by all who hold it, never changed after it was made (D1). This file
//! is the safe face of [`payload`]; how messages get to anybody is not decided here.

mod cell;
mod control;
mod format;
mod header;
mod key;
mod memory;
mod message_type;
mod payload;
mod receipt;
mod timestamp;

#[cfg(all(test, not(loom)))]
mod tests;

pub use cell::MessageCell;
pub use control::{ChangeKind, FinalMessage, FinalReason, Gap, SubscriptionChange};
pub use format::{Format, Formatter, Rendering, Sanitizer, Subject};
pub use header::{MessageId, Origin};
pub use key::{Key, KeyKind, KeyRef};
pub use message_type::{MessageType, TypeInfo};
pub use receipt::Receipt;
pub use timestamp::Timestamp;

pub(crate) use control::{CHANGE, FINAL, GAP};
pub(crate) use message_type::{default_type, type_by_id};

#[cfg(any(loom, feature = "internals"))]
pub use payload::RawDelivery;
#[cfg(not(any(loom, feature = "internals")))]
pub(crate) use payload::RawDelivery;

use payload::Erased;
use std::any::{Any, TypeId};
use std::fmt;

/// A message: a payload of any type, with what it is, who made it and when.
///
/// A `Message` is a handle, as small as a pointer. Cloning it never copies the payload, which all handles
/// share and nobody can change. The payload is dropped with the last handle, on whatever thread that is; if
/// that panics, the panic goes no further.
///
/// ```
/// use stasis_bus::Message;
///
/// let message = Message::new(String::from("hello"));
/// let same = message.clone();
/// assert_eq!(same.get::<String>().map(String::as_str), Some("hello"));
/// assert!(std::ptr::eq(message.get::<String>().unwrap(), same.get::<String>().unwrap()));
/// assert!(message.get::<u32>().is_none());
/// ```
///
/// Payloads are shared between threads, so they must be `Sync`:
///
/// ```compile_fail
/// stasis_bus::Message::new(std::cell::Cell::new(1));
/// ```
#[derive(Clone)]
#[repr(transparent)]
pub struct Message(Erased);

impl Message {
    /// A message of the type that `T` has by default, whose name is Rust's name of `T`. See
    /// [`MessageType::message`] for those of other types.
    #[inline]
    #[must_use]
    pub fn new<T: Send + Sync + 'static>(payload: T) -> Self {
        Self::with_origin(payload, Origin::LOCAL)
    }

    /// The same, on behalf of somebody else.
    #[inline]
    #[must_use]
    pub fn with_origin<T: Send + Sync + 'static>(payload: T, origin: Origin) -> Self {
        Self(Erased::new(default_type::<T>(), payload, origin))
    }

    /// The payload, if it is a `T`, whatever the type of the message.
    #[inline]
    #[must_use]
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get()
    }

    /// The payload, if the message is of that type.
    #[inline]
    #[must_use]
    pub fn payload<T: Send + Sync + 'static>(&self, message_type: &MessageType<T>) -> Option<&T> {
        if self.is(message_type) {
            self.0.get()
        } else {
            None
        }
    }

    /// True if the message is of that type.
    #[inline]
    #[must_use]
    pub fn is<T: Send + Sync + 'static>(&self, message_type: &MessageType<T>) -> bool {
        self.info() == message_type.info()
    }

    /// The description of its type.
    #[inline]
    #[must_use]
    pub fn info(&self) -> &'static TypeInfo {
        self.0.header().info
    }

    /// The name of its type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.info().name()
    }

    /// Its number, unique in the process.
    #[inline]
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.0.header().id
    }

    /// When it was made.
    #[inline]
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.0.header().timestamp
    }

    /// Who published it first.
    #[inline]
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.0.header().origin
    }

    /// The final message of a subscription. Only the bus can make one: messages that others put a
    /// [`FinalMessage`] into are none.
    #[must_use]
    pub fn as_final(&self) -> Option<&FinalMessage> {
        self.payload(&FINAL)
    }

    /// The notice that messages were shed. Only the bus can make one.
    #[must_use]
    pub fn as_gap(&self) -> Option<&Gap> {
        self.payload(&GAP)
    }

    /// The notice that somebody subscribed or unsubscribed. Only the bus can make one.
    #[must_use]
    pub fn as_change(&self) -> Option<&SubscriptionChange> {
        self.payload(&CHANGE)
    }

    /// Turns what this handle owns into `n` deliveries, at least one. See [`RawDelivery::new`].
    #[inline]
    pub(crate) fn into_deliveries(self, n: u32) -> RawDelivery {
        RawDelivery::new(self, n)
    }

    /// The reverse of [`RawDelivery::into_message`]: one delivery, without an atomic operation if the message
    /// owns one.
    #[inline]
    pub(crate) fn into_raw_delivery(self) -> RawDelivery {
        RawDelivery::new(self, 1)
    }
}

/// Says what it is, never what is in it: payloads may be secret, or long.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("type", &self.type_name())
            .field("id", &self.id())
            .finish()
    }
}

/// A message of whatever was handed to publish: a `Message` stays as it is, all else becomes one of its
/// default type.
#[inline]
pub(crate) fn into_message<T: Send + Sync + 'static>(payload: T) -> Message {
    if TypeId::of::<T>() != TypeId::of::<Message>() {
        return Message::new(payload);
    }
    let mut payload = Some(payload);
    (&mut payload as &mut dyn Any)
        .downcast_mut::<Option<Message>>()
        .and_then(Option::take)
        .expect("T is Message")
}
