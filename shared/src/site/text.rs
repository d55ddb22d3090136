//! Text of a site that may be kept elsewhere: in a variable or in a file.
//!
//! A site list may be written by people who must not know our secrets, and who could otherwise ask
//! for any of them to be sent to a server of theirs. So variables must begin with
//! [`SECRET_PREFIX`], and files are names within one directory, never paths.

use std::fmt;

/// What the names of variables that sites may refer to begin with.
pub const SECRET_PREFIX: &str = "SITE_SECRET_";

/// A text, or where to find it. Never shown: header values, passwords and bodies hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum Text {
    /// The text itself.
    Literal(String),
    /// The name of a variable that holds it.
    Environment(String),
    /// The name of a file that holds it, within the directory of secrets.
    File(String),
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("[hidden]"),
            Self::Environment(name) => write!(f, "[from {name}]"),
            Self::File(name) => write!(f, "[from file {name}]"),
        }
    }
}
