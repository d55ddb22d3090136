//! The latest checks, as they were recorded.

use jiff::Timestamp;
use postgres::types::Type;
use postgres::{Client, Row};
use serde::Serialize;
use sitewatch::postgres::{begin, explain};
use sitewatch::run::Failure;

use crate::output::{self, Line, milliseconds, time};
use crate::settings::Settings;

/// One check. The fields are the columns of CSV and the keys of JSON.
#[derive(Debug, Serialize)]
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
}

/// The index on time is coarse (BRIN), so that "newest first" alone would sort everything. Looking
/// back over a growing stretch from the newest check reads little more than what is shown.
const STRETCHES_S: [f64; 6] = [60.0, 600.0, 7_200.0, 86_400.0, 864_000.0, 8.64e7];

const QUERY: &str = "
    select checks.checked_at, websites.name, websites.url, locations.name, checks.up,
        outcomes.word, checks.status, checks.body_match, checks.dns_us, checks.connect_us,
        checks.tls_us, checks.first_byte_us, checks.body_us, checks.total_us,
        checks.local_wait_us, checks.body_bytes, checks.redirects, checks.attempts,
        checks.remote_addr, checks.error
    from checks
    join websites on websites.id = checks.website_id
    join locations on locations.id = checks.location_id
    join outcomes on outcomes.code = checks.outcome
    where checks.checked_at > $1 - make_interval(secs => $2) and checks.checked_at <= $1
    order by checks.checked_at desc, websites.name
    limit $3";

/// Reads the latest checks, newest first.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(
    client: &mut Client,
    settings: &Settings,
    limit: u64,
) -> Result<Vec<CheckLine>, Failure> {
    let wrong = |error: postgres::Error| explain("reading the latest checks", &error);
    let mut transaction = begin(client, &settings.database).map_err(wrong)?;
    let newest: Option<Timestamp> = transaction
        .query_typed_one("select max(checked_at) from website_states", &[])
        .map_err(wrong)?
        .get(0);
    let Some(newest) = newest else {
        return Ok(Vec::new());
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut checks = Vec::new();
    for stretch in STRETCHES_S {
        checks = transaction
            .query_typed(
                QUERY,
                &[
                    (&newest, Type::TIMESTAMPTZ),
                    (&stretch, Type::FLOAT8),
                    (&limit, Type::INT8),
                ],
            )
            .map_err(wrong)?;
        if i64::try_from(checks.len()) == Ok(limit) {
            break;
        }
    }
    Ok(checks.iter().map(check).collect())
}

fn check(row: &Row) -> CheckLine {
    CheckLine {
        checked_at: row.get(0),
        site: row.get(1),
        url: output::without_credentials(row.get(2)),
        location: row.get(3),
        state: output::state(row.get(4)),
        outcome: row.get(5),
        status: row.get(6),
        body_match: row.get(7),
        dns_us: row.get(8),
        connect_us: row.get(9),
        tls_us: row.get(10),
        first_byte_us: row.get(11),
        body_us: row.get(12),
        total_us: row.get(13),
        local_wait_us: row.get(14),
        body_bytes: row.get(15),
        redirects: row.get(16),
        attempts: row.get(17),
        remote_addr: row.get(18),
        error: row.get(19),
    }
}

impl Line for CheckLine {
    const HEADER: &'static [&'static str] = &[
        "checked at",
        "site",
        "location",
        "state",
        "outcome",
        "status",
        "match",
        "total",
        "why",
    ];

    fn state(&self) -> &'static str {
        self.state
    }

    fn cells(&self) -> Vec<String> {
        vec![
            time(self.checked_at),
            self.site.clone(),
            self.location.clone(),
            self.state.to_owned(),
            self.outcome.clone(),
            self.status
                .map(|status| status.to_string())
                .unwrap_or_default(),
            match self.body_match {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => String::new(),
            },
            milliseconds(Some(self.total_us)),
            self.error.clone().unwrap_or_default(),
        ]
    }
}
