//! A place for a message, which readers take it from without a lock while others replace it. This is what a
//! cache is made of; it knows no cache.
//!
//! A reader must not have to look at the message before it owns a share of it: the message may be gone by
//! then. So the cell owns a stock of shares, and one word holds the pointer and how many of them were taken
//! out. To get the message is one addition to that word: it says which message it is, and has taken a share
//! of just that one. Who replaces the message learns in the same way how many were taken, and gives back the
//! rest. When half of the stock is gone, whoever sees that adds to it.

#![expect(
    unsafe_code,
    reason = "deliveries are counted in the cell's word, and their pointer is packed into it"
)]

use super::Message;
use super::payload::RawDelivery;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::fmt;
use std::ptr;

/// How many deliveries a cell owns of the message that it holds, less those taken out. Small in models, so
/// that they get there.
#[cfg(not(loom))]
const STOCK: u32 = 1 << 14;
#[cfg(loom)]
const STOCK: u32 = 4;

/// Whoever takes this one or a later one adds to the stock.
const LOW: u32 = STOCK / 2;

/// The pointer takes the low bits: an address of 52 bits, as long as any that today's systems hand out
/// unasked, without the three that are always zero.
const POINTER_BITS: u32 = 49;
const ONE_TAKEN: u64 = 1 << POINTER_BITS;
const POINTER_MASK: u64 = ONE_TAKEN - 1;

/// Holds a message, or none. [`MessageCell::get`] takes no lock, and neither waits for who replaces the
/// message nor makes them wait: it is one atomic addition.
///
/// ```
/// use stasis_bus::{Message, MessageCell};
///
/// let cell = MessageCell::new(None);
/// assert!(cell.get().is_none());
/// cell.replace(Some(Message::new("first")));
/// let first = cell.get().unwrap();
/// let old = cell.replace(Some(Message::new("second")));
/// assert_eq!(old.map(|old| old.id()), Some(first.id()));
/// assert_eq!(cell.get().unwrap().get::<&str>(), Some(&"second"));
/// ```
pub struct MessageCell(AtomicU64);

impl MessageCell {
    /// A cell that holds that.
    #[must_use]
    pub fn new(message: Option<Message>) -> Self {
        Self(AtomicU64::new(stocked(message)))
    }

    /// The message that it holds. What [`replace`](Self::replace) had put there before this call began is
    /// seen, or something newer.
    #[inline]
    #[must_use]
    pub fn get(&self) -> Option<Message> {
        // Acquire: pairs with the Release in `replace`, which made the message visible. Without a look
        // before: that would bring the line here twice.
        let word = self.0.fetch_add(ONE_TAKEN, Ordering::Acquire);
        // If it is empty, the addition means nothing: no share is counted of no message, and what goes over
        // the top of the word is gone.
        let delivery = raw(word)?;
        let taken = taken(word) + 1;
        if taken >= STOCK {
            // So many threads, each between these two lines and the end of `add_to_stock`.
            std::process::abort();
        }
        if taken >= LOW {
            self.add_to_stock(delivery);
        }
        // SAFETY: one delivery of the stock, which `taken` was raised for
        Some(unsafe { delivery.into_message() })
    }

    /// Puts another message there, or none, and hands out the one that was.
    pub fn replace(&self, message: Option<Message>) -> Option<Message> {
        // AcqRel: Release pairs with `get`; Acquire with the Release of whoever put the old one there.
        let word = self.0.swap(stocked(message), Ordering::AcqRel);
        let delivery = raw(word)?;
        let left = STOCK - taken(word);
        debug_assert!(left > 0, "the last of the stock was taken");
        // SAFETY: the stock had so many deliveries left; one of them is the caller's
        unsafe { delivery.refund(left - 1) };
        // SAFETY: as above
        Some(unsafe { delivery.into_message() })
    }

    /// The caller owns one of the deliveries.
    #[cold]
    fn add_to_stock(&self, delivery: RawDelivery) {
        // SAFETY: the caller's own delivery keeps the message alive
        unsafe { delivery.add(LOW) };
        // Relaxed: only compared; what matters is known from `get`.
        let mut word = self.0.load(Ordering::Relaxed);
        // The same message means the same stock, if it has been away meanwhile or not.
        while raw(word) == Some(delivery) && taken(word) >= LOW {
            let fewer = word - u64::from(LOW) * ONE_TAKEN;
            // Release: pairs with the Acquire in `replace`: who gives the rest back finds these counted.
            match self
                .0
                .compare_exchange_weak(word, fewer, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
        // Somebody else was first, or the message is another one.
        // SAFETY: these were added above
        unsafe { delivery.refund(LOW) };
    }
}

/// A word with a full stock of that message.
fn stocked(message: Option<Message>) -> u64 {
    let Some(message) = message else {
        return 0;
    };
    let pointer = message.into_deliveries(STOCK).as_ptr();
    let bits = pointer.expose_provenance() as u64 >> 3;
    assert!(bits <= POINTER_MASK, "an address of more than 52 bits");
    bits
}

#[inline]
fn raw(word: u64) -> Option<RawDelivery> {
    let bits = word & POINTER_MASK;
    if bits == 0 {
        return None;
    }
    let pointer = ptr::with_exposed_provenance_mut::<()>((bits << 3) as usize);
    // SAFETY: `stocked` packed it
    Some(unsafe { RawDelivery::from_ptr(pointer) })
}

#[inline]
fn taken(word: u64) -> u32 {
    (word >> POINTER_BITS) as u32
}

impl Default for MessageCell {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Drop for MessageCell {
    fn drop(&mut self) {
        drop(self.replace(None));
    }
}

impl fmt::Debug for MessageCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MessageCell").field(&self.get()).finish()
    }
}
