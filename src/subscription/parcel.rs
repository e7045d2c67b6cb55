//! What waits in a mailbox: a message, or an envelope around one that somebody waits for. One pointer either
//! way, told apart by a tag bit.

#![expect(unsafe_code, reason = "a tagged pointer")]

use super::waiting::Completion;
use crate::message::{Message, MessageId, RawDelivery};
use crate::queue::Pointer;
use crate::sync::unmodelled::Arc;

/// See the module.
#[derive(Debug)]
pub(crate) enum Parcel {
    /// A delivery of a message.
    Message(Message),
    /// The same, or nothing but a mark, with somebody who waits for it to be handled.
    Marked(Box<Envelope>),
}

impl Parcel {
    /// The message, if there is one in it.
    pub(crate) fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Marked(envelope) => envelope.message.as_ref(),
        }
    }

    pub(super) fn message_id(&self) -> Option<MessageId> {
        match self {
            Self::Message(message) => Some(Message::id(message)),
            Self::Marked(envelope) => envelope.message_id(),
        }
    }

    /// The same, taken out of it.
    pub(crate) fn into_message(self) -> Option<Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Marked(mut envelope) => envelope.take_message(),
        }
    }

    /// Forgets a delivery that no mailbox took: its publisher gives all of those back at once.
    #[inline]
    pub(crate) fn forget_delivery(self) -> Option<Box<Envelope>> {
        match self {
            Self::Message(message) => {
                let _ = message.into_raw_delivery();
                None
            }
            Self::Marked(envelope) => Some(envelope),
        }
    }
}

/// Tells its waiter what became of it, at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct Envelope {
    message: Option<Message>,
    waiter: Option<Arc<Completion<Handled>>>,
    unhandled: Handled,
    /// It passes whatever filter there is.
    unfiltered: bool,
}

/// What became of a message that somebody waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handled {
    /// Its handler has returned; for a receiver: the message was taken.
    Handled,
    /// A filter declined it.
    Filtered,
    /// The overflow policy shed it.
    Shed,
    /// The subscription had closed, or it ended before the message's turn came.
    Closed,
    /// The subscription does not get what is published on that topic.
    NotSubscribed,
    /// Its handler panicked at it.
    HandlerPanicked,
}

impl Envelope {
    pub(crate) fn new(message: Option<Message>, waiter: Arc<Completion<Handled>>) -> Self {
        Self {
            message,
            waiter: Some(waiter),
            unhandled: Handled::Closed,
            unfiltered: false,
        }
    }

    /// A message that passes filters which run on delivery. Nobody waits for it.
    pub(crate) fn unfiltered(message: Message) -> Self {
        Self {
            message: Some(message),
            waiter: None,
            unhandled: Handled::Closed,
            unfiltered: true,
        }
    }

    pub(crate) fn is_unfiltered(&self) -> bool {
        self.unfiltered
    }

    /// What to tell if it is dropped from now on.
    pub(crate) fn will_be(&mut self, unhandled: Handled) {
        self.unhandled = unhandled;
    }

    pub(crate) fn message_id(&self) -> Option<MessageId> {
        self.message.as_ref().map(Message::id)
    }

    pub(crate) fn take_message(&mut self) -> Option<Message> {
        self.message.take()
    }

    /// Tells its waiter.
    pub(crate) fn complete(mut self, outcome: Handled) {
        if let Some(waiter) = self.waiter.take() {
            waiter.complete(outcome);
        }
    }
}

impl Drop for Envelope {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.complete(self.unhandled);
        }
    }
}

/// Set in a pointer to an [`Envelope`]. Messages and boxes are aligned to eight.
const ENVELOPE: usize = 0b010;

// SAFETY: neither a message nor a box is null, and the tag bit tells them apart: both are aligned to 8
unsafe impl Pointer for Parcel {
    #[inline]
    fn into_ptr(self) -> *mut () {
        match self {
            Self::Message(message) => message.into_raw_delivery().as_ptr(),
            Self::Marked(envelope) => Box::into_raw(envelope)
                .cast::<()>()
                .map_addr(|addr| addr | ENVELOPE),
        }
    }

    #[inline]
    unsafe fn from_ptr(ptr: *mut ()) -> Self {
        if ptr.addr() & ENVELOPE == 0 {
            // SAFETY: `into_ptr` made it of a delivery, which is now ours
            let delivery = unsafe { RawDelivery::from_ptr(ptr) };
            // SAFETY: as above
            return Self::Message(unsafe { delivery.into_message() });
        }
        let envelope = ptr.map_addr(|addr| addr & !ENVELOPE).cast::<Envelope>();
        // SAFETY: `into_ptr` made it of a box, which is now ours
        Self::Marked(unsafe { Box::from_raw(envelope) })
    }
}
