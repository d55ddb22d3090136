//! What is told, a line each. The fields are the columns of CSV and the keys of JSON, in this
//! order; README.md beside this crate describes them, and a test holds it to that. Fields are only
//! ever added.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

/// A site as seen from one location.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SiteLine {
    pub(crate) site: String,
    /// Without credentials.
    pub(crate) url: String,
    /// Null for a site that was never checked.
    pub(crate) location: Option<String>,
    /// `up`, `down`, `unknown` or `unmonitored`: as seen from the location.
    pub(crate) state: &'static str,
    /// Since when it is up or down; null otherwise.
    pub(crate) since: Option<Timestamp>,
    pub(crate) checked_at: Option<Timestamp>,
    pub(crate) outcome: Option<String>,
    pub(crate) status: Option<i16>,
    /// Percentage of the checks of the last 24 hours that found the site up; checks that could not
    /// be made and those in maintenance do not count. Null without checks.
    pub(crate) uptime_24h: Option<f64>,
    pub(crate) checks_24h: i64,
    pub(crate) dns_us: Option<i32>,
    pub(crate) connect_us: Option<i32>,
    pub(crate) tls_us: Option<i32>,
    pub(crate) first_byte_us: Option<i32>,
    pub(crate) body_us: Option<i32>,
    pub(crate) total_us: Option<i32>,
    pub(crate) certificate_not_after: Option<Timestamp>,
    /// What the newest check found; null when nothing was wrong.
    pub(crate) error: Option<String>,
    pub(crate) uptime_7d: Option<f64>,
    pub(crate) uptime_30d: Option<f64>,
    pub(crate) uptime_90d: Option<f64>,
    /// Of whole checks of the last 24 hours in which an answer came.
    pub(crate) p50_us: Option<i32>,
    pub(crate) p95_us: Option<i32>,
    pub(crate) p99_us: Option<i32>,
    /// Whole days; once it has expired, days since then, one at least, as a negative number.
    pub(crate) certificate_days: Option<i64>,
    /// The same in seconds, for those who say it in words.
    #[serde(skip)]
    pub(crate) certificate_left_s: Option<i64>,
    pub(crate) certificate_issuer: Option<String>,
    /// What the newest failed check of the last 31 days found.
    pub(crate) last_error: Option<String>,
    pub(crate) last_error_at: Option<Timestamp>,
    /// `name=value`, separated by commas.
    pub(crate) labels: String,
    /// The state of the site, from all its locations: `degraded` as well.
    pub(crate) verdict: &'static str,
    /// Since when it is up, degraded or down; null otherwise.
    pub(crate) verdict_since: Option<Timestamp>,
    /// Percentage of the last 24 hours that checks cover, from the first one of all on; null where
    /// the probe was told no period.
    pub(crate) coverage_24h: Option<f64>,
    pub(crate) coverage_7d: Option<f64>,
    pub(crate) coverage_30d: Option<f64>,
    pub(crate) coverage_90d: Option<f64>,
    /// Checks for slots that had one already, in the hours of the last 24 that are rolled up.
    pub(crate) duplicates_24h: i64,
    /// When the first expires of all certificates that the check depended on, those of redirects'
    /// servers and of the chains that they sent included. Null without, and from probes that do not
    /// look at them.
    pub(crate) chain_not_after: Option<Timestamp>,
    /// As `certificate_days`.
    pub(crate) chain_days: Option<i64>,
    /// The same in seconds.
    #[serde(skip)]
    pub(crate) chain_left_s: Option<i64>,
    /// Whose that certificate is; null where it names nobody.
    pub(crate) chain_subject: Option<String>,
    /// The host that sent it.
    pub(crate) chain_host: Option<String>,
}

impl SiteLine {
    /// When the first certificate expires of those that are known, and how many seconds are left.
    pub(crate) fn first_expiry(&self) -> Option<(Timestamp, i64)> {
        self.chain_not_after
            .zip(self.chain_left_s)
            .or_else(|| self.certificate_not_after.zip(self.certificate_left_s))
    }

    /// Whose certificate that is, where it names somebody, and who sends it; `None` for the site's own.
    pub(crate) fn first_to_expire(&self) -> Option<(Option<&str>, &str)> {
        if self.chain_not_after == self.certificate_not_after {
            return None;
        }
        let host = self.chain_host.as_deref()?;
        Some((self.chain_subject.as_deref(), host))
    }
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CheckLine {
    pub(crate) checked_at: Timestamp,
    pub(crate) site: String,
    /// Without credentials.
    pub(crate) url: String,
    pub(crate) location: String,
    /// `up`, `down` or `unknown`.
    pub(crate) state: &'static str,
    pub(crate) outcome: String,
    pub(crate) status: Option<i16>,
    pub(crate) body_match: Option<bool>,
    pub(crate) dns_us: Option<i32>,
    pub(crate) connect_us: Option<i32>,
    pub(crate) tls_us: Option<i32>,
    pub(crate) first_byte_us: Option<i32>,
    pub(crate) body_us: Option<i32>,
    pub(crate) total_us: i32,
    pub(crate) local_wait_us: Option<i32>,
    pub(crate) body_bytes: Option<i32>,
    pub(crate) redirects: i16,
    pub(crate) attempts: i16,
    pub(crate) remote_addr: Option<std::net::IpAddr>,
    pub(crate) error: Option<String>,
    pub(crate) maintenance: bool,
    /// What it received, when it failed; null without `REPORT_EVIDENCE`, and where nothing is kept.
    pub(crate) evidence: Option<String>,
}

/// A stretch of time in which a site was down.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IncidentLine {
    pub(crate) site: String,
    /// The locations that saw it, separated by commas.
    pub(crate) location: String,
    /// The check after which it was down.
    pub(crate) opened_at: Timestamp,
    /// The first one after which it was not; null: none yet.
    pub(crate) closed_at: Option<Timestamp>,
    /// Seconds until then, or until now, or until the last check when nothing is known since.
    pub(crate) duration_s: i64,
    /// `recovered`, `ongoing`, or `unknown` when the site is not checked any more.
    pub(crate) ended: &'static str,
    /// Of the first failed check.
    pub(crate) outcome: String,
    /// Likewise.
    pub(crate) error: Option<String>,
    /// Checks that failed meanwhile.
    pub(crate) checks: i64,
    /// The first failed check that led to it: before `opened_at` where that takes several.
    pub(crate) first_failed_at: Timestamp,
    /// The last one.
    pub(crate) last_failed_at: Timestamp,
}

/// A site's UTC day, once it is over.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DayLine {
    pub(crate) day: Date,
    pub(crate) site: String,
    pub(crate) location: String,
    /// All of them: up, down, unknown and in maintenance.
    pub(crate) checks: i32,
    pub(crate) up: i32,
    pub(crate) down: i32,
    pub(crate) unknown: i32,
    pub(crate) maintenance: i32,
    /// Percentage; null without checks that count.
    pub(crate) uptime: Option<f64>,
    /// Of whole checks in which an answer came.
    pub(crate) p50_us: Option<i32>,
    pub(crate) p95_us: Option<i32>,
    pub(crate) p99_us: Option<i32>,
}

/// The last run of a function.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunLine {
    pub(crate) function: String,
    pub(crate) started_at: Timestamp,
    pub(crate) duration_ms: i64,
    pub(crate) exit_code: i16,
    /// A JSON object, as text: name to number.
    pub(crate) figures: String,
}

/// What a channel was to be told of a site and has not taken.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NotificationLine {
    pub(crate) decided_at: Timestamp,
    /// Its name in `NOTIFY_URLS`.
    pub(crate) channel: String,
    pub(crate) event: String,
    pub(crate) site: String,
    /// The number that messages name.
    pub(crate) incident: i64,
    /// `pending` or `given_up`.
    pub(crate) state: &'static str,
    /// Attempts that failed.
    pub(crate) attempts: i32,
    /// Null: it is not tried again.
    pub(crate) next_attempt_at: Option<Timestamp>,
    /// Null: it is tried again.
    pub(crate) given_up_at: Option<Timestamp>,
    /// Why the latest attempt failed; null: there was none.
    pub(crate) error: Option<String>,
}

/// How an availability objective was met in a period: by a site, or by all those of a group.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SlaLine {
    /// `site` or `group`.
    pub(crate) scope: &'static str,
    /// Null for a group.
    pub(crate) site: Option<String>,
    /// The value of the label that groups; null: the site has none, or there are no groups.
    pub(crate) group: Option<String>,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) sites: u64,
    /// Those of them that have met the target.
    pub(crate) sites_met: u64,
    /// Seconds from the later of the period's beginning and the first check to the earlier of its
    /// end, now, and the last check when the site is not checked any more; of a group the sum, as
    /// all that follows.
    pub(crate) monitored_s: i64,
    /// Percentage of these without an incident; null when there are none.
    pub(crate) uptime: Option<f64>,
    pub(crate) downtime_s: i64,
    pub(crate) incidents: i64,
    /// Percentage of the time that checks cover; null where the probe was told no period.
    pub(crate) coverage: Option<f64>,
    /// For how long nobody looked; null likewise, or where it is so for a site of the group.
    pub(crate) uncovered_s: Option<i64>,
    /// The objective: the percentage that the uptime should not be below.
    pub(crate) target: f64,
    /// The error budget: for how long the site may be down until the period ends.
    pub(crate) budget_s: i64,
    /// What is left of it; negative once it is overdrawn.
    pub(crate) budget_left_s: i64,
    /// Null: not known.
    pub(crate) met: Option<bool>,
}
