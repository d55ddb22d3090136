//! Sets of HTTP statuses: `200-399`, `200,204,301-302`.

use std::fmt;

/// A set of statuses, as ranges. The default is 200–399: what browsers show as an answer, after
/// redirects were followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl Default for StatusSet {
    fn default() -> Self {
        Self(vec![(200, 399)])
    }
}

impl StatusSet {
    /// The empty set.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads statuses and ranges separated by commas.
    ///
    /// # Errors
    /// What is no status, in the text's own words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut ranges = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| {
                text.trim()
                    .parse::<u16>()
                    .ok()
                    .filter(|status| (100..=999).contains(status))
                    .ok_or_else(|| {
                        format!("{part:?} is no status from 100 to 999 or range of them")
                    })
            };
            let (low, high) = (number(low)?, number(high)?);
            if low > high {
                return Err(format!("{part:?} is a range that runs backwards"));
            }
            ranges.push((low, high));
        }
        Ok(Self(ranges))
    }

    /// Whether the status is in the set.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|&(low, high)| (low..=high).contains(&status))
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (low, high)) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            if low == high {
                write!(f, "{low}")?;
            } else {
                write!(f, "{low}-{high}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_statuses() {
        let set = StatusSet::parse("200-299, 301,404").unwrap();
        for (status, inside) in [
            (199, false),
            (200, true),
            (299, true),
            (300, false),
            (301, true),
            (404, true),
        ] {
            assert_eq!(set.contains(status), inside, "{status}");
        }
        assert_eq!(set.to_string(), "200-299,301,404");
        assert!(!StatusSet::none().contains(200));
    }

    #[test]
    fn what_is_no_status_is_named() {
        assert_eq!(
            StatusSet::parse("200,2xx").unwrap_err(),
            r#""2xx" is no status from 100 to 999 or range of them"#
        );
        assert_eq!(
            StatusSet::parse("399-200").unwrap_err(),
            r#""399-200" is a range that runs backwards"#
        );
        assert!(StatusSet::parse("").is_err());
    }
}
