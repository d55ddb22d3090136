//! An observation and its judgement → the event.

use std::borrow::Cow;
use std::time::Duration;

use sitewatch::event::{CheckEvent, MAX_ERROR, MAX_URL, VERSION};
use sitewatch::words::{printable, shortened};
use uuid::Uuid;

use super::Checked;
use super::trace::Clock;
use crate::schedule::Slot;

/// The event of a check's last attempt.
pub(super) fn event<'a>(
    checked: &'a Checked,
    location: &'a str,
    slot: Option<Slot>,
) -> CheckEvent<'a> {
    let Checked {
        site,
        checked_at,
        attempts,
        first_error,
        seen,
        judgement,
        evidence,
    } = checked;
    let certificate = seen.certificate.as_ref();
    let first = seen.first_to_expire.as_ref();
    CheckEvent {
        v: VERSION,
        id: Uuid::now_v7(),
        site: Cow::Borrowed(&site.name),
        url: Cow::Borrowed(site.url.as_str()),
        location: Cow::Borrowed(location),
        checked_at: *checked_at,
        scheduled_at: slot.map(|slot| slot.at),
        interval_ms: slot.map(|slot| slot.interval_ms),
        up: judgement.outcome.verdict().as_up(),
        outcome: judgement.outcome,
        error: judgement
            .error
            .as_ref()
            .map(|error| safe(error, MAX_ERROR).into()),
        status: seen.status,
        remote_addr: seen.remote,
        http_version: seen.http_version.map(Cow::Borrowed),
        dns_us: seen.phases.dns.map(microseconds),
        connect_us: seen.phases.connect.map(microseconds),
        tls_us: seen.phases.tls.map(microseconds),
        first_byte_us: seen.phases.first_byte.map(microseconds),
        body_us: seen.phases.body.map(microseconds),
        total_us: total(&seen.phases),
        local_wait_us: Some(microseconds(seen.local_wait)),
        clock: seen.clock.map(Clock::name).map(Cow::Borrowed),
        body_bytes: seen.body.as_ref().map(|body| body.bytes),
        body_match: seen.body.as_ref().and_then(|body| body.regex),
        certificate_not_after: certificate.and_then(|seen| seen.not_after),
        certificate_issuer: certificate
            .and_then(|seen| seen.issuer.as_ref())
            .map(|issuer| safe(issuer, MAX_ERROR).into()),
        certificate_error: certificate
            .and_then(|seen| seen.problem.as_ref())
            .map(|problem| safe(problem, MAX_ERROR).into()),
        chain_not_after: first.map(|first| first.not_after),
        chain_subject: first
            .and_then(|first| first.subject.as_ref())
            .map(|subject| safe(subject, MAX_ERROR).into()),
        chain_host: first.map(|first| safe(&first.host, MAX_ERROR).into()),
        tls_version: certificate.map(|seen| seen.tls_version.into()),
        redirects: seen.redirects,
        final_url: seen.final_url.as_ref().map(|url| safe(url, MAX_URL).into()),
        attempts: *attempts,
        first_error: first_error
            .as_ref()
            .map(|error| safe(error, MAX_ERROR).into()),
        evidence: evidence.as_deref().map(Cow::Borrowed),
        maintenance: site
            .maintenance
            .iter()
            .any(|window| window.contains(*checked_at)),
        labels: site
            .labels
            .iter()
            .map(|(name, value)| (Cow::Borrowed(name.as_str()), Cow::Borrowed(value.as_str())))
            .collect(),
    }
}

/// The sum of what the event says, not of what was measured: readers add the phases up.
fn total(phases: &super::trace::Phases) -> u32 {
    [
        phases.dns,
        phases.connect,
        phases.tls,
        phases.first_byte,
        phases.body,
    ]
    .into_iter()
    .flatten()
    .map(microseconds)
    .fold(0, u32::saturating_add)
}

fn microseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// Text that a server may have had a hand in, cut to `limit` characters (bytes would do, but the
/// event counts characters), without anything that a terminal or a log would obey.
pub(crate) fn safe(text: &str, limit: usize) -> String {
    shortened(&printable(text), limit).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_made_safe_and_short() {
        assert_eq!(safe("a\u{1b}[2Jb\r\nc", 100), "a\\u{1b}[2Jb\\u{d}\\u{a}c");
        assert_eq!(safe("\u{202e}abc", 100), "\\u{202e}abc");
        assert_eq!(safe(&"é".repeat(600), MAX_ERROR).chars().count(), MAX_ERROR);
        assert_eq!(safe("fits", 100), "fits");
    }
}
