//! What is wrong with a configuration, for the person who wrote it.

use std::fmt;

use super::Variable;
use crate::words::shortened;

/// One thing that is wrong: where, and what is wanted instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable (or file) at fault; empty when the text names it itself.
    pub on: String,
    /// What is wrong with it and what to write instead; never a secret's value.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.on.is_empty() {
            return f.write_str(&self.text);
        }
        write!(f, "{} {}", self.on, self.text)
    }
}

/// Everything that is wrong with a configuration; never empty once it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    /// Whether a file of variables was not read: what is missing may well stand there.
    is_file_unread: bool,
}

/// A list of 10,000 sites generated with one mistake has 10,000 problems; these many tell enough.
const SHOWN: usize = 50;

/// Characters of what was given: enough to recognise it, too few to flood a log.
const MAX_GIVEN: usize = 80;

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [problem] = self.list.as_slice() {
            return write!(f, "{problem}");
        }
        write!(f, "{} problems in the configuration", self.list.len())?;
        for problem in self.list.iter().take(SHOWN) {
            write!(f, "\n  {problem}")?;
        }
        if self.list.len() > SHOWN {
            write!(f, "\n  and {} more", self.list.len() - SHOWN)?;
        }
        Ok(())
    }
}

impl Problems {
    /// A single problem.
    #[must_use]
    pub fn one(on: impl Into<String>, text: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.add(on, text);
        problems
    }

    /// Adds a problem.
    pub fn add(&mut self, on: impl Into<String>, text: impl Into<String>) {
        self.list.push(Problem {
            on: on.into(),
            text: text.into(),
        });
    }

    /// The problems found so far.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// Adds what is wrong with a file of variables.
    pub(super) fn unread_file(&mut self, on: impl Into<String>, text: impl Into<String>) {
        self.is_file_unread = true;
        self.add(on, text);
    }

    /// Adds that something is not set, unless it may stand in a file that was not read.
    pub(super) fn absence(&mut self, on: impl Into<String>, text: impl Into<String>) {
        if !self.is_file_unread {
            self.add(on, text);
        }
    }

    pub(super) fn missing(&mut self, variable: &Variable) {
        let file = variable
            .file_name()
            .map(|file| format!(" (or {file}=path)"))
            .unwrap_or_default();
        self.absence(
            variable.name,
            format!(
                "is not set; wants {}, for example {}={}{file}",
                variable.wants, variable.name, variable.example
            ),
        );
    }

    pub(super) fn malformed(&mut self, variable: &Variable, given: &str, why: &str) {
        let given = if variable.secret {
            "does not fit".to_owned()
        } else {
            format!("is {:?}", shortened(given, MAX_GIVEN))
        };
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(": {why}")
        };
        self.add(
            variable.name,
            format!(
                "{given}{why}; wants {}, for example {}",
                variable.wants, variable.example
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_problems_is_cut() {
        let mut problems = Problems::one("SITES:", "site 1: url is missing");
        assert_eq!(problems.to_string(), "SITES: site 1: url is missing");
        for _ in 0..SHOWN {
            problems.add("SITES:", "site 2: url is missing");
        }
        let text = problems.to_string();
        assert!(text.starts_with("51 problems in the configuration\n  SITES: site 1"));
        assert!(text.ends_with("\n  and 1 more"), "{text}");
        assert_eq!(text.lines().count(), 1 + SHOWN + 1);
    }
}
