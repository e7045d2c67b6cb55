//! Points in time as JSON has them: text, in UTC. It is no calendar.

use crate::Timestamp;
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// A timestamp as ISO 8601 text with milliseconds, in UTC: `2025-11-30T09:15:00.250+0000`.
///
/// ```
/// use stasis_bus::json::timestamp;
/// use stasis_bus::Message;
///
/// let text = timestamp(Message::new(()).timestamp());
/// assert!(text.as_str().is_some_and(|text| text.len() == 28 && text.ends_with("+0000")));
/// ```
#[must_use]
pub fn timestamp(timestamp: Timestamp) -> Value {
    iso(timestamp.unix_nanos() / NANOS_A_MILLI).into()
}

/// The same of a time of std's. What is before 1970 counts as 1970.
///
/// ```
/// use stasis_bus::json::system_time;
/// use std::time::UNIX_EPOCH;
/// assert_eq!(system_time(UNIX_EPOCH), "1970-01-01T00:00:00.000+0000");
/// ```
#[must_use]
pub fn system_time(time: SystemTime) -> Value {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    // Times whose year has more than four digits are cut off there.
    let millis = since.as_millis().min(u128::from(LAST_MILLI));
    iso(u64::try_from(millis).unwrap_or(LAST_MILLI)).into()
}

/// The last one of the year 9999.
const LAST_MILLI: u64 = 253_402_300_799_999;

const NANOS_A_MILLI: u64 = 1_000_000;
const MILLIS_A_DAY: u64 = 86_400_000;

/// Milliseconds since 1970-01-01, UTC.
fn iso(millis: u64) -> String {
    let (days, rest) = (millis / MILLIS_A_DAY, millis % MILLIS_A_DAY);
    let (year, month, day) = civil(days);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}+0000")
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar. Years begin in March here, so
/// that the day that may be missing is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    // 0000-03-01 is 719,468 days before.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leaps = day_of_era / 1_460 + day_of_era / 146_096;
    let year_of_era = (day_of_era + day_of_era / 36_524 - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000+0000"),
            (951_782_399_999, "2000-02-28T23:59:59.999+0000"),
            (951_782_400_000, "2000-02-29T00:00:00.000+0000"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000+0000"),
            (1_735_689_599_250, "2024-12-31T23:59:59.250+0000"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000+0000"),
        ] {
            assert_eq!(iso(millis), text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil(0);
        for days in 1..60_000 {
            let today = civil(days);
            let next_day = today == (before.0, before.1, before.2 + 1);
            let next_month = today == (before.0, before.1 + 1, 1) && before.2 >= 28;
            let next_year = today == (before.0 + 1, 1, 1) && (before.1, before.2) == (12, 31);
            assert!(next_day || next_month || next_year, "{before:?} {today:?}");
            before = today;
        }
    }
}
