//! Counters and histograms that are written by one thread at a time, or with a relaxed add, and read by
//! anybody at any time without stopping anything. Nobody reads through them: they order nothing.

use crate::sync::atomic::Ordering;
use crate::sync::unmodelled::{AtomicU8, AtomicU32, AtomicU64, OnceBox};
use std::fmt;

/// A number that counts up.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds where one thread at a time writes: a load and a store.
    #[inline]
    pub(crate) fn add_alone(&self, n: u64) {
        // Relaxed: a figure, see the module.
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now.wrapping_add(n), Ordering::Relaxed);
    }

    /// Adds where several threads write.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        // Relaxed: a figure, see the module.
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Keeps the greater one, where one thread at a time writes.
    #[inline]
    pub(crate) fn raise_alone(&self, n: u64) {
        // Relaxed: a figure, see the module.
        if self.0.load(Ordering::Relaxed) < n {
            self.0.store(n, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        // Relaxed: a figure, see the module.
        self.0.load(Ordering::Relaxed)
    }
}

/// How many buckets a histogram has.
const BUCKETS: usize = 24;

/// The first bucket holds what is below this many nanoseconds, each following one what is below twice as
/// many.
const FIRST_BOUND_NANOS: u64 = 128;

/// `N` histograms of durations, in buckets whose bounds double: 128 ns to about one second, and what is
/// longer in the last one. They are small as long as they hold little: a byte for each bucket, and what
/// goes beyond that is carried into words that the first carry allocates.
#[derive(Debug)]
pub(crate) struct Histograms<const N: usize> {
    counts: [[AtomicU8; BUCKETS]; N],
    /// How often each count has wrapped.
    carries: OnceBox<[[AtomicU32; BUCKETS]; N]>,
}

impl<const N: usize> Default for Histograms<N> {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| Default::default()),
            carries: OnceBox::new(),
        }
    }
}

impl<const N: usize> Histograms<N> {
    /// Where one thread at a time writes.
    pub(crate) fn record_alone(&self, histogram: usize, nanos: u64) {
        let bucket = bucket_of(nanos);
        let count = &self.counts[histogram][bucket];
        // Relaxed: a figure, see the module.
        let next = count.load(Ordering::Relaxed).wrapping_add(1);
        count.store(next, Ordering::Relaxed);
        if next == 0 {
            self.carry(histogram, bucket);
        }
    }

    #[cold]
    fn carry(&self, histogram: usize, bucket: usize) {
        let carries = self
            .carries
            .get_or_init(|| Box::new(std::array::from_fn(|_| Default::default())));
        let carried = &carries[histogram][bucket];
        // Relaxed: a figure, see the module. Whoever reads between the two stores misses 256 samples.
        let now = carried.load(Ordering::Relaxed);
        carried.store(now.saturating_add(1), Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, histogram: usize) -> Durations {
        let carries = self.carries.get();
        // Relaxed: figures, see the module.
        Durations(std::array::from_fn(|bucket| {
            let count = self.counts[histogram][bucket].load(Ordering::Relaxed);
            let carried =
                carries.map_or(0, |words| words[histogram][bucket].load(Ordering::Relaxed));
            (u64::from(carried) << u8::BITS) + u64::from(count)
        }))
    }
}

fn bucket_of(nanos: u64) -> usize {
    let doublings = u64::BITS - (nanos / FIRST_BOUND_NANOS).leading_zeros();
    (doublings as usize).min(BUCKETS - 1)
}

/// A histogram of durations, as of one moment. It is sampled: see where it comes from.
///
/// Its buckets' bounds double, from 128 ns to about a second, so a quantile is exact to a factor of two, on
/// the high side.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations([u64; BUCKETS]);

impl Durations {
    /// How many durations were recorded.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.0.iter().sum()
    }

    /// A bound in nanoseconds that the fraction `q` of the samples does not exceed; `None` if there are none.
    /// `q` is taken as between 0 and 1. The last bucket has no bound: it gives `u64::MAX`.
    #[must_use]
    pub fn quantile_nanos(&self, q: f64) -> Option<u64> {
        let samples = self.samples();
        if samples == 0 {
            return None;
        }
        let rank = ((samples as f64 * q.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        self.buckets().find_map(|(bound, count)| {
            seen += count;
            (seen >= rank).then_some(bound)
        })
    }

    /// The buckets: the bound in nanoseconds that the bucket stays below, and how many durations fell into
    /// it.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().enumerate().map(|(index, &count)| {
            let bound = if index == BUCKETS - 1 {
                u64::MAX
            } else {
                FIRST_BOUND_NANOS << index
            };
            (bound, count)
        })
    }

    /// Adds the samples of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }
}

impl fmt::Debug for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durations")
            .field("samples", &self.samples())
            .field("p50_nanos", &self.quantile_nanos(0.5))
            .field("p99_nanos", &self.quantile_nanos(0.99))
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn buckets_double() {
        assert_eq!(
            (bucket_of(0), bucket_of(127), bucket_of(128), bucket_of(255)),
            (0, 0, 1, 1)
        );
        assert_eq!(bucket_of(256), 2);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_upper_bounds() {
        let histograms = Histograms::<2>::default();
        assert_eq!(histograms.snapshot(1).quantile_nanos(0.5), None);
        for nanos in [10, 20, 30, 1_000_000] {
            histograms.record_alone(1, nanos);
        }
        assert_eq!(histograms.snapshot(0).samples(), 0);
        let durations = histograms.snapshot(1);
        assert_eq!(durations.samples(), 4);
        assert_eq!(durations.quantile_nanos(0.5), Some(128));
        let top = durations.quantile_nanos(1.0).unwrap();
        assert!((1_000_000..=2_097_152).contains(&top), "{top}");
    }

    #[test]
    fn a_bucket_holds_more_than_a_byte() {
        let histograms = Histograms::<1>::default();
        for _ in 0..1_000 {
            histograms.record_alone(0, 1);
        }
        histograms.record_alone(0, 200);
        let durations = histograms.snapshot(0);
        assert_eq!(durations.samples(), 1_001);
        assert_eq!(durations.buckets().next(), Some((128, 1_000)));
    }
}
