//! From what happened to what it means: the site's expectations, applied in one place.

use jiff::Timestamp;
use sitewatch::event::Outcome;
use sitewatch::site::Site;

use super::observation::{BodySeen, Observation};

/// What an attempt says about its site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) outcome: Outcome,
    /// Why, for people; `None` when up.
    pub(crate) error: Option<String>,
    /// Whether an uplink of ours that is away would explain it.
    pub(crate) by_uplink: bool,
}

impl Judgement {
    fn up() -> Self {
        Self {
            outcome: Outcome::Up,
            error: None,
            by_uplink: false,
        }
    }

    fn down(outcome: Outcome, error: impl Into<String>) -> Self {
        Self {
            outcome,
            error: Some(error.into()),
            by_uplink: false,
        }
    }
}

/// Judges an attempt made at `now`; `None`: the site wants no event of such a response.
pub(crate) fn judge(site: &Site, seen: &Observation, now: Timestamp) -> Option<Judgement> {
    if let Some(failure) = &seen.failure {
        return Some(Judgement {
            by_uplink: failure.is_explained_by_uplink(),
            ..Judgement::down(failure.outcome, failure.text.clone())
        });
    }
    let Some(status) = seen.status else {
        return Some(Judgement::down(Outcome::Protocol, "no response"));
    };
    let expect = &site.expect;
    if expect.skip_status.contains(status) {
        return None;
    }
    if !expect.status.contains(status) {
        return Some(Judgement::down(
            Outcome::Status,
            format!("status {status}, expected {}", expect.status),
        ));
    }
    let unmet = expect
        .headers
        .iter()
        .zip(&seen.headers_met)
        .find(|(_, met)| !**met);
    if let Some(((name, pattern), _)) = unmet {
        return Some(Judgement::down(
            Outcome::Header,
            format!("no header {name} that matches {:?}", pattern.as_str()),
        ));
    }
    if let Some(body) = &seen.body
        && let Some(problem) = body_problem(site, body)
    {
        return Some(Judgement::down(Outcome::Body, problem));
    }
    if let (Some(days), Some(first)) = (site.tls.certificate_min_days, &seen.first_to_expire)
        && first.is_within(days, now)
    {
        let whose = first.subject.as_deref().unwrap_or("nobody named");
        return Some(Judgement::down(
            Outcome::Certificate,
            format!(
                "the certificate of {whose}, sent by {}, expires on {}, in less than {days} days",
                first.host,
                first.not_after.strftime("%Y-%m-%d")
            ),
        ));
    }
    let total = seen.phases.total();
    if let Some(limit) = expect.max_response_time
        && total > limit
    {
        return Some(Judgement::down(
            Outcome::Slow,
            format!("{} ms, at most {} ms", total.as_millis(), limit.as_millis()),
        ));
    }
    Some(Judgement::up())
}

fn body_problem(site: &Site, body: &BodySeen) -> Option<String> {
    let expect = &site.expect;
    let within = if body.cut {
        format!(" in the first {} bytes", body.bytes)
    } else {
        String::new()
    };
    if let (Some(pattern), Some(false)) = (&expect.regex, body.regex) {
        return Some(format!("{:?} not found{within}", pattern.as_str()));
    }
    let found = expect
        .regex_not
        .iter()
        .zip(&body.regex_not)
        .find(|(_, found)| **found);
    if let Some((pattern, _)) = found {
        return Some(format!("{:?} found", pattern.as_str()));
    }
    if let Some(problem) = &body.json_problem {
        return Some(problem.clone());
    }
    if let Some(least) = expect.min_body_size
        && body.bytes < least
        && !body.cut
    {
        return Some(format!("{} bytes, at least {least} expected", body.bytes));
    }
    if let Some(most) = expect.max_body_size
        && (body.bytes > most || (body.cut && body.bytes == most))
    {
        return Some(format!("more than {most} bytes"));
    }
    None
}
