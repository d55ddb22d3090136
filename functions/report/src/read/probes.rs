//! What is known of probes. They have no database to leave a trace in: this is what they delivered.

use jiff::Timestamp;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::Reader;
use crate::settings::Settings;

/// The probes of a location.
#[derive(Clone, Debug)]
pub(crate) struct Probes {
    pub(crate) location: String,
    /// When the newest of their checks began; now, where their clock is ahead.
    pub(crate) last_check_at: Timestamp,
    /// Sites whose newest check from there is recent enough to tell their state.
    pub(crate) sites: i64,
}

/// $1 how old a site's newest check may be, as in the state of sites.
const QUERY: &str = "
    select locations.name, least(seen.newest, now()), seen.sites
    from (
        select state.location_id, max(state.checked_at) as newest,
            count(*) filter (where state.checked_at >= now() - greatest(
                make_interval(secs => $1),
                make_interval(secs => 3 * coalesce(websites.check_interval, 0))
            )) as sites
        from current_states as state
        join websites on websites.id = state.website_id
        group by state.location_id
    ) as seen
    join locations on locations.id = seen.location_id
    order by locations.name";

/// Reads it, of every location.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(reader: &mut Reader<'_>, settings: &Settings) -> Result<Vec<Probes>, Failure> {
    let rows = reader
        .transaction
        .query_typed(
            QUERY,
            &[(&settings.stale_after.as_secs_f64(), Type::FLOAT8)],
        )
        .map_err(|error| explain("reading what probes delivered", &error))?;
    Ok(rows
        .iter()
        .map(|row| Probes {
            location: row.get(0),
            last_check_at: row.get(1),
            sites: row.get(2),
        })
        .collect())
}
