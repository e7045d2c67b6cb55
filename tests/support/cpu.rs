//! How much CPU time this process has used.

use std::time::{Duration, Instant};

/// User and system time of the process, all threads together. `None` where the system does not say.
pub fn used() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the command stands in parentheses, and may have any characters in it.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    // Linux tells it in hundredths of a second, whatever its timer's frequency is.
    Some(Duration::from_millis((user + system) * 10))
}

/// The fraction of one core that the process uses over the next `window`, with this thread asleep. `None`
/// where the system does not say.
pub fn fraction_over(window: Duration) -> Option<f64> {
    let (begin, before) = (Instant::now(), used()?);
    std::thread::sleep(window);
    let after = used()?;
    Some((after - before).as_secs_f64() / begin.elapsed().as_secs_f64())
}
