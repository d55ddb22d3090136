//! The notations values are written in. A parser returns what is wrong, or an empty text when the
//! variable's own "wants" says it all.

use std::time::Duration;

/// `true`/`false`, `1`/`0`, `yes`/`no`, `on`/`off`, in any case.
///
/// # Errors
/// On any other word.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(String::new()),
    }
}

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

/// A duration above zero.
///
/// # Errors
/// As [`duration`], and on zero.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("zero".to_owned()),
        duration => Ok(duration),
    }
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

/// A whole number from `least` to `most`.
///
/// # Errors
/// On anything else.
pub fn count(least: u64, most: u64) -> impl Fn(&str) -> Result<u64, String> {
    move |text| match text.trim().parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        Ok(_) => Err(format!("not from {least} to {most}")),
        Err(_) => Err(String::new()),
    }
}

/// Text that is taken as it is.
///
/// # Errors
/// Never; the signature is that of the other notations.
pub fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// A path, absolute or from the working directory.
///
/// # Errors
/// Never; whether it can be read is found out where it is read.
pub fn path(text: &str) -> Result<std::path::PathBuf, String> {
    Ok(text.into())
}

/// One of a closed list of words, in any case.
///
/// # Errors
/// On any other word.
pub fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text))
            .map(|(_, value)| *value)
            .ok_or_else(String::new)
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
        assert!(positive_duration("0ms").is_err());
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
    fn booleans_and_counts() {
        assert_eq!(boolean("YES"), Ok(true));
        assert_eq!(boolean("off"), Ok(false));
        assert!(boolean("y").is_err());
        assert_eq!(count(1, 10)("10"), Ok(10));
        assert!(count(1, 10)("0").is_err());
        assert!(count(1, 10)("1.0").is_err());
    }
}
