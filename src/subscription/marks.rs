//! High-water and low-water marks: when congestion begins, when it is over, and who tells.

use crate::sync::atomic::{AtomicU32, Ordering};

/// High-water and low-water marks, and what their owner was told last.
#[derive(Debug)]
pub(crate) struct Marks {
    pub(crate) high: u64,
    pub(crate) low: u64,
    /// `CLEAR` -> `RAISING` -> `RAISED` -> `CLEARING` -> `CLEAR`. While an edge is being told nobody tells
    /// the next one, so they come in their order.
    state: AtomicU32,
}

const CLEAR: u32 = 0;
/// Whoever made it so is running the callback.
const RAISING: u32 = 1;
const RAISED: u32 = 2;
/// The consumer is running the callback.
const CLEARING: u32 = 3;

impl Marks {
    pub(crate) fn new(high: u64, low: u64) -> Self {
        Self {
            high,
            low,
            state: AtomicU32::new(CLEAR),
        }
    }

    /// True for the one caller that is to tell that there is congestion. [`Self::end_raise`] follows.
    pub(crate) fn begin_raise(&self) -> bool {
        self.turn(CLEAR, RAISING)
    }

    /// It was told. The consumer, which may have come below the low-water mark meanwhile, is to be notified.
    pub(crate) fn end_raise(&self) {
        let is_ours = self.turn(RAISING, RAISED);
        debug_assert!(is_ours);
    }

    /// True if the consumer is to tell that it is over. [`Self::end_clear`] follows.
    pub(crate) fn begin_clear(&self) -> bool {
        self.turn(RAISED, CLEARING)
    }

    pub(crate) fn end_clear(&self) {
        let is_ours = self.turn(CLEARING, CLEAR);
        debug_assert!(is_ours);
    }

    fn turn(&self, from: u32, to: u32) -> bool {
        // Relaxed: it decides who tells; what the consumer must not miss it learns by being notified.
        if self.state.load(Ordering::Relaxed) != from {
            return false;
        }
        // Relaxed: as above.
        self.state
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    pub(crate) fn is_raised(&self) -> bool {
        // Relaxed: a figure.
        matches!(self.state.load(Ordering::Relaxed), RAISING | RAISED)
    }
}
