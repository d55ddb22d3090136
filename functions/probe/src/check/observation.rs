//! What happened in one attempt. The verdict is computed from this alone.

use std::net::IpAddr;
use std::time::Duration;

use super::certificate::{CertificateSeen, FirstToExpire};
use super::evidence::Evidence;
use super::failure::Failure;
use super::trace::{Clock, Phases};

/// One attempt, as it went.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Observation {
    pub(crate) phases: Phases,
    /// The attempt's time that was not the site's; not part of the phases.
    pub(crate) local_wait: Duration,
    /// The clock that the phases were taken from.
    pub(crate) clock: Option<Clock>,
    /// The peer of the last connection.
    pub(crate) remote: Option<IpAddr>,
    /// Of the last TLS handshake.
    pub(crate) certificate: Option<CertificateSeen>,
    /// Of all hops' certificates and their chains.
    pub(crate) first_to_expire: Option<FirstToExpire>,
    /// The last response's status.
    pub(crate) status: Option<u16>,
    /// The last response's version, such as `1.1`.
    pub(crate) http_version: Option<&'static str>,
    /// Redirects followed.
    pub(crate) redirects: u16,
    /// Where they led; `None`: nowhere, none was followed.
    pub(crate) final_url: Option<String>,
    /// For each of the site's header expectations: whether it was met.
    pub(crate) headers_met: Vec<bool>,
    /// What was seen of the last response's body; `None`: no body was read.
    pub(crate) body: Option<BodySeen>,
    /// The last response, where the site wants that to be kept.
    pub(crate) evidence: Option<Evidence>,
    /// Why there is no complete answer; `None`: there is.
    pub(crate) failure: Option<Failure>,
}

/// What was seen of a body.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BodySeen {
    /// Bytes read, decompressed.
    pub(crate) bytes: u64,
    /// Whether reading ended at the site's limit, with more to come.
    pub(crate) cut: bool,
    /// Whether the site's pattern was found; `None`: it has none.
    pub(crate) regex: Option<bool>,
    /// For each pattern that must not be there: whether it was found.
    pub(crate) regex_not: Vec<bool>,
    /// What is wrong with the JSON; `None`: nothing, or nothing is expected of it.
    pub(crate) json_problem: Option<String>,
}
