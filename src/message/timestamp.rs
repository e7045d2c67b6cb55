//! When a message was made, and what that is as a time. The counter itself is read in `sync/clock.rs`.

use crate::sync::atomic::Ordering;
use crate::sync::clock;
use crate::sync::unmodelled::AtomicU64;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When a message was made.
///
/// Taking one costs about ten nanoseconds and no system call: it is a raw reading of the CPU's time-stamp
/// counter, where that runs at a constant rate (x86-64 with an invariant counter), with a resolution of a
/// nanosecond or less. Elsewhere it is a reading of the monotonic clock.
///
/// It becomes a time only when somebody asks, for some 100 ns: the wall clock as of now, less the age of the
/// timestamp, which the monotonic clock measures. So a step of the wall clock moves the times of all
/// timestamps that are read after it, and two readings of one timestamp may differ by the error of a
/// reading, some 100 ns. To put messages in order, compare the timestamps: that never changes. Counters of
/// different CPUs are as close as the kernel keeps them, which is less than it takes to hand a message over.
///
/// ```
/// use stasis_bus::Message;
/// use std::time::{Duration, SystemTime};
///
/// let first = Message::new(1);
/// let second = Message::new(2);
/// assert!(first.timestamp() <= second.timestamp());
///
/// let age = SystemTime::now().duration_since(first.timestamp().to_system_time());
/// assert!(age.unwrap_or_default() < Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// This moment.
    #[inline]
    #[must_use]
    pub fn now() -> Self {
        Self(clock::ticks())
    }

    /// Nanoseconds since 1970-01-01, UTC. See the type for its error.
    #[must_use]
    pub fn unix_nanos(self) -> u64 {
        let now = clock::read();
        now.unix_nanos.saturating_sub(now.age_of(self.0))
    }

    /// The same as std's type. See the type for its error.
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.unix_nanos())
    }

    /// Nanoseconds from then to now, by a clock that has no steps. 0 if `self` is from a CPU whose counter is
    /// ahead of this one's.
    #[inline]
    #[must_use]
    pub fn elapsed_nanos(self) -> u64 {
        let now = clock::ticks();
        match known_rate() {
            Some(rate) => rate.nanos(now.saturating_sub(self.0)),
            None => clock::read().age_of(self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({} ns)", self.unix_nanos())
    }
}

/// Nanoseconds in 2^32 ticks.
#[derive(Clone, Copy, Debug)]
struct Rate(u64);

impl Rate {
    #[inline]
    fn nanos(self, ticks: u64) -> u64 {
        let nanos = (u128::from(ticks) * u128::from(self.0)) >> 32;
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// The rate is good enough to keep when it was measured over this long: an error of 100 ns is then 1 ppm.
const RATE_SPAN_NANOS: u64 = 100_000_000;

/// The rate once it is good enough, else 0.
static RATE: AtomicU64 = AtomicU64::new(0);

#[inline]
fn known_rate() -> Option<Rate> {
    // Relaxed: the number is all there is; `measure_rate` publishes nothing with it.
    match RATE.load(Ordering::Relaxed) {
        0 => measure_rate(),
        rate => Some(Rate(rate)),
    }
}

#[cold]
fn measure_rate() -> Option<Rate> {
    let now = clock::read();
    if now.monotonic_nanos < RATE_SPAN_NANOS {
        return None;
    }
    let span = now.ticks.saturating_sub(clock::anchor_ticks());
    let rate = (u128::from(now.monotonic_nanos) << 32).checked_div(u128::from(span))?;
    let rate = u64::try_from(rate).ok()?;
    // Relaxed: as in `known_rate`; whoever measures twice stores two good rates.
    RATE.store(rate, Ordering::Relaxed);
    Some(Rate(rate))
}
