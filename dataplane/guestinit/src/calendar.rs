//! Civil time of a Unix time stamp, in UTC, without a library (H. Hinnant, "chrono-compatible low-level date
//! algorithms", `civil_from_days`).

use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A date and time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    second_of_day: u64,
    weekday: usize,
}

fn civil(unix_s: u64) -> Civil {
    let days = unix_s / 86_400;
    let shifted = days + 719_468; // Days since 0000-03-01.
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    Civil {
        year: year_of_era + era * 400 + u64::from(month <= 2),
        month,
        day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
        second_of_day: unix_s % 86_400,
        weekday: usize::try_from(days % 7).unwrap_or(0),
    }
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn clock(second_of_day: u64) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        second_of_day / 3600,
        second_of_day / 60 % 60,
        second_of_day % 60
    )
}

/// `2026/11/22 09:15:00`, as Go's `log` package writes it.
#[must_use]
pub fn log_stamp(unix_s: u64) -> String {
    let at = civil(unix_s);
    format!(
        "{}/{:02}/{:02} {}",
        at.year,
        at.month,
        at.day,
        clock(at.second_of_day)
    )
}

/// `Sun, 22 Nov 2026 09:15:00 GMT` (RFC 9110, section 5.6.7).
#[must_use]
pub fn http_date(unix_s: u64) -> String {
    let at = civil(unix_s);
    let month = MONTHS[usize::try_from(at.month).unwrap_or(1) - 1];
    format!(
        "{}, {:02} {month} {} {} GMT",
        DAYS[at.weekday],
        at.day,
        at.year,
        clock(at.second_of_day)
    )
}

/// [`log_stamp`] of now.
#[must_use]
pub fn log_stamp_now() -> String {
    log_stamp(now_s())
}

/// [`http_date`] of now.
#[must_use]
pub fn http_date_now() -> String {
    http_date(now_s())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(log_stamp(0), "1970/01/01 00:00:00");
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(log_stamp(1_709_164_800), "2024/02/29 00:00:00");
        assert_eq!(log_stamp(4_107_542_399), "2100/02/28 23:59:59");
        assert_eq!(log_stamp(4_107_542_400), "2100/03/01 00:00:00");
    }
}
