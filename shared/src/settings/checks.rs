//! Which sites there are, and what holds for those that say nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::{Reader, parse, var};
use crate::site::{
    AddressFamily, Agree, CaFile, Confirm, Limits, Recover, Request, SiteDefaults, SiteProblems,
    StatusSet, Timeouts, Tls, VerdictRule,
};

/// Where the list of sites is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteSource {
    /// Here: the text of `SITES`, or of the file that `SITES_FILE` names.
    List {
        /// What to name in messages about it.
        on: String,
        /// The list.
        text: String,
    },
    /// In the table `websites`.
    Database,
    /// Nowhere: none of the variables is set.
    Unset,
}

impl SiteSource {
    /// What is wrong with a list, as problems of the configuration, one a line.
    pub fn blame(on: &str, problems: &SiteProblems, reader: &mut Reader) {
        for problem in problems.list() {
            reader.problem(format!("{on}:"), problem.to_string());
        }
    }
}

/// Reads where the sites are; `None` means that problems were added.
pub fn site_source(reader: &mut Reader) -> Option<SiteSource> {
    let given: Vec<&str> = [&var::SITES, &var::SITES_FILE, &var::SITES_FROM]
        .into_iter()
        .filter(|variable| reader.is_set(variable))
        .map(|variable| variable.name)
        .collect();
    if given.is_empty() {
        return Some(SiteSource::Unset);
    }
    if given.len() > 1 {
        reader.problem(
            given.join(" and "),
            "are both set; keep one source of sites",
        );
        return None;
    }
    if let Some(text) = reader.optional(&var::SITES, parse::text) {
        return Some(SiteSource::List {
            on: var::SITES.name.to_owned(),
            text,
        });
    }
    if let Some(path) = reader.optional(&var::SITES_FILE, parse::path) {
        return match std::fs::read_to_string(&path) {
            Ok(text) => Some(SiteSource::List {
                on: path.display().to_string(),
                text,
            }),
            Err(error) => {
                reader.problem(
                    var::SITES_FILE.name,
                    format!("is {path:?}, which cannot be read: {error}"),
                );
                None
            }
        };
    }
    reader.optional(&var::SITES_FROM, parse::word(&[("database", ())]))?;
    Some(SiteSource::Database)
}

/// Reads what holds for sites that say nothing else.
pub fn check_defaults(reader: &mut Reader) -> SiteDefaults {
    let timeouts = Timeouts {
        total: reader.or_default(&var::CHECK_TIMEOUT, timeout),
        connect: reader.optional(&var::CHECK_CONNECT_TIMEOUT, timeout),
        first_byte: reader.optional(&var::CHECK_FIRST_BYTE_TIMEOUT, timeout),
    };
    let retries = small(reader.or_default(&var::CHECK_RETRIES, parse::count(0, 100)));
    let limits = limits(reader, &timeouts, retries);
    SiteDefaults {
        interval: reader.or_default(&var::CHECK_INTERVAL, interval),
        timeouts,
        retries,
        retry_delay: reader.or_default(&var::CHECK_RETRY_DELAY, parse::duration),
        body_limit: reader.or_default(&var::CHECK_MAX_BODY, body_limit),
        capture: reader.or_default(&var::CHECK_CAPTURE, capture),
        status: reader.or_default(&var::CHECK_STATUS, StatusSet::parse),
        max_response_time: reader.optional(&var::CHECK_MAX_RESPONSE_TIME, parse::positive_duration),
        verdict: VerdictRule {
            confirm: reader.or_default(&var::CHECK_CONFIRM, Confirm::parse),
            recover: reader.or_default(&var::CHECK_RECOVER, Recover::parse),
            agree: reader.or_default(&var::CHECK_AGREE, Agree::parse),
        },
        request: Arc::new(request_defaults(reader)),
        tls: Arc::new(Tls {
            ca_file: reader
                .optional(&var::CHECK_TLS_CA_FILE, parse::path)
                .map(CaFile::OfOperator),
            certificate_min_days: reader
                .optional(&var::CHECK_CERTIFICATE_MIN_DAYS, parse::count(0, 3_650))
                .map(small),
            ..Tls::default()
        }),
        limits,
    }
}

/// What sites may ask for: no less than they are given unasked.
fn limits(reader: &mut Reader, timeouts: &Timeouts, retries: u16) -> Limits {
    let usual = Limits::default();
    let limits = Limits {
        timeout: reader
            .optional(&var::CHECK_MAX_TIMEOUT, timeout)
            .unwrap_or_else(|| usual.timeout.max(timeouts.total)),
        retries: reader
            .optional(&var::CHECK_MAX_RETRIES, parse::count(0, 100))
            .map_or_else(|| usual.retries.max(retries), small),
    };
    if timeouts.total > limits.timeout {
        reader.problem(
            var::CHECK_TIMEOUT.name,
            format!(
                "is {:?}, more than CHECK_MAX_TIMEOUT ({:?})",
                timeouts.total, limits.timeout
            ),
        );
    }
    if retries > limits.retries {
        reader.problem(
            var::CHECK_RETRIES.name,
            format!(
                "is {retries}, more than CHECK_MAX_RETRIES ({})",
                limits.retries
            ),
        );
    }
    limits
}

fn request_defaults(reader: &mut Reader) -> Request {
    Request {
        max_redirects: small(reader.or_default(&var::CHECK_MAX_REDIRECTS, parse::count(0, 50))),
        user_agent: reader.optional(&var::CHECK_USER_AGENT, |text| {
            if text.chars().any(char::is_control) {
                return Err("contains a control character".to_owned());
            }
            Ok(text.to_owned())
        }),
        address_family: reader.or_default(
            &var::CHECK_ADDRESS_FAMILY,
            parse::word(&[
                ("any", AddressFamily::Any),
                ("ipv4", AddressFamily::V4),
                ("ipv6", AddressFamily::V6),
            ]),
        ),
        compression: reader.or_default(&var::CHECK_COMPRESSION, parse::boolean),
        ..Request::default()
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    match parse::duration(text)? {
        interval if interval < Duration::from_secs(1) => Err("less than 1s".to_owned()),
        interval => Ok(interval),
    }
}

fn body_limit(text: &str) -> Result<u64, String> {
    match parse::size(text)? {
        size if size > crate::site::MAX_BODY => Err("more than 1GiB".to_owned()),
        size => Ok(size),
    }
}

/// What a message and a page still bear.
fn capture(text: &str) -> Result<usize, String> {
    match parse::size(text)? {
        size if size > 64 << 10 => Err("more than 64KiB".to_owned()),
        size => Ok(size as usize),
    }
}

/// Half an hour: what the event's microseconds hold.
fn timeout(text: &str) -> Result<Duration, String> {
    match parse::positive_duration(text)? {
        timeout if timeout > Duration::from_secs(1_800) => Err("more than 30m".to_owned()),
        timeout => Ok(timeout),
    }
}

/// The counts here are bounded far below this type's end.
fn small(count: u64) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}
