//! How soon a consumer that has emptied its queue looks at it again.
//!
//! A look takes the line of the next slot away from the producer that is about to write there, and a run that
//! finds nothing takes the tail's. A consumer that is as fast as its producer would do that for each item, and
//! each would wait for the other's lines. So where several items come at a time, it leaves the producer alone
//! for a little longer, if that brings more of them: up to two microseconds. Where one comes at a time, or as
//! many as before, because producers wait for what the consumer does, it looks soon.

use crate::sync::hint;

/// So many spin-loop hints are between two looks, a fraction of a microsecond: to look all the time would take
/// the line away even from who has much to write.
pub(crate) const PAUSES: u32 = 16;

/// Pauses for so long.
#[inline]
pub(crate) fn pause() {
    for _ in 0..PAUSES {
        hint::spin_loop();
    }
}

/// As many looks are left out at most.
const MOST_LEFT_OUT: u32 = 3;

/// So many times what was found out holds, before it is tried again.
const HOLDS: u32 = 32;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    left_out: u32,
    /// What came when fewer looks were left out.
    before: u32,
    holds: u32,
}

impl Pace {
    /// So many items were taken out until nothing was left.
    #[inline]
    pub(crate) fn took(&mut self, items: u32) {
        if items <= 1 {
            *self = Self::default();
        } else if self.holds > 0 {
            self.holds -= 1;
            if self.holds == 0 {
                *self = Self::default();
            }
        } else if 2 * items < 3 * self.before {
            self.left_out = 0;
            self.holds = HOLDS;
        } else if self.left_out == MOST_LEFT_OUT {
            self.holds = HOLDS;
        } else {
            self.before = items;
            self.left_out = 2 * self.left_out + 1;
        }
    }

    /// How many looks are to be left out, each with its pause.
    #[inline]
    pub(crate) fn left_out(&self) -> u32 {
        self.left_out
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// What is left out after each of so many items.
    fn left_out(items: &[u32]) -> Vec<u32> {
        let mut pace = Pace::default();
        let after = |items: &u32| {
            pace.took(*items);
            pace.left_out()
        };
        items.iter().map(after).collect()
    }

    #[test]
    fn looks_come_later_as_long_as_that_brings_more() {
        assert_eq!(left_out(&[0, 1, 1]), [0, 0, 0]);
        assert_eq!(left_out(&[5, 10, 20, 20, 3]), [1, 3, 3, 3, 3]);
        assert_eq!(left_out(&[5, 10, 20, 1, 9]), [1, 3, 3, 0, 1]);
        assert_eq!(left_out(&[4, 4, 4, 9]), [1, 0, 0, 0], "they wait for us");
    }

    #[test]
    fn what_was_found_out_is_tried_again_after_a_while() {
        let mut items = vec![4; 2 + HOLDS as usize];
        items.extend([4, 8, 16]);
        let waits = left_out(&items);
        assert_eq!(waits[1..waits.len() - 3], [0; 1 + HOLDS as usize]);
        assert_eq!(waits[waits.len() - 3..], [1, 3, 3]);
    }
}
