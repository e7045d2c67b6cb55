//! For how long a worker lingers: a few microseconds, which is what it costs to be called; or some more,
//! while work comes so often that to sleep in between would cost more than to wait. It learns that from how
//! soon it was back, so work that comes seldom costs no more for it.

use std::time::{Duration, Instant};

/// A patient worker lingers for so many times as long: 20 to 40 microseconds.
const PATIENT: u32 = 4;

/// Who begins to linger twice within this was called soon after it had given up: to be called takes some 25
/// microseconds at worst.
const SOON: Duration = Duration::from_micros(40);

/// So many times at most such a chance is passed over after patience was in vain. Twice as many each time, so
/// that a pace which is just too slow is not waited for in vain again and again.
const MOST_PASSED_OVER: u32 = 63;

/// One worker's.
#[derive(Debug, Default)]
pub(super) struct Patience {
    is_patient: bool,
    /// When it last began to linger, unless it was patient then.
    began: Option<Instant>,
    /// Chances that are still to be passed over, and how many there were after patience was last in vain.
    pass_over: u32,
    passed_over: u32,
}

impl Patience {
    /// It begins to linger: how many looks it has, if the impatient have that many.
    pub(super) fn looks(&mut self, impatient: u32) -> u32 {
        if !self.is_patient {
            let now = Instant::now();
            let before = self.began.replace(now);
            if before.is_some_and(|before| now.duration_since(before) < SOON) {
                self.is_patient = self.pass_over == 0;
                self.pass_over = self.pass_over.saturating_sub(1);
            }
        }
        if self.is_patient {
            impatient.saturating_mul(PATIENT)
        } else {
            impatient
        }
    }

    /// Something came while it lingered.
    pub(super) fn pays(&mut self) {
        if self.is_patient {
            self.passed_over = 0;
        }
    }

    /// Nothing came.
    pub(super) fn is_in_vain(&mut self) {
        if self.is_patient {
            self.is_patient = false;
            self.passed_over = (2 * self.passed_over + 1).min(MOST_PASSED_OVER);
            self.pass_over = self.passed_over;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_is_soon_back_is_patient_until_that_is_in_vain() {
        let mut patience = Patience::default();
        assert_eq!(patience.looks(8), 8, "nothing is known yet");
        // As if it was back at once, whatever else this machine does.
        let back = |patience: &mut Patience| {
            patience.began = Some(Instant::now() + SOON);
            patience.looks(8)
        };
        assert_eq!(back(&mut patience), 32);
        assert_eq!(patience.looks(8), 32, "it stays so");
        for passed_over in [1, 3, 7, 15, 31, 63, 63] {
            patience.is_in_vain();
            for _ in 0..passed_over {
                assert_eq!(back(&mut patience), 8);
            }
            assert_eq!(back(&mut patience), 32);
        }
        patience.pays();
        patience.is_in_vain();
        assert_eq!(back(&mut patience), 8);
        assert_eq!(
            back(&mut patience),
            32,
            "once it paid, little is passed over"
        );
    }

    #[test]
    fn who_is_back_late_is_not() {
        let mut patience = Patience::default();
        for _ in 0..3 {
            assert_eq!(patience.looks(8), 8);
            crate::sync::thread::sleep(2 * SOON);
        }
        assert_eq!(patience.looks(0), 0);
    }
}
