//! How soon somebody whose work is done for now looks whether there is more.
//!
//! A look takes the memory that tells of it away from whoever is about to write there. Who is as fast as
//! those who bring the work would do that for each piece, and each would wait for the other. So where
//! several pieces come at a time, it leaves them alone for a little longer, if that brings more of them: up
//! to two microseconds. Where one comes at a time, or as many as before, because what is done is waited
//! for, it looks soon.

use crate::sync::hint;

/// So many spin-loop hints are between two looks, a fraction of a microsecond: to look all the time would
/// take the cache line away even from who has much to write.
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
    /// So many pieces were done until nothing was left.
    #[inline]
    pub(crate) fn did(&mut self, pieces: u32) {
        if pieces <= 1 {
            *self = Self::default();
        } else if self.holds > 0 {
            self.holds -= 1;
            if self.holds == 0 {
                *self = Self::default();
            }
        } else if 2 * pieces < 3 * self.before {
            self.left_out = 0;
            self.holds = HOLDS;
        } else if self.left_out == MOST_LEFT_OUT {
            self.holds = HOLDS;
        } else {
            self.before = pieces;
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

    /// What is left out after each of so many pieces.
    fn left_out(pieces: &[u32]) -> Vec<u32> {
        let mut pace = Pace::default();
        let after = |pieces: &u32| {
            pace.did(*pieces);
            pace.left_out()
        };
        pieces.iter().map(after).collect()
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
        let mut pieces = vec![4; 2 + HOLDS as usize];
        pieces.extend([4, 8, 16]);
        let waits = left_out(&pieces);
        assert_eq!(waits[1..waits.len() - 3], [0; 1 + HOLDS as usize]);
        assert_eq!(waits[waits.len() - 3..], [1, 3, 3]);
    }
}
