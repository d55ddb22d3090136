//! Numbers as people read them.

use jiff::Timestamp;

pub(crate) use sitewatch::units::{lasting, milliseconds};
pub(crate) use sitewatch::words::printable;

/// The word for a value of `up`.
pub(crate) fn state(up: Option<bool>) -> &'static str {
    match up {
        Some(true) => "up",
        Some(false) => "down",
        None => "unknown",
    }
}

/// A time in UTC, to the second.
pub(crate) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A percentage; empty when there is none. Rounded down, so that only what never failed is 100 %, and
/// only what never did anything else is 0 %.
pub(crate) fn percentage(percentage: Option<f64>) -> String {
    // 100 * 9957 / 10000 is a little less than 99.57 in binary.
    let down = |value: f64, steps: f64| (value * steps + 1e-9).floor() / steps;
    match percentage {
        None => String::new(),
        Some(all) if all >= 100.0 => "100 %".to_owned(),
        Some(most) if most >= 99.0 => format!("{:.2} %", down(most, 100.0)),
        Some(none) if none <= 0.0 => "0 %".to_owned(),
        Some(little) if little < 0.1 => "<0.1 %".to_owned(),
        Some(some) => format!("{:.1} %", down(some, 10.0)),
    }
}

/// A percentage of the time, in thousandths, so that 99.99 % can be told from 99.999 %; rounded down
/// likewise.
pub(crate) fn share_of_time(percentage: Option<f64>) -> String {
    match percentage {
        None => String::new(),
        Some(all) if all >= 100.0 => "100 %".to_owned(),
        Some(some) => format!("{:.3} %", (some * 1_000.0 + 1e-9).floor() / 1_000.0),
    }
}

/// What is left of an amount of time: `8 min`, `-2 h 5 min`.
pub(crate) fn balance(seconds: i64) -> String {
    match seconds {
        ..0 => format!("-{}", lasting(seconds.saturating_neg())),
        _ => lasting(seconds),
    }
}

/// As [`printable`], without the characters that XML cannot have, escaped or not.
pub(crate) fn xml(text: &str) -> String {
    printable(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

/// Whole days that a certificate has left; once it has expired, those since then, one at least, as a
/// negative number.
pub(crate) fn days_left(seconds: i64) -> i64 {
    match seconds {
        0.. => seconds / 86_400,
        _ => (seconds / 86_400).min(-1),
    }
}

/// How long a certificate is still good for: `30 d`, `9 h`, `12 min`, `expired`.
pub(crate) fn validity(seconds: i64) -> String {
    match seconds {
        ..0 => "expired".to_owned(),
        0..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_once_is_never_a_hundred_per_cent() {
        for (value, text) in [
            (None, ""),
            (Some(100.0), "100 %"),
            (Some(99.999), "99.99 %"),
            (Some(99.999_999), "99.99 %"),
            (Some(100.0 * 9_999_999.0 / 10_000_000.0), "99.99 %"),
            (Some(100.0 * 9_957.0 / 10_000.0), "99.57 %"),
            (Some(99.5), "99.50 %"),
            (Some(98.999), "98.9 %"),
            (Some(98.96), "98.9 %"),
            (Some(100.0 / 3.0), "33.3 %"),
            (Some(0.1), "0.1 %"),
            (Some(0.099), "<0.1 %"),
            (Some(1e-9), "<0.1 %"),
            (Some(0.0), "0 %"),
        ] {
            assert_eq!(percentage(value), text);
        }
    }

    #[test]
    fn a_share_of_time_is_told_to_the_thousandth() {
        for (value, text) in [
            (None, ""),
            (Some(100.0), "100 %"),
            (Some(99.999_9), "99.999 %"),
            (Some(99.95), "99.950 %"),
            (Some(0.0), "0.000 %"),
        ] {
            assert_eq!(share_of_time(value), text);
        }
        assert_eq!(
            (balance(125), balance(-125)),
            ("2 min".to_owned(), "-2 min".to_owned())
        );
    }

    #[test]
    fn an_expired_certificate_is_expired_and_its_days_are_whole() {
        const HOUR: i64 = 3_600;
        for (seconds, days, text) in [
            (24 * HOUR * 30 + 5, 30, "30 d"),
            (48 * HOUR - 1, 1, "1 d"),
            (24 * HOUR, 1, "1 d"),
            (24 * HOUR - 1, 0, "23 h"),
            (HOUR, 0, "1 h"),
            (HOUR - 1, 0, "59 min"),
            (0, 0, "0 min"),
            (-1, -1, "expired"),
            (-HOUR, -1, "expired"),
            (-25 * HOUR, -1, "expired"),
            (-48 * HOUR + 1, -1, "expired"),
            (-48 * HOUR, -2, "expired"),
        ] {
            assert_eq!(days_left(seconds), days, "{seconds}");
            assert_eq!(validity(seconds), text, "{seconds}");
        }
    }
}
