//! For tests of what others notice of a producer that is preempted between its claim and its write: a claim
//! that is written when the test says so. Nothing of the bus uses it.

use super::ring::{Claim, Claimed, Ring};
use super::{Pinned, Pointer, Push};

/// A position that is claimed and not written yet.
#[derive(Debug)]
#[must_use = "a claim that is never written stops its queue for good"]
pub struct Held(Claimed);

impl Held {
    /// Claims the next position of `ring`, if it is open and has room.
    pub fn claim<T: Pointer, B>(ring: &Ring<T, B>, pinned: &impl Pinned) -> Option<Self> {
        match ring.claim(u64::MAX, pinned) {
            Claim::Position(claimed) => Some(Self(claimed)),
            Claim::Full | Claim::Closed => None,
        }
    }

    /// Writes it, to the ring that it was claimed of.
    pub fn write<T: Pointer, B>(self, ring: &Ring<T, B>, item: T) -> Push<T> {
        ring.write(self.0, item)
    }
}
