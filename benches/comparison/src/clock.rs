//! The time that the process has spent on all cores.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// CPU time of all threads so far, ended ones included, in user and kernel mode.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().expect("not negative"),
        time.tv_nsec.try_into().expect("below a second"),
    )
}
