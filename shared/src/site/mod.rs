//! `Site`: what to check and what counts as up.
//!
//! A site is read from a list (JSON, or plain URLs) or from a row of `websites`; the same fields
//! everywhere, the same parser behind all of them. A [`Site`] that exists is valid: URLs, patterns,
//! header names and ranges were checked when it was read, and everything that was
//! wrong with the list was told at once ([`SiteProblems`]).
//!
//! Options that most sites leave alone are behind an [`Arc`] and shared, so that a list of 100,000
//! sites costs little more than its names and URLs.

mod fields;
mod hash;
mod json;
mod list;
mod maintenance;
mod parse;
mod pattern;
mod problem;
mod row;
mod status;
#[cfg(test)]
mod tests;
mod text;
mod verdict;

pub use hash::stable_hash;
pub use list::{default_name, parse_list, parse_objects};
pub use maintenance::MaintenanceWindow;
pub(crate) use parse::MAX_BODY;
pub use pattern::Pattern;
pub use problem::{SiteProblem, SiteProblems};
pub use row::{Row, fields_of_row, rows_of_list};
pub use status::StatusSet;
pub use text::{SECRET_PREFIX, Text};
pub use verdict::{Agree, Confirm, Recover, VerdictRule};

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

/// One site to check, with everything that its list left out filled in from [`SiteDefaults`].
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Unique within a list, at most [`MAX_NAME`](crate::event::MAX_NAME) characters.
    pub name: String,
    /// What is asked for; http or https, without user name, password and fragment.
    pub url: Url,
    /// Whether it is checked at all.
    pub enabled: bool,
    /// How often; at least one second.
    pub interval: Duration,
    /// How long each part of an attempt may take.
    pub timeouts: Timeouts,
    /// Attempts after a first one that failed.
    pub retries: u16,
    /// How long to wait before each of them.
    pub retry_delay: Duration,
    /// The most that is read of a page, in bytes after decompression; no more than the default.
    pub body_limit: u64,
    /// How much of the body of a response that failed is kept as evidence, in bytes, with the head; 0:
    /// nothing of either. No more than the default.
    pub capture: usize,
    /// How to ask.
    pub request: Arc<Request>,
    /// How to connect securely.
    pub tls: Arc<Tls>,
    /// What counts as up.
    pub expect: Expect,
    /// How its checks become one verdict.
    pub verdict: VerdictRule,
    /// Carried into every event.
    pub labels: BTreeMap<String, String>,
    /// When its checks are marked so that they are not counted.
    pub maintenance: Vec<MaintenanceWindow>,
}

/// How long an attempt and its parts may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The whole attempt, redirects and body included.
    pub total: Duration,
    /// Making a connection, TLS included; `None`: bounded by `total` alone.
    pub connect: Option<Duration>,
    /// From the request sent to the head of the response; `None`: bounded by `total` alone.
    pub first_byte: Option<Duration>,
}

/// How to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method, upper case.
    pub method: String,
    /// Further headers, in the list's order.
    pub headers: Vec<(String, Text)>,
    /// The body; `None`: no body.
    pub body: Option<Text>,
    /// The credentials; `None`: none.
    pub auth: Option<Auth>,
    /// What the server knows us by; `None`: our name and version.
    pub user_agent: Option<String>,
    /// Which way requests go.
    pub proxy: Proxy,
    /// Host names (lower case) that have these addresses, whatever DNS says.
    pub resolve: BTreeMap<String, IpAddr>,
    /// Which kind of address is used.
    pub address_family: AddressFamily,
    /// The address of ours that connections come from; `None`: the system chooses.
    pub source_address: Option<IpAddr>,
    /// Whether a compressed answer is asked for.
    pub compression: bool,
    /// Redirects followed before the next one is too many; 0: a redirect is the answer.
    pub max_redirects: u16,
}

/// Credentials of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Basic`.
    Basic {
        /// The user name.
        username: Text,
        /// The password.
        password: Text,
    },
    /// `Authorization: Bearer`.
    Bearer(Text),
}

/// Which way requests go.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Proxy {
    /// As `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    #[default]
    Environment,
    /// Directly, whatever the environment says.
    None,
    /// Through this proxy (`http://[user:password@]host[:port]`).
    Through(Text),
}

/// Which kind of address is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum AddressFamily {
    /// Whichever answers first, IPv6 with a head start (RFC 8305).
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// How to connect securely. Sites with equal settings share one TLS context.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Tls {
    /// Whether a certificate that is not to be trusted is tolerated. It is reported all the same.
    pub accept_invalid: bool,
    /// PEM file of the CA certificates that count; `None`: the system's.
    pub ca_file: Option<CaFile>,
    /// PEM files of our certificate (with its chain) and its key, inside `SITES_TLS_DIR`; `None`: we
    /// have none.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The name that is sent (SNI) and that the certificate must have; `None`: the URL's host.
    pub server_name: Option<String>,
    /// The oldest version that is spoken; `None`: TLS 1.2.
    pub min_version: Option<TlsVersion>,
    /// The certificate must be good for this many days; `None`: until it expires.
    pub certificate_min_days: Option<u16>,
}

/// A file of CA certificates, by who names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CaFile {
    /// The operator, who may name any (`CHECK_TLS_CA_FILE`).
    OfOperator(PathBuf),
    /// A site: it is inside `SITES_TLS_DIR`.
    OfSite(PathBuf),
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// 1.0, long broken; for devices that speak nothing else.
    V1_0,
    /// 1.1, long broken.
    V1_1,
    /// 1.2.
    V1_2,
    /// 1.3.
    V1_3,
}

/// What counts as up.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Expect {
    /// The statuses that count as up.
    pub status: StatusSet,
    /// The statuses after which there is no event at all.
    pub skip_status: StatusSet,
    /// What the body must contain.
    pub regex: Option<Arc<Pattern>>,
    /// What the body must not contain.
    pub regex_not: Vec<Arc<Pattern>>,
    /// JSON pointers (RFC 6901) into the body, and the value each must have.
    pub json: Vec<(String, serde_json::Value)>,
    /// Headers (lower case) and what one of their values must match.
    pub headers: Vec<(String, Arc<Pattern>)>,
    /// Least bytes of the decompressed body.
    pub min_body_size: Option<u64>,
    /// Most bytes of the decompressed body.
    pub max_body_size: Option<u64>,
    /// Longest response time, without our own waiting.
    pub max_response_time: Option<Duration>,
}

/// What holds for sites that say nothing else: the `CHECK_*` variables.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteDefaults {
    /// See [`Site::interval`].
    pub interval: Duration,
    /// See [`Site::timeouts`].
    pub timeouts: Timeouts,
    /// See [`Site::retries`].
    pub retries: u16,
    /// See [`Site::retry_delay`].
    pub retry_delay: Duration,
    /// See [`Site::body_limit`].
    pub body_limit: u64,
    /// See [`Site::capture`].
    pub capture: usize,
    /// See [`Expect::status`].
    pub status: StatusSet,
    /// See [`Expect::max_response_time`].
    pub max_response_time: Option<Duration>,
    /// See [`Site::verdict`].
    pub verdict: VerdictRule,
    /// See [`Site::request`].
    pub request: Arc<Request>,
    /// See [`Site::tls`].
    pub tls: Arc<Tls>,
    /// What a site may ask for at most.
    pub limits: Limits,
}

/// What a site may ask for at most, whoever wrote it. `body_limit` and `capture` have the defaults of
/// these names for their limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest timeout of each kind, and the longest wait before a retry (`CHECK_MAX_TIMEOUT`).
    pub timeout: Duration,
    /// The most retries (`CHECK_MAX_RETRIES`).
    pub retries: u16,
}

impl Default for Limits {
    /// The documented defaults of the variables.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            retries: 10,
        }
    }
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: None,
            auth: None,
            user_agent: None,
            proxy: Proxy::default(),
            resolve: BTreeMap::new(),
            address_family: AddressFamily::default(),
            source_address: None,
            compression: true,
            // As many as curl's and the browsers' habits need twice over; a longer chain is a loop.
            max_redirects: 10,
        }
    }
}

impl Default for SiteDefaults {
    /// The documented defaults of the `CHECK_*` variables.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            timeouts: Timeouts {
                total: Duration::from_secs(10),
                connect: None,
                first_byte: None,
            },
            retries: 0,
            retry_delay: Duration::from_secs(1),
            body_limit: 1 << 20,
            capture: 0,
            status: StatusSet::default(),
            max_response_time: None,
            verdict: VerdictRule::default(),
            request: Arc::default(),
            tls: Arc::default(),
            limits: Limits::default(),
        }
    }
}
