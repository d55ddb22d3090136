//! The state of each site, from each place it is checked from.

use jiff::Timestamp;
use postgres::types::Type;
use postgres::{Client, Row};
use serde::Serialize;
use sitewatch::postgres::{begin, explain};
use sitewatch::run::Failure;

use crate::output::{self, Line, milliseconds, time};
use crate::settings::Settings;

/// One site as seen from one place. The fields are the columns of CSV and the keys of JSON.
#[derive(Debug, Serialize)]
pub(crate) struct SiteLine {
    pub(crate) site: String,
    /// Without credentials.
    pub(crate) url: String,
    /// Null for a site that was never checked.
    pub(crate) location: Option<String>,
    /// `up`, `down` or `unknown`.
    pub(crate) state: &'static str,
    /// Since when it is up or down; null when unknown.
    pub(crate) since: Option<Timestamp>,
    pub(crate) checked_at: Option<Timestamp>,
    pub(crate) outcome: Option<String>,
    pub(crate) status: Option<i16>,
    /// Percentage of the checks of the last 24 hours that found the site up; checks that could not
    /// be made do not count. Null without checks.
    pub(crate) uptime_24h: Option<f64>,
    pub(crate) checks_24h: i64,
    pub(crate) dns_us: Option<i32>,
    pub(crate) connect_us: Option<i32>,
    pub(crate) tls_us: Option<i32>,
    pub(crate) first_byte_us: Option<i32>,
    pub(crate) body_us: Option<i32>,
    pub(crate) total_us: Option<i32>,
    pub(crate) certificate_not_after: Option<Timestamp>,
    pub(crate) error: Option<String>,
}

/// Uptime is counted over raw checks; a site appears once a place, and once without place when it
/// was never checked.
const QUERY: &str = "
    with uptime as (
        select website_id, location_id,
            count(up) as known,
            count(*) filter (where up) as up
        from checks
        where checked_at > now() - interval '24 hours'
        group by website_id, location_id
    )
    select websites.name, websites.url, locations.name,
        case
            when state.checked_at < now() - greatest(
                make_interval(secs => $1),
                make_interval(secs => 3 * coalesce(websites.check_interval, 0))
            ) then null
            else state.up
        end,
        state.since, state.checked_at, outcomes.word, checks.status,
        100.0::float8 * uptime.up / nullif(uptime.known, 0), coalesce(uptime.known, 0),
        checks.dns_us, checks.connect_us, checks.tls_us, checks.first_byte_us, checks.body_us,
        checks.total_us, state.certificate_not_after, checks.error
    from websites
    left join website_states as state on state.website_id = websites.id
    left join locations on locations.id = state.location_id
    left join outcomes on outcomes.code = state.outcome
    left join checks on checks.website_id = state.website_id
        and checks.checked_at = state.checked_at
        and checks.location_id = state.location_id
    left join uptime on uptime.website_id = state.website_id
        and uptime.location_id = state.location_id
    where websites.enabled or state.website_id is not null
    order by websites.name, locations.name";

/// Reads the state of every site, what is broken first.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(client: &mut Client, settings: &Settings) -> Result<Vec<SiteLine>, Failure> {
    let wrong = |error: postgres::Error| explain("reading the state of the sites", &error);
    let mut transaction = begin(client, &settings.database).map_err(wrong)?;
    let rows = transaction
        .query_typed(
            QUERY,
            &[(&settings.stale_after.as_secs_f64(), Type::FLOAT8)],
        )
        .map_err(wrong)?;
    let mut sites: Vec<SiteLine> = rows.iter().map(site).collect();
    // Stable: within a state the names stay in order.
    sites.sort_by_key(|site| match site.state {
        "down" => 0,
        "unknown" => 1,
        _ => 2,
    });
    Ok(sites)
}

fn site(row: &Row) -> SiteLine {
    let up: Option<bool> = row.get(3);
    SiteLine {
        site: row.get(0),
        url: output::without_credentials(row.get(1)),
        location: row.get(2),
        state: output::state(up),
        since: row.get::<_, Option<Timestamp>>(4).filter(|_| up.is_some()),
        checked_at: row.get(5),
        outcome: row.get(6),
        status: row.get(7),
        uptime_24h: row.get(8),
        checks_24h: row.get(9),
        dns_us: row.get(10),
        connect_us: row.get(11),
        tls_us: row.get(12),
        first_byte_us: row.get(13),
        body_us: row.get(14),
        total_us: row.get(15),
        certificate_not_after: row.get(16),
        error: row.get(17),
    }
}

impl Line for SiteLine {
    const HEADER: &'static [&'static str] = &[
        "site",
        "state",
        "since",
        "up 24 h",
        "status",
        "dns",
        "connect",
        "tls",
        "first byte",
        "body",
        "total",
        "why",
    ];

    fn state(&self) -> &'static str {
        self.state
    }

    fn cells(&self) -> Vec<String> {
        let site = match &self.location {
            Some(location) if location != "default" => format!("{} ({location})", self.site),
            _ => self.site.clone(),
        };
        let why = match (&self.error, self.checked_at, self.state) {
            (_, None, _) => "never checked".to_owned(),
            (None, Some(checked_at), "unknown") => format!("no check since {}", time(checked_at)),
            (error, ..) => error.clone().unwrap_or_default(),
        };
        vec![
            site,
            self.state.to_owned(),
            self.since.map(time).unwrap_or_default(),
            self.uptime_24h
                .map(|percent| format!("{percent:.1} %"))
                .unwrap_or_default(),
            self.status
                .map(|status| status.to_string())
                .unwrap_or_default(),
            milliseconds(self.dns_us),
            milliseconds(self.connect_us),
            milliseconds(self.tls_us),
            milliseconds(self.first_byte_us),
            milliseconds(self.body_us),
            milliseconds(self.total_us),
            why,
        ]
    }
}
