//! What a run tells its scheduler: the exit codes and the ways to end.

use std::fmt;

use crate::settings::Problems;

/// The exit codes, as documented in the README; from `sysexits.h` where that has one that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The work is done. A site that is down is data, not a failure.
    Done = 0,
    /// A site is down and the person asked to be told so by the exit code.
    Down = 1,
    /// An argument that is not known.
    Usage = 64,
    /// Kafka or PostgreSQL cannot be reached or refused us, or this machine kept every check from
    /// being made; nothing is lost.
    Unavailable = 69,
    /// An internal error.
    InternalError = 70,
    /// Part of the work is left and nobody is doing it; nothing is lost.
    Unfinished = 75,
    /// The configuration is wrong; trying again does not help.
    Configuration = 78,
}

impl Exit {
    /// The number the process ends with.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Why a run could not do its work. The text is one sentence (or a list of problems) for people:
/// what failed, on what, what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Kafka or PostgreSQL cannot be reached or refused us.
    Unavailable(String),
    /// Something that cannot happen happened.
    InternalError(String),
    /// Part of the work is left; the next run takes it up.
    Unfinished(String),
    /// What the person configured is wrong.
    Configuration(Problems),
}

impl Failure {
    /// The code this failure ends the process with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unavailable(_) => Exit::Unavailable,
            Self::InternalError(_) => Exit::InternalError,
            Self::Unfinished(_) => Exit::Unfinished,
            Self::Configuration(_) => Exit::Configuration,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(text) | Self::Unfinished(text) => f.write_str(text),
            Self::InternalError(text) => {
                write!(f, "{text}; this is an internal error, please report it")
            }
            Self::Configuration(problems) => write!(f, "{problems}"),
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}
