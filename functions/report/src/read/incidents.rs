//! When sites were down, for how long, why, and how it ended.

use jiff::{Timestamp, ToSpan as _};
use postgres::Row;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::Reader;
use crate::lines::IncidentLine;
use crate::settings::Settings;

/// How far back, in hours, when nothing is said.
const USUAL_H: i64 = 30 * 24;

/// $1 since when, $2 the websites or null, $3 the most lines, $4 whether those that go on are
/// wanted, $5 whether those that ended are, $6 how old a site's newest check may be.
const QUERY: &str = "
    select websites.name, locations.name, incident.opened_at, incident.closed_at, incident.last_down_at,
        outcomes.word, incident.error, incident.checks,
        coalesce(state.checked_at < now() - greatest(
            make_interval(secs => $6),
            make_interval(secs => 3 * coalesce(websites.check_interval, 0))
        ), true)
    from find_incidents($1) as incident
    join websites on websites.id = incident.website_id
    join locations on locations.id = incident.location_id
    join outcomes on outcomes.code = incident.outcome
    left join website_states as state on state.website_id = incident.website_id
        and state.location_id = incident.location_id
    where ($2::int4[] is null or incident.website_id = any ($2))
        and (($4 and incident.closed_at is null) or ($5 and incident.closed_at is not null))
    order by incident.closed_at is not null, incident.opened_at desc, websites.name
    limit $3";

/// Reads incidents: those that go on first, then the latest.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    settings: &Settings,
) -> Result<Vec<IncidentLine>, Failure> {
    let wrong = |error: postgres::Error| explain("reading incidents", &error);
    let now = reader.span.now;
    let since = settings
        .since
        .unwrap_or_else(|| now.checked_sub(USUAL_H.hours()).unwrap_or(now));
    let limit = i64::try_from(settings.lines).unwrap_or(i64::MAX);
    let open = settings.filter.takes_state("down") || settings.filter.takes_state("unknown");
    let closed = settings.filter.takes_state("up");
    let rows = reader
        .transaction
        .query_typed(
            QUERY,
            &[
                (&since, Type::TIMESTAMPTZ),
                (&reader.only, Type::INT4_ARRAY),
                (&limit, Type::INT8),
                (&open, Type::BOOL),
                (&closed, Type::BOOL),
                (&settings.stale_after.as_secs_f64(), Type::FLOAT8),
            ],
        )
        .map_err(wrong)?;
    Ok(rows.iter().map(|row| incident(row, now)).collect())
}

fn incident(row: &Row, now: Timestamp) -> IncidentLine {
    let opened_at: Timestamp = row.get(2);
    let closed_at: Option<Timestamp> = row.get(3);
    let last_down_at: Timestamp = row.get(4);
    let is_stale: bool = row.get(8);
    let (ended, until) = match closed_at {
        Some(closed_at) => ("recovered", closed_at),
        None if is_stale => ("unknown", last_down_at),
        None => ("ongoing", now),
    };
    IncidentLine {
        site: row.get(0),
        location: row.get(1),
        opened_at,
        closed_at,
        duration_s: until.duration_since(opened_at).as_secs(),
        ended,
        outcome: row.get(5),
        error: row.get(6),
        checks: row.get(7),
    }
}
