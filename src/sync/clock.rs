//! The clocks of the facade: raw ticks, and ticks read together with the monotonic and the wall clock. It is
//! *not* where ticks become times: `message/timestamp.rs` does that.
//!
//! In production ticks are those of the time-stamp counter where the CPU says that it runs at a constant rate
//! in all power states (x86-64, CPUID 8000_0007h, EDX bit 8), and else nanoseconds of the monotonic clock.
//! Models have no clock: every reading is zero.

pub(crate) use imp::{anchor_ticks, read, ticks};

/// All clocks, as of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// On the scale of [`ticks`].
    pub(crate) ticks: u64,
    /// Nanoseconds of the monotonic clock since the moment of [`anchor_ticks`].
    pub(crate) monotonic_nanos: u64,
    /// Nanoseconds of the wall clock since 1970, UTC; 0 if it stands before that.
    pub(crate) unix_nanos: u64,
}

impl Reading {
    /// Nanoseconds from those ticks to this reading, by interpolation between the anchor and the reading, so
    /// that the error of a reading is not magnified. 0 if they are from a CPU whose counter is ahead of this
    /// one's.
    pub(crate) fn age_of(&self, ticks: u64) -> u64 {
        let span = self.ticks.saturating_sub(anchor_ticks());
        let age = self.ticks.saturating_sub(ticks).min(span);
        let product = u128::from(age) * u128::from(self.monotonic_nanos);
        // The age is at most the span, so the quotient is at most the nanoseconds.
        u64::try_from(product.checked_div(u128::from(span)).unwrap_or(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(loom)]
mod imp {
    use super::Reading;

    pub(crate) fn ticks() -> u64 {
        0
    }

    pub(crate) fn anchor_ticks() -> u64 {
        0
    }

    pub(crate) fn read() -> Reading {
        Reading {
            ticks: 0,
            monotonic_nanos: 0,
            unix_nanos: 0,
        }
    }
}

#[cfg(not(loom))]
mod imp {
    use super::Reading;
    use ::std::sync::OnceLock;
    use ::std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    /// The first reading of the process, which all others are measured from.
    #[derive(Debug)]
    struct Anchor {
        counter: bool,
        ticks: u64,
        instant: Instant,
    }

    static ANCHOR: OnceLock<Anchor> = OnceLock::new();

    /// How often a reading is tried again because the thread was preempted in the middle of it.
    const READING_TRIES: u32 = 4;

    /// A reading that took no more ticks than this was not preempted: about a microsecond.
    const READING_TICKS: u64 = 3_000;

    #[inline]
    fn anchor() -> &'static Anchor {
        ANCHOR.get_or_init(first_reading)
    }

    #[cold]
    fn first_reading() -> Anchor {
        if tsc::is_invariant() {
            let (ticks, instant) = bracketed(Instant::now);
            Anchor {
                counter: true,
                ticks,
                instant,
            }
        } else {
            Anchor {
                counter: false,
                ticks: 0,
                instant: Instant::now(),
            }
        }
    }

    /// Ticks as of now. Never less than [`anchor_ticks`] on one thread; not a system call.
    #[inline]
    pub(crate) fn ticks() -> u64 {
        let anchor = anchor();
        if anchor.counter {
            tsc::read()
        } else {
            nanos(anchor.instant.elapsed())
        }
    }

    pub(crate) fn anchor_ticks() -> u64 {
        anchor().ticks
    }

    /// All clocks at once, to within what it takes to read them: some 100 ns.
    pub(crate) fn read() -> Reading {
        let anchor = anchor();
        let clocks = || (anchor.instant.elapsed(), SystemTime::now());
        let (ticks, (monotonic, wall)) = if anchor.counter {
            bracketed(clocks)
        } else {
            let (monotonic, wall) = clocks();
            (nanos(monotonic), (monotonic, wall))
        };
        Reading {
            ticks,
            monotonic_nanos: nanos(monotonic),
            unix_nanos: nanos(wall.duration_since(UNIX_EPOCH).unwrap_or_default()),
        }
    }

    /// Reads another clock between two readings of the counter, and gives their midpoint.
    fn bracketed<R>(clock: impl Fn() -> R) -> (u64, R) {
        let mut best = None;
        let mut best_width = u64::MAX;
        for _ in 0..READING_TRIES {
            let before = tsc::read();
            let value = clock();
            let width = tsc::read().saturating_sub(before);
            if best.is_none() || width < best_width {
                best = Some((before + width / 2, value));
                best_width = width;
            }
            if best_width <= READING_TICKS {
                break;
            }
        }
        best.expect("there is at least one try")
    }

    /// Saturates after 584 years.
    fn nanos(duration: Duration) -> u64 {
        u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
    }

    // miri interprets neither instruction.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    mod tsc {
        #![expect(unsafe_code, reason = "the time-stamp counter is read by an intrinsic")]
        #![allow(unused_unsafe, reason = "__cpuid is a safe function since Rust 1.94")]

        use ::std::arch::x86_64::{__cpuid, _rdtsc};

        const EXTENDED_LEAVES: u32 = 0x8000_0000;
        const POWER_LEAF: u32 = 0x8000_0007;
        const INVARIANT_TSC: u32 = 1 << 8;

        pub(super) fn is_invariant() -> bool {
            // SAFETY: every x86-64 CPU has CPUID
            let last_leaf = unsafe { __cpuid(EXTENDED_LEAVES) }.eax;
            // SAFETY: as above
            let power = || unsafe { __cpuid(POWER_LEAF) };
            last_leaf >= POWER_LEAF && power().edx & INVARIANT_TSC != 0
        }

        #[inline]
        pub(super) fn read() -> u64 {
            // SAFETY: every x86-64 CPU has a time-stamp counter
            unsafe { _rdtsc() }
        }
    }

    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    mod tsc {
        pub(super) fn is_invariant() -> bool {
            false
        }

        pub(super) fn read() -> u64 {
            unreachable!("only read where it is invariant")
        }
    }
}
