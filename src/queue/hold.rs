//! For tests of what others notice of a producer that is preempted between its claim and its write: a claim
//! that is written when the test says so. Nothing of the bus uses it.

use super::index::{Place, Tail};
use super::ring::{Claim, Ring};
use super::{Pinned, Pointer, Push};

/// A position that is claimed and not written yet.
#[derive(Debug)]
#[must_use = "a claim that is never written stops its queue for good"]
pub struct Held {
    seen: Tail,
    place: Place,
}

impl Held {
    /// Claims the next position of `ring`, if it is open and has room.
    pub fn claim<T: Pointer, B>(ring: &Ring<T, B>) -> Option<Self> {
        match ring.claim(u64::MAX) {
            Claim::Position(seen, place) => Some(Self { seen, place }),
            Claim::Full | Claim::Closed => None,
        }
    }

    /// Writes it.
    pub fn write<T: Pointer, B>(self, ring: &Ring<T, B>, item: T, pinned: &impl Pinned) -> Push<T> {
        ring.write(self.seen, self.place, item, pinned)
    }
}
