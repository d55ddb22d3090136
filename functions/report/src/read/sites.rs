//! The state of each site, from each place it is checked from.

use jiff::Timestamp;
use postgres::Row;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::uptime::{self, Day};
use super::{Key, Reader, labels, response_times};
use crate::filter::{Filter, Labels};
use crate::lines::SiteLine;
use crate::output;
use crate::settings::{Format, Settings};
use crate::words::days_left;

/// A site as seen from a place, with what its line does not show.
pub(crate) struct Site {
    /// `None` for a site that was never checked.
    pub(crate) key: Option<Key>,
    pub(crate) line: SiteLine,
}

/// $1 how old the newest check may be, in seconds; $2 the websites or null. A site appears once a
/// place, and once without place when it was never checked. Errors of outages that are over come
/// from the rollups: at most an hour late.
const QUERY: &str = "
    select websites.id, state.location_id, websites.name, websites.url, websites.labels::text, locations.name,
        case
            when state.checked_at < now() - greatest(
                make_interval(secs => $1),
                make_interval(secs => 3 * coalesce(websites.check_interval, 0))
            ) then null
            else state.up
        end,
        state.since, state.checked_at, outcomes.word, newest.status,
        newest.dns_us, newest.connect_us, newest.tls_us, newest.first_byte_us, newest.body_us, newest.total_us,
        state.certificate_not_after, state.certificate_issuer, newest.error,
        outage.error, outage.last_down_at
    from websites
    left join current_states as state on state.website_id = websites.id
    left join locations on locations.id = state.location_id
    left join outcomes on outcomes.code = state.outcome
    left join lateral (
        select checks.*
        from checks
        where checks.website_id = state.website_id
            and checks.checked_at = state.checked_at
            and checks.location_id = state.location_id
        -- By its key, one after the other, whatever is expected of the tables.
        limit 1
    ) as newest on true
    left join (
        select distinct on (website_id, location_id) website_id, location_id, error, last_down_at
        from outages_hourly
        where hour >= now() - interval '31 days'
        order by website_id, location_id, started_at desc
    ) as outage on outage.website_id = state.website_id and outage.location_id = state.location_id
    where (websites.enabled or state.website_id is not null)
        and ($2::int4[] is null or websites.id = any ($2))
    order by websites.name, locations.name";

/// Reads the state of every site, what is broken first; see [`uptime::read`] for `each_day`.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    settings: &Settings,
    each_day: Option<&mut dyn FnMut(Day)>,
) -> Result<Vec<Site>, Failure> {
    let mut sites = states(reader, settings)?;
    keep(&mut sites, &settings.filter);
    if settings.format != Format::Prometheus {
        // Metrics have none of these: whoever keeps them works out such figures from them.
        add_figures(reader, &mut sites, each_day)?;
    }
    // Stable: within a state the names stay in order.
    sites.sort_by_key(|site| match site.line.state {
        "down" => 0,
        "unknown" => 1,
        _ => 2,
    });
    Ok(sites)
}

/// How many of the sites are down, whatever states are shown.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn down(reader: &mut Reader<'_>, settings: &Settings) -> Result<u64, Failure> {
    let sites = states(reader, settings)?;
    Ok(sites
        .iter()
        .filter(|site| site.line.state == "down")
        .count() as u64)
}

fn states(reader: &mut Reader<'_>, settings: &Settings) -> Result<Vec<Site>, Failure> {
    let rows = reader
        .transaction
        .query_typed(
            QUERY,
            &[
                (&settings.stale_after.as_secs_f64(), Type::FLOAT8),
                (&reader.only, Type::INT4_ARRAY),
            ],
        )
        .map_err(|error| explain("reading the state of the sites", &error))?;
    let now = reader.span.now;
    Ok(rows.iter().map(|row| site(row, now)).collect())
}

/// Uptimes and response times.
fn add_figures(
    reader: &mut Reader<'_>,
    sites: &mut [Site],
    each_day: Option<&mut dyn FnMut(Day)>,
) -> Result<(), Failure> {
    let uptimes = uptime::read(reader, each_day)?;
    let response_times = response_times::read(reader)?;
    for site in sites {
        let Some(key) = site.key else { continue };
        let line = &mut site.line;
        if let Some(uptime) = uptimes.get(&key) {
            line.checks_24h = uptime.known(0);
            line.uptime_24h = uptime.percentage(0);
            line.uptime_7d = uptime.percentage(1);
            line.uptime_30d = uptime.percentage(2);
            line.uptime_90d = uptime.percentage(3);
        }
        if let Some(histogram) = response_times.get(&key) {
            line.p50_us = histogram.percentile(0.5);
            line.p95_us = histogram.percentile(0.95);
            line.p99_us = histogram.percentile(0.99);
        }
    }
    Ok(())
}

fn keep(sites: &mut Vec<Site>, filter: &Filter) {
    sites.retain(|site| filter.takes_state(site.line.state));
}

fn site(row: &Row, now: Timestamp) -> Site {
    let up: Option<bool> = row.get(6);
    let location_id: Option<i16> = row.get(1);
    let certificate_not_after: Option<Timestamp> = row.get(17);
    let certificate_left_s = certificate_not_after.map(|end| {
        // Whole seconds, downwards: what expired a moment ago has expired.
        let left = end.duration_since(now);
        left.as_secs() - i64::from(left.subsec_nanos() < 0)
    });
    Site {
        key: location_id.map(|location_id| (row.get(0), location_id)),
        line: SiteLine {
            site: row.get(2),
            url: output::without_credentials(row.get(3)),
            labels: text(&labels(row.get(4))),
            location: row.get(5),
            state: output::state(up),
            since: row.get::<_, Option<Timestamp>>(7).filter(|_| up.is_some()),
            checked_at: row.get(8),
            outcome: row.get(9),
            status: row.get(10),
            uptime_24h: None,
            uptime_7d: None,
            uptime_30d: None,
            uptime_90d: None,
            checks_24h: 0,
            p50_us: None,
            p95_us: None,
            p99_us: None,
            dns_us: row.get(11),
            connect_us: row.get(12),
            tls_us: row.get(13),
            first_byte_us: row.get(14),
            body_us: row.get(15),
            total_us: row.get(16),
            certificate_not_after,
            certificate_days: certificate_left_s.map(days_left),
            certificate_left_s,
            certificate_issuer: row.get(18),
            error: row.get(19),
            last_error: row.get::<_, Option<String>>(19).or_else(|| row.get(20)),
            last_error_at: match up {
                Some(false) => row.get(8),
                _ => row.get(21),
            },
        },
    }
}

/// `team=web,env=live`.
fn text(labels: &Labels) -> String {
    labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}
