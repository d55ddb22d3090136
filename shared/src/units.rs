//! Durations, sizes and numbers of things, read from text and written for people.

use std::time::Duration;

/// `500ms`, `10s`, `1.5` (seconds), `2m`, `1h`, `90d`; one number, one unit.
///
/// # Errors
/// On anything else, a negative number among it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| String::new())?;
    let seconds_per_unit = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        unit => return Err(format!("unit {unit:?} is not one of ms, s, m, h, d")),
    };
    Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|_| "too long".to_owned())
}

/// `64KiB`, `1MB`, `512` (bytes); `k`, `M`, `G` count in 1000, `Ki`, `Mi`, `Gi` in 1024.
///
/// # Errors
/// On anything else.
pub fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| String::new())?;
    let unit = unit.trim().to_ascii_lowercase();
    let factor: u64 = match unit.strip_suffix('b').unwrap_or(&unit) {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        _ => {
            return Err(format!(
                "unit {unit:?} is not one of B, kB, MB, GB, KiB, MiB, GiB"
            ));
        }
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| "too large".to_owned())
}

/// A number and the noun that goes with it: `1 site`, `7 sites`.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A duration as people say it: `8 ms`, `1.24 s`, `3 min 20 s`.
#[must_use]
pub fn human(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        // Rounded down: there are no 60.00 s.
        1_000..60_000 => format!(
            "{}.{:02} s",
            milliseconds / 1_000,
            milliseconds % 1_000 / 10
        ),
        _ => format!(
            "{} min {} s",
            milliseconds / 60_000,
            milliseconds / 1_000 % 60
        ),
    }
}

/// How long something took or lasts: `8 s`, `3 min`, `2 h 5 min`, `4 d 7 h`. Nothing less than `0 s`: a
/// probe's clock may be a little ahead.
#[must_use]
pub fn lasting(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// Microseconds; empty for what did not happen. The unit changes where rounding would reach it.
#[must_use]
pub fn milliseconds(microseconds: Option<impl Into<f64>>) -> String {
    match microseconds.map(Into::into) {
        None => String::new(),
        // What happened took some time.
        Some(us) if us < 50.0 => "<0.1 ms".to_owned(),
        Some(us) if us < 9_950.0 => format!("{:.1} ms", us / 1_000.0),
        Some(us) if us < 999_500.0 => format!("{:.0} ms", us / 1_000.0),
        Some(us) => format!("{:.2} s", us / 1_000_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("1.5", 1_500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("90d", 7_776_000_000),
            (" 3 s ", 3_000),
            ("0", 0),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "-1s",
            "s",
            "1w",
            "1.2.3",
            "ten",
            "1e3",
            "99999999999999999999d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("64KiB", 65_536),
            ("1MB", 1_000_000),
            ("512", 512),
            ("2 GiB", 2 << 30),
            ("1k", 1_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "-1", "1.5MB", "1TB", "99999999999GiB", "MB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_said_in_the_unit_that_it_has_reached() {
        for (milliseconds, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.00 s"),
            (1_239, "1.23 s"),
            (59_999, "59.99 s"),
            (60_000, "1 min 0 s"),
            (200_900, "3 min 20 s"),
        ] {
            assert_eq!(human(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn durations_have_three_digits_at_most_before_the_unit_changes() {
        for (us, text) in [
            (None, ""),
            (Some(0), "<0.1 ms"),
            (Some(49), "<0.1 ms"),
            (Some(50), "0.1 ms"),
            (Some(412), "0.4 ms"),
            (Some(9_949), "9.9 ms"),
            (Some(9_950), "10 ms"),
            (Some(12_340), "12 ms"),
            (Some(999_499), "999 ms"),
            (Some(999_500), "1.00 s"),
            (Some(1_234_000), "1.23 s"),
        ] {
            assert_eq!(milliseconds(us), text);
        }
    }

    #[test]
    fn durations_are_rounded_to_two_units() {
        for (seconds, text) in [
            (-5, "0 s"),
            (0, "0 s"),
            (8, "8 s"),
            (59, "59 s"),
            (60, "1 min"),
            (200, "3 min"),
            (3_599, "59 min"),
            (3_600, "1 h 0 min"),
            (7_500, "2 h 5 min"),
            (86_399, "23 h 59 min"),
            (86_400, "1 d 0 h"),
            (371_000, "4 d 7 h"),
        ] {
            assert_eq!(lasting(seconds), text);
        }
    }
}
