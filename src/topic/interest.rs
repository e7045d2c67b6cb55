//! What a publisher has to know of a topic before it looks at anything else, in one word: whether the topic
//! takes messages at all, and whether anybody on its list may want this one. A message that nobody on the
//! list wants is not even made, and costs no pin. It is a summary of the list, and *not* the list: it says
//! "perhaps" too often, and never "nobody" too early or too long.

use super::subscribers::Listing;
use crate::message::TypeInfo;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::fmt;

/// The topic is closed. Set once, by whoever closes it; nothing is listed after that.
const CLOSED: u64 = 1 << 0;
/// Set for good when the topic is made: not every message is taken, or in its turn only. Whoever publishes
/// looks closer.
const PARTICULAR: u64 = 1 << 1;
/// Somebody wants every type but the bus's own.
const GENERAL: u64 = 1 << 2;
/// There are taps, or subscribers for which more than the type's number decides.
const RARE: u64 = 1 << 3;
/// One bit for all types whose numbers are alike in their low five bits.
const TYPES: u64 = 0xffff_ffff << TYPES_AT;
const TYPES_AT: u32 = 4;
/// How many subscribers are listed; the greatest number stands for itself and all above.
const LEN: u64 = MAX_LEN << LEN_AT;
const LEN_AT: u32 = 36;
const MAX_LEN: u64 = (1 << (u64::BITS - LEN_AT)) - 1;

/// What belongs to the topic, not to its list.
const OF_THE_TOPIC: u64 = CLOSED | PARTICULAR;

/// See the module. `PARTICULAR` never changes and `CLOSED` is only ever set; all else follows the list, under
/// the topic's control lock: what the list is to be is added before the list is replaced, and what it is no
/// longer is taken away after that. So who has seen a list sees all that is on it here, now and later, and
/// who does not see it here any more does not see it on the list.
pub(super) struct Interest(AtomicU64);

/// The word, as it was at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Glance(u64);

impl Interest {
    /// Of a topic that nobody is listed on.
    pub(super) fn new(is_particular: bool) -> Self {
        Self(AtomicU64::new(if is_particular { PARTICULAR } else { 0 }))
    }

    #[inline]
    pub(super) fn glance(&self) -> Glance {
        // Acquire: who does not find a subscriber here finds the list without it (Release in `set`), and what
        // was before the close with it (`close`).
        Glance(self.0.load(Ordering::Acquire))
    }

    /// The topic takes nothing from here on.
    pub(super) fn close(&self) {
        // Release: pairs with `glance`.
        self.0.fetch_or(CLOSED, Ordering::Release);
    }

    /// The list is about to become one of that summary. Under the control lock.
    pub(super) fn widen(&self, next: Glance) {
        let now = self.glance().0;
        self.set(now, (now & !LEN) | next.0);
    }

    /// The list has become that. Under the control lock.
    pub(super) fn settle(&self, next: Glance) {
        let now = self.glance().0;
        self.set(now, (now & OF_THE_TOPIC) | next.0);
    }

    fn set(&self, now: u64, next: u64) {
        if next != now {
            // Release: pairs with `glance`. A store, not a read-modify-write: the lock is held, and who
            // closes the topic without it is the last one who has the topic.
            self.0.store(next, Ordering::Release);
        }
    }
}

fn bit_of(id: u32) -> u64 {
    1 << (TYPES_AT + id % 32)
}

impl Glance {
    /// The summary of a list.
    pub(super) fn of(listing: Option<&Listing>) -> Self {
        let Some(listing) = listing else {
            return Self(0);
        };
        let mut bits = (listing.len() as u64).min(MAX_LEN) << LEN_AT;
        if listing.has_general() {
            bits |= GENERAL;
        }
        if listing.is_rare() {
            bits |= RARE;
        }
        Self(listing.types().fold(bits, |bits, id| bits | bit_of(id)))
    }

    /// True: the topic takes no messages. For good.
    #[inline]
    pub(super) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// True: the topic is open, and takes every message at once, but for the bus's own.
    #[inline]
    pub(super) fn is_plain(self) -> bool {
        self.0 & OF_THE_TOPIC == 0
    }

    /// True: there may be taps, or subscribers for which more than the type's number decides.
    #[inline]
    pub(super) fn is_rare(self) -> bool {
        self.0 & RARE != 0
    }

    /// True: nobody on the list wants messages of that type.
    #[inline]
    pub(super) fn is_nobody(self, info: &TypeInfo) -> bool {
        let all = if info.is_control() { 0 } else { GENERAL };
        self.0 & (all | RARE | bit_of(info.id())) == 0
    }

    /// How many are listed.
    #[inline]
    pub(super) fn len(self) -> u64 {
        self.0 >> LEN_AT
    }
}

impl fmt::Debug for Glance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Glance")
            .field("closed", &self.is_closed())
            .field("particular", &(self.0 & PARTICULAR != 0))
            .field("general", &(self.0 & GENERAL != 0))
            .field("rare", &(self.0 & RARE != 0))
            .field("types", &((self.0 & TYPES) >> TYPES_AT))
            .field("len", &self.len())
            .finish()
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.glance().fmt(f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_masks_are_disjoint_and_cover_the_word() {
        let masks = [CLOSED, PARTICULAR, GENERAL, RARE, TYPES, LEN];
        let sum = masks.iter().fold(0_u64, |sum, mask| {
            assert_eq!(sum & mask, 0);
            sum | mask
        });
        assert_eq!(sum, u64::MAX);
        assert_eq!((bit_of(0), bit_of(31)), (1 << TYPES_AT, 1 << (LEN_AT - 1)));
    }
}
