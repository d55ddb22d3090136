//! How the checks of a site become one verdict. Probes only pass it on; the database applies it
//! (`evaluate_checks` in `migrations`), with the same notation and limits as here.

use std::fmt;

/// How the checks of a site become one verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct VerdictRule {
    /// When a location takes the site for down.
    pub confirm: Confirm,
    /// When it takes it for up again.
    pub recover: Recover,
    /// How many locations have to be down before the site is.
    pub agree: Agree,
}

/// The most checks that a rule may look back on, and the most locations that it may ask for.
const MOST: u8 = 99;

/// A location is down when so many of its last checks failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// So many failures, from 1 …
    failures: u8,
    /// … of the last so many checks, no fewer.
    checks: u8,
}

/// A location that is down is up again when so many checks in a row found the site up; from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recover(u8);

/// How many of the locations that report have to be down before the site is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Agree {
    /// One.
    #[default]
    Any,
    /// More than half.
    Majority,
    /// Every one.
    All,
    /// So many, from 1, or all where fewer report.
    Locations(u8),
}

impl Default for Confirm {
    fn default() -> Self {
        Self {
            failures: 1,
            checks: 1,
        }
    }
}

impl Default for Recover {
    fn default() -> Self {
        Self(1)
    }
}

impl Confirm {
    /// Reads `3` (all of the last three) or `3/5`.
    ///
    /// # Errors
    /// Why the text is neither; empty when it is nothing of the kind.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (failures, checks) = match text.split_once('/') {
            Some((failures, checks)) => (number(failures)?, number(checks)?),
            None => (number(text)?, number(text)?),
        };
        if failures > checks {
            return Err(format!("{failures} of {checks} checks cannot fail"));
        }
        Ok(Self { failures, checks })
    }
}

impl Recover {
    /// Reads a number.
    ///
    /// # Errors
    /// Why the text is none; empty when it is nothing of the kind.
    pub fn parse(text: &str) -> Result<Self, String> {
        number(text).map(Self)
    }
}

impl Agree {
    /// Reads `any`, `majority`, `all` or a number.
    ///
    /// # Errors
    /// Why the text is none of them; empty when it is nothing of the kind.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "any" => Ok(Self::Any),
            "majority" => Ok(Self::Majority),
            "all" => Ok(Self::All),
            other => number(other).map(Self::Locations),
        }
    }
}

fn number(text: &str) -> Result<u8, String> {
    let number: u64 = text.trim().parse().map_err(|_| String::new())?;
    match u8::try_from(number) {
        Ok(number @ 1..=MOST) => Ok(number),
        _ => Err(format!("{number} is not from 1 to {MOST}")),
    }
}

impl fmt::Display for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.failures)?;
        if self.failures < self.checks {
            write!(f, "/{}", self.checks)?;
        }
        Ok(())
    }
}

impl fmt::Display for Recover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Agree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Majority => f.write_str("majority"),
            Self::All => f.write_str("all"),
            Self::Locations(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        for (text, written) in [("1", "1"), (" 3 ", "3"), ("3/5", "3/5"), ("5 / 5", "5")] {
            assert_eq!(
                Confirm::parse(text).map(|it| it.to_string()),
                Ok(written.to_owned())
            );
        }
        for text in ["any", "majority", "all", "2"] {
            assert_eq!(
                Agree::parse(text).map(|it| it.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!(
            Recover::parse("99").map(|it| it.to_string()),
            Ok("99".to_owned())
        );
    }

    #[test]
    fn what_could_never_be_is_refused() {
        for text in ["0", "100", "5/3", "3/", "/3", "-1", "1.5", "three", ""] {
            assert!(Confirm::parse(text).is_err(), "{text}");
        }
        for text in ["0", "100", "some", "Any", ""] {
            assert!(Agree::parse(text).is_err(), "{text}");
        }
        assert!(Recover::parse("0").is_err());
        assert_eq!(
            Confirm::parse("5/3"),
            Err("5 of 3 checks cannot fail".to_owned())
        );
    }
}
