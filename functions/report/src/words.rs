//! Figures as people read them.

use jiff::Timestamp;

pub(crate) use sitewatch::words::{milliseconds, printable};

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

/// A percentage; empty when there is none. Rounded down, so that only what never failed is 100 %.
pub(crate) fn percentage(percentage: Option<f64>) -> String {
    match percentage {
        None => String::new(),
        Some(all) if all >= 100.0 => "100 %".to_owned(),
        Some(most) if most >= 99.0 => format!("{:.2} %", (most * 100.0).floor() / 100.0),
        Some(some) => format!("{:.1} %", (some * 10.0).floor() / 10.0),
    }
}

/// How long something took or lasts: `8 s`, `3 min`, `2 h 5 min`, `4 d 7 h`.
pub(crate) fn lasting(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_to_two_units() {
        for (seconds, text) in [
            (8, "8 s"),
            (200, "3 min"),
            (7_500, "2 h 5 min"),
            (371_000, "4 d 7 h"),
        ] {
            assert_eq!(lasting(seconds), text);
        }
    }

    #[test]
    fn what_failed_once_is_never_a_hundred_per_cent() {
        for (value, text) in [
            (None, ""),
            (Some(100.0), "100 %"),
            (Some(99.999), "99.99 %"),
            (Some(99.5), "99.50 %"),
            (Some(98.96), "98.9 %"),
            (Some(100.0 / 3.0), "33.3 %"),
            (Some(0.0), "0.0 %"),
        ] {
            assert_eq!(percentage(value), text);
        }
    }
}
