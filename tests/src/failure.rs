//! Why a part of the stack did not do what was asked.

use std::{
    error::Error,
    fmt::{self, Debug, Display, Formatter},
};

/// What went wrong, in words, followed by the end of the log of the server concerned.
///
/// `Debug` prints the same text as `Display`, because tests see it through `unwrap`.
pub struct Failure(String);

impl Failure {
    pub(crate) fn new(what: impl Display) -> Self {
        Self(what.to_string())
    }

    /// The failure with the last lines of a log beneath it.
    pub(crate) fn with_log(what: impl Display, log: &str) -> Self {
        Self(format!("{what}\n--- end of the log ---\n{log}"))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Debug for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {}
