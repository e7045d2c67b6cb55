//! How long messages of one subscription waited, and how long its handler took: sampled, written by whoever
//! runs it, read by anybody.

use crate::message::{TypeInfo, type_by_id};
use crate::stats::{Counter, Durations, Histograms};

/// One message in so many has its times taken, the first one included.
pub(crate) const SAMPLE_INTERVAL: u32 = 64;

const QUEUE_WAIT: usize = 0;
const HANDLER: usize = 1;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Times {
    histograms: Histograms<2>,
    slowest_nanos: Counter,
    /// Its number plus one; 0 if there is none yet.
    slowest_type: Counter,
}

impl Times {
    pub(crate) fn record(&self, waited: u64, took: u64, info: &TypeInfo) {
        self.histograms.record_alone(QUEUE_WAIT, waited);
        self.histograms.record_alone(HANDLER, took);
        if took >= self.slowest_nanos.get() {
            self.slowest_nanos.raise_alone(took);
            let old = self.slowest_type.get();
            self.slowest_type
                .add_alone((u64::from(info.id()) + 1).wrapping_sub(old));
        }
    }

    pub(crate) fn queue_wait(&self) -> Durations {
        self.histograms.snapshot(QUEUE_WAIT)
    }

    pub(crate) fn handler(&self) -> Durations {
        self.histograms.snapshot(HANDLER)
    }

    pub(crate) fn slowest(&self) -> Option<(u64, &'static TypeInfo)> {
        let number = self.slowest_type.get().checked_sub(1)?;
        let info = type_by_id(u32::try_from(number).ok()?)?;
        Some((self.slowest_nanos.get(), info))
    }
}
