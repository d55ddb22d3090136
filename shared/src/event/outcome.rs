//! How a check ended, in one word from a closed list.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a check ended.
///
/// Each word has a number, which is what `checks.outcome` stores (two bytes a row instead of a
/// word). Words and numbers are only ever added, never reused: rows and topics outlive releases.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[repr(i16)]
pub enum Outcome {
    /// Every expectation was met.
    Up = 0,
    /// The status is not one the site expects.
    Status = 1,
    /// The body is not as expected: a regular expression, a JSON value or a size.
    Body = 2,
    /// A response header is not as expected.
    Header = 3,
    /// Everything was right, but later than the site's `max_response_time`.
    Slow = 4,
    /// No complete answer within the site's timeout.
    Timeout = 5,
    /// The host name has no address, or name servers that answer otherwise did not answer for it.
    Dns = 6,
    /// No connection: refused, unreachable, or cut while it was being made.
    Connect = 7,
    /// The TLS handshake failed for another reason than the certificate.
    Tls = 8,
    /// The certificate is not to be trusted, or expires sooner than the site allows.
    Certificate = 9,
    /// Too many redirects, a redirect to nowhere, or one the site forbids.
    Redirect = 10,
    /// What came back is not HTTP, or it ended before it was complete.
    Protocol = 11,
    /// The address is one that `PROBE_DENY_NETWORKS` forbids: the check was not made.
    Denied = 12,
    /// The check could not be made for a reason of our own: no route, no name server that answers, no
    /// uplink (as far as canaries tell), no file descriptors, no memory, or a timeout that our own
    /// CPU caused. Says nothing about the site.
    Local = 13,
}

/// What a check says about its site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The site is as expected.
    Up,
    /// The site is not as expected.
    Down,
    /// The check could not be made, so nothing is known.
    Unknown,
}

impl Verdict {
    /// The event's and the tables' form: true, false, and null for unknown.
    #[must_use]
    pub fn as_up(self) -> Option<bool> {
        match self {
            Self::Up => Some(true),
            Self::Down => Some(false),
            Self::Unknown => None,
        }
    }
}

impl Outcome {
    /// Every outcome, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::Up,
        Self::Status,
        Self::Body,
        Self::Header,
        Self::Slow,
        Self::Timeout,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Certificate,
        Self::Redirect,
        Self::Protocol,
        Self::Denied,
        Self::Local,
    ];

    /// The number that `checks.outcome` stores.
    #[must_use]
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The outcome with this number, or `None` when this release does not know it.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }

    /// The word in events, reports and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Status => "status",
            Self::Body => "body",
            Self::Header => "header",
            Self::Slow => "slow",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Redirect => "redirect",
            Self::Protocol => "protocol",
            Self::Denied => "denied",
            Self::Local => "local",
        }
    }

    /// What this outcome says about the site.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Up => Verdict::Up,
            Self::Denied | Self::Local => Verdict::Unknown,
            Self::Status
            | Self::Body
            | Self::Header
            | Self::Slow
            | Self::Timeout
            | Self::Dns
            | Self::Connect
            | Self::Tls
            | Self::Certificate
            | Self::Redirect
            | Self::Protocol => Verdict::Down,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positions_and_words_are_what_serde_writes() {
        for (position, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(usize::try_from(outcome.code()), Ok(position));
            assert_eq!(Outcome::from_code(outcome.code()), Some(outcome));
            assert_eq!(
                serde_json::to_value(outcome).unwrap(),
                serde_json::Value::from(outcome.word())
            );
        }
        assert_eq!(Outcome::from_code(14), None);
        assert_eq!(Outcome::from_code(-1), None);
    }

    #[test]
    fn only_up_is_up_and_what_was_not_looked_at_is_unknown() {
        for outcome in Outcome::ALL {
            let expected = match outcome {
                Outcome::Up => Some(true),
                Outcome::Denied | Outcome::Local => None,
                _ => Some(false),
            };
            assert_eq!(outcome.verdict().as_up(), expected, "{outcome:?}");
        }
    }
}
