//! The tail word of a ring: `{ position, NOTIFIED, SPILLING, CLOSED, PARKED }` in one integer, and every
//! transition that may be made on it. All of them are read-modify-writes, so that order, close and wake-up
//! follow from the modification order of this one word, without a store-load argument.

use crate::sync::atomic::{AtomicU64, Ordering};
use std::fmt;

/// A loaded copy of the word.
///
/// | SPILLING | CLOSED | PARKED | state |
/// |---|---|---|---|
/// | 0 | 0 | 0 | open; somebody has the duty to run the consumer |
/// | 1 | 0 | 0 | the same, and positions may live behind the ring |
/// | 0 | 0 | 1 | open and at rest: every position is consumed, nobody has the duty |
/// | 0 or 1 | 1 | 0 | closed; somebody runs, or ran, the consumer to its end |
/// | 1 | 0 | 1 | open and at rest; a spill queue that could not be retired in time is still there |
/// | any | 1 | 1 | never: to close clears PARKED, and to park fails when closed |
///
/// NOTIFIED goes with any of them but PARKED.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tail(u64);

/// Set by the consumer when it has nothing left to do; cleared by whoever pushes or closes next, and who
/// cleared it, and only it, submits the consumer. Excludes a running consumer.
const PARKED: u64 = 1 << 0;
/// Set by the first close; never cleared. Excludes every later push.
const CLOSED: u64 = 1 << 1;
/// Set by a push whose position lives behind the ring; cleared by the consumer once every position is
/// consumed. While it is clear, no position lives behind the ring.
const SPILLING: u64 = 1 << 2;
/// Set by a producer that has something else to tell than an item; cleared by the consumer, which does not
/// park while it is set, but looks around once more. Excludes PARKED.
const NOTIFIED: u64 = 1 << 3;
const FLAGS: u64 = PARKED | CLOSED | SPILLING | NOTIFIED;
const ONE_POSITION: u64 = FLAGS + 1;

impl Tail {
    pub(crate) fn position(self) -> u64 {
        self.0 / ONE_POSITION
    }

    pub(crate) fn is_parked(self) -> bool {
        self.0 & PARKED != 0
    }

    pub(crate) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    pub(crate) fn is_spilling(self) -> bool {
        self.0 & SPILLING != 0
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ position: {}", self.position())?;
        for (flag, name) in [
            (PARKED, "PARKED"),
            (CLOSED, "CLOSED"),
            (SPILLING, "SPILLING"),
        ] {
            if self.0 & flag != 0 {
                write!(f, ", {name}")?;
            }
        }
        f.write_str(" }")
    }
}

/// Where a claimed position lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Ring,
    Spill,
}

/// The word itself. It starts open, at position 0, with the duty in the hands of its maker.
#[derive(Debug)]
pub struct TailWord(AtomicU64);

impl TailWord {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A copy that may be old; what follows from it is decided by the transition that is tried on it.
    #[inline]
    pub(crate) fn peek(&self) -> Tail {
        // Relaxed: nothing is read through it, the transitions below synchronise.
        Tail(self.0.load(Ordering::Relaxed))
    }

    /// A copy for the consumer, which compares its head with it.
    #[inline]
    pub(crate) fn observe(&self) -> Tail {
        // Acquire: with a position comes what its claimant did before (`claim` is a Release).
        Tail(self.0.load(Ordering::Acquire))
    }

    /// Claims `seen`'s position: one more, no longer parked. On failure, the word as it is now.
    #[inline]
    pub(crate) fn claim(&self, seen: Tail, place: Place) -> Result<(), Tail> {
        debug_assert!(!seen.is_closed());
        let spilling = if place == Place::Spill { SPILLING } else { 0 };
        let next = (seen.0 + ONE_POSITION) & !PARKED | spilling;
        // AcqRel: Acquire, so that who clears PARKED inherits the consumer's state from `park`; Release, so
        // that whoever is submitted next (`claim` or `close` of another thread, then `park`) inherits it
        // from us.
        self.0
            .compare_exchange_weak(seen.0, next, Ordering::AcqRel, Ordering::Relaxed)
            .map(|_| ())
            .map_err(Tail)
    }

    /// Closes for good. The position that the word has then is where the final message goes. Returns the
    /// word as it was before.
    pub(crate) fn close(&self) -> Tail {
        let mut seen = self.peek();
        loop {
            let next = (seen.0 | CLOSED) & !PARKED;
            // AcqRel: as in `claim`; it is a write even if nothing changes, so that it has its place in the
            // order.
            match self
                .0
                .compare_exchange_weak(seen.0, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return seen,
                Err(now) => seen = Tail(now),
            }
        }
    }

    /// Takes the duty to run the consumer if it is parked. True if the caller now has it.
    pub(crate) fn unpark(&self) -> bool {
        // AcqRel: as in `claim`.
        self.0.fetch_and(!PARKED, Ordering::AcqRel) & PARKED != 0
    }

    /// Makes the consumer look around once more before it parks. True if it was parked: the caller now has
    /// the duty.
    pub(crate) fn notify(&self) -> bool {
        let mut seen = self.peek();
        loop {
            let next = if seen.is_parked() {
                seen.0 & !PARKED
            } else {
                seen.0 | NOTIFIED
            };
            // AcqRel: as in `claim`; Release also makes what is to be told visible to `park`, which fails.
            match self
                .0
                .compare_exchange_weak(seen.0, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return seen.is_parked(),
                Err(now) => seen = Tail(now),
            }
        }
    }

    /// Gives up the duty, if nothing was pushed, nobody closed since the consumer reached `head`, and nobody
    /// notified it.
    pub(crate) fn park(&self, head: u64) -> bool {
        let seen = self.peek();
        if seen.0 & NOTIFIED != 0 {
            // AcqRel: Acquire, so that what is to be told is visible; Release keeps the chain of this word.
            self.0.fetch_and(!NOTIFIED, Ordering::AcqRel);
            return false;
        }
        if seen.position() != head || seen.is_closed() {
            return false;
        }
        debug_assert!(!seen.is_parked());
        // AcqRel: Release, so that who clears PARKED inherits the consumer's state; Acquire, because a
        // spurious look at what came before is then never possible.
        self.0
            .compare_exchange(seen.0, seen.0 | PARKED, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Declares that no position lives behind the ring any more, if every one is consumed.
    pub(crate) fn stop_spilling(&self, head: u64) -> bool {
        let seen = self.peek();
        if seen.position() != head || !seen.is_spilling() {
            return false;
        }
        // AcqRel: Acquire, so that the claims that set SPILLING, and what they installed, are behind us;
        // Release, so that a claim that follows sees the spill queue taken out.
        self.0
            .compare_exchange(
                seen.0,
                seen.0 & !SPILLING,
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn flags_and_position_share_the_word_without_overlap() {
        assert_eq!(PARKED & CLOSED, 0);
        assert_eq!(PARKED & SPILLING, 0);
        assert_eq!(CLOSED & SPILLING, 0);
        assert_eq!((PARKED | CLOSED | SPILLING) & NOTIFIED, 0);
        assert_eq!(FLAGS & (ONE_POSITION - 1), FLAGS);
        assert_eq!(FLAGS + 1, ONE_POSITION);
    }

    #[test]
    fn transitions() {
        let word = TailWord::new();
        assert!(word.park(0));
        assert!(word.peek().is_parked());
        word.claim(word.peek(), Place::Spill).unwrap();
        let tail = word.peek();
        assert_eq!(
            (tail.position(), tail.is_parked(), tail.is_spilling()),
            (1, false, true)
        );
        assert!(!word.park(0), "a position is not consumed");
        assert!(!word.stop_spilling(0));
        assert!(word.stop_spilling(1));
        assert!(word.park(1));
        assert!(word.notify() && !word.notify(), "the first takes the duty");
        assert!(!word.park(1), "notified");
        assert!(word.park(1));
        let before = word.close();
        assert!(before.is_parked() && !before.is_closed());
        assert!(!word.park(1), "closed");
        assert!(word.close().is_closed());
        assert_eq!(format!("{:?}", word.peek()), "{ position: 1, CLOSED }");
    }
}
