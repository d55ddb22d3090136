//! The notations values are written in. A parser returns what is wrong, or an empty text when the
//! variable's own "wants" says it all.

use std::time::Duration;

pub use crate::units::{duration, size};

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
    fn booleans_and_counts() {
        assert!(positive_duration("0ms").is_err());
        assert_eq!(boolean("YES"), Ok(true));
        assert_eq!(boolean("off"), Ok(false));
        assert!(boolean("y").is_err());
        assert_eq!(count(1, 10)("10"), Ok(10));
        assert!(count(1, 10)("0").is_err());
        assert!(count(1, 10)("1.0").is_err());
    }
}
