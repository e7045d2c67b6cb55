//! The queues of mailboxes: a bounded multi-producer single-consumer ring whose one tail word decides order,
//! closing and wake-up ([`ring`]), the rings behind it ([`grown`]), the queue that moves its head
//! from the producers' side ([`shedding`]), and the protocol of those who wait for room ([`room`]). Generic:
//! nothing here knows what a message or a subscription is.

#![expect(
    unsafe_code,
    reason = "traits that are promises about pointers and memory"
)]

mod consumer;
pub(crate) mod grown;
#[cfg(any(loom, feature = "internals"))]
pub(crate) mod hold;
pub(crate) mod index;
pub(crate) mod ring;
pub(crate) mod room;
pub(crate) mod shedding;
pub(crate) mod stock;

/// What a slot can hold: something that is one non-null pointer.
///
/// # Safety
/// `into_ptr` never returns null, and `from_ptr(into_ptr(x))` is x.
pub unsafe trait Pointer: Send {
    /// Gives up the value for a pointer that stands for it.
    fn into_ptr(self) -> *mut ();

    /// # Safety
    /// `ptr` came from [`Self::into_ptr`] and is turned back once only.
    unsafe fn from_ptr(ptr: *mut ()) -> Self;
}

/// A promise that memory retired from now on is not freed: a guard of the epoch, or, in a model that frees
/// nothing before its end, the model itself.
///
/// # Safety
/// While a value of this type lives, nothing that was reachable when it was made is freed.
pub unsafe trait Pinned {}

// SAFETY: that is what a guard of the epoch is
unsafe impl Pinned for crate::epoch::Guard {}

/// What became of an item that was pushed.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Push<T> {
    /// It is in the queue, and somebody else will run the consumer.
    Queued {
        /// The position that it took.
        at: u64,
    },
    /// It is in the queue, and the caller now has the duty to run the consumer.
    Submit {
        /// The position that it took.
        at: u64,
    },
    /// There is no room.
    Full(T),
    /// The queue accepts no more.
    Closed(T),
}

/// What the consumer finds at the head of the queue.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Pop<T> {
    /// The next item.
    Item(T),
    /// The next position is claimed by a producer that has not written it yet.
    Unwritten,
    /// There is nothing, for now.
    Empty,
    /// There is nothing, and nothing will come.
    Closed,
}

/// What became of a close.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// It was closed before.
    Already,
    /// It is closed now, and somebody else will run the consumer to its end.
    Closed,
    /// It is closed now, and the caller has the duty to run the consumer.
    Submit,
}
