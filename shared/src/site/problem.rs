//! What is wrong with a list of sites, for the person who wrote it.

use std::fmt;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteProblem {
    /// Position in the list, from 1; 0 for the list as a whole.
    pub position: usize,
    /// The site's name or URL, as far as it is known; empty when it is not.
    pub site: String,
    /// The field; empty for the site as a whole.
    pub field: String,
    /// What is wrong and what is wanted.
    pub text: String,
}

impl fmt::Display for SiteProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.position > 0 {
            write!(f, "site {}", self.position)?;
            if !self.site.is_empty() {
                write!(f, " ({})", self.site)?;
            }
            write!(f, ": ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{} ", self.field)?;
        }
        write!(f, "{}", self.text)
    }
}

/// Everything that is wrong with a list; never empty once it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteProblems(Vec<SiteProblem>);

impl SiteProblems {
    /// A problem of the list as a whole.
    #[must_use]
    pub fn of_list(text: impl Into<String>) -> Self {
        Self(vec![SiteProblem {
            position: 0,
            site: String::new(),
            field: String::new(),
            text: text.into(),
        }])
    }

    /// Adds a problem.
    pub fn add(&mut self, problem: SiteProblem) {
        self.0.push(problem);
    }

    /// The problems found, in the list's order.
    #[must_use]
    pub fn list(&self) -> &[SiteProblem] {
        &self.0
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for SiteProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SiteProblems {}
