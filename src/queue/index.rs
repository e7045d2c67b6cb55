//! The tail word of a ring: `{ position, generation, NOTIFIED, SPILLING, CLOSED, PARKED }` in one integer,
//! and every transition that may be made on it. All of them are read-modify-writes, so that order, close and
//! wake-up follow from the modification order of this one word, without a store-load argument.

use crate::sync::atomic::{AtomicU64, Ordering};
use std::fmt;

/// A loaded copy of the word.
///
/// | SPILLING | CLOSED | PARKED | state |
/// |---|---|---|---|
/// | 0 | 0 | 0 | open; somebody has the duty to run the consumer |
/// | 1 | 0 | 0 | the same, and positions are claimed in a ring behind the first one |
/// | 0 | 0 | 1 | open and at rest: every position is consumed, nobody has the duty |
/// | 0 or 1 | 1 | 0 | closed; somebody runs, or ran, the consumer to its end |
/// | 1 | 0 | 1 | never: who parks has moved on to the first ring before, or does not park |
/// | any | 1 | 1 | never: to close clears PARKED, and to park fails when closed |
///
/// NOTIFIED goes with any of them but PARKED. The generation says which ring positions are claimed in: it
/// goes on by one, around and around, whenever that becomes another one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tail(u64);

/// Set by the consumer when it has nothing left to do; cleared by whoever pushes or closes next, and who
/// cleared it, and only it, submits the consumer. Excludes a running consumer.
const PARKED: u64 = 1 << 0;
/// Set by the first close; never cleared. Excludes every later push.
const CLOSED: u64 = 1 << 1;
/// Set by a claim that moves on to a ring behind the first one; cleared by the consumer, which moves on to
/// the first one again, once every position is consumed.
const SPILLING: u64 = 1 << 2;
/// Set by a producer that has something else to tell than an item; cleared by the consumer, which does not
/// park while it is set, but looks around once more. Excludes PARKED.
const NOTIFIED: u64 = 1 << 3;
const FLAGS: u64 = PARKED | CLOSED | SPILLING | NOTIFIED;
const ONE_GENERATION: u64 = FLAGS + 1;
const GENERATIONS: u64 = TURN as u64 * ONE_GENERATION - ONE_GENERATION;
/// 56 bits: at ten million messages a second they last for more than two hundred years.
const ONE_POSITION: u64 = TURN as u64 * ONE_GENERATION;

/// So many generations are told apart. In models few, so that they go around.
pub(super) const TURN: u8 = if cfg!(loom) { 4 } else { 16 };

/// Which ring positions are claimed in, modulo [`TURN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation(u8);

impl Generation {
    /// That of a new ring.
    pub(super) const FIRST: Self = Self(0);

    #[inline]
    pub(super) fn next(self) -> Self {
        Self((self.0 + 1) % TURN)
    }
}

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

    #[inline(always)]
    pub(super) fn generation(self) -> Generation {
        Generation(((self.0 & GENERATIONS) / ONE_GENERATION) as u8)
    }

    /// The same with the next generation.
    fn moved_on(self) -> u64 {
        self.0 & !GENERATIONS | (u64::from(self.generation().next().0) * ONE_GENERATION)
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
pub(super) enum Place {
    /// In the ring of the word's generation.
    Here,
    /// In the next one, and so will all that follow.
    Next,
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
    pub(super) fn claim(&self, seen: Tail, place: Place) -> Result<(), Tail> {
        debug_assert!(!seen.is_closed());
        let word = match place {
            Place::Here => seen.0,
            Place::Next => seen.moved_on() | SPILLING,
        };
        let next = (word + ONE_POSITION) & !PARKED;
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

    /// Moves on to the first ring, if every position is consumed. The generation from then on.
    pub(super) fn stop_spilling(&self, head: u64) -> Option<Generation> {
        let seen = self.peek();
        if seen.position() != head || !seen.is_spilling() {
            return None;
        }
        let next = Tail(seen.moved_on() & !SPILLING);
        // AcqRel, as for all of them. Nothing depends on it: the consumer has acquired all that it consumed,
        // which is everything, and a claim after this one acquires the last one before, since a
        // read-modify-write does not break the chain of a Release.
        self.0
            .compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
            .then(|| next.generation())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn generations_go_around_without_touching_the_position() {
        let word = TailWord::new();
        for turn in 0..40_u64 {
            let seen = word.peek();
            assert_eq!(seen.position(), turn);
            assert_eq!(u64::from(seen.generation().0), 2 * turn % u64::from(TURN));
            word.claim(seen, Place::Next).unwrap();
            assert!(word.peek().is_spilling());
            assert!(word.stop_spilling(turn + 1).is_some());
        }
    }

    #[test]
    fn flags_and_position_share_the_word_without_overlap() {
        assert_eq!(PARKED & CLOSED, 0);
        assert_eq!(PARKED & SPILLING, 0);
        assert_eq!(CLOSED & SPILLING, 0);
        assert_eq!((PARKED | CLOSED | SPILLING) & NOTIFIED, 0);
        assert_eq!(FLAGS & GENERATIONS, 0);
        assert_eq!(FLAGS | GENERATIONS, ONE_POSITION - 1);
    }

    #[test]
    fn transitions() {
        let word = TailWord::new();
        assert!(word.park(0));
        assert!(word.peek().is_parked());
        word.claim(word.peek(), Place::Next).unwrap();
        let tail = word.peek();
        assert_eq!(
            (tail.position(), tail.is_parked(), tail.is_spilling()),
            (1, false, true)
        );
        assert_eq!(tail.generation(), Generation::FIRST.next());
        assert!(!word.park(0), "a position is not consumed");
        assert!(word.stop_spilling(0).is_none());
        let first_again = Generation::FIRST.next().next();
        assert_eq!(word.stop_spilling(1), Some(first_again));
        assert!(!word.peek().is_spilling());
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
