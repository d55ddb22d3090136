//! What is so now, as the checks say: the one place that knows where verdicts come from.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use postgres::Transaction;
use postgres::types::Type;

use crate::settings::Telling;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// What goes on, or ended since the time asked for: by site, and then in order of time.
    pub(crate) outages: Vec<Outage>,
    /// Certificates that expire soon, and those of sites of which that was told.
    pub(crate) expiries: Vec<Expiry>,
    /// Sites that are not checked any more, and those of which that was told.
    pub(crate) silences: Vec<Silence>,
}

/// A site was down or degraded, until it was neither.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outage {
    pub(crate) website: i32,
    /// Whether it was down; else fewer locations found it so than have to agree.
    pub(crate) is_down: bool,
    /// The first check that found it so.
    pub(crate) opened_at: Timestamp,
    /// The first that found it up again; `None`: not yet.
    pub(crate) closed_at: Option<Timestamp>,
    /// The last that found it so.
    pub(crate) last_down_at: Timestamp,
    /// How the first check ended, in one word.
    pub(crate) outcome: String,
    /// What it found, for people; `None`: nothing was said.
    pub(crate) error: Option<String>,
}

/// When the first expires of all certificates that a site depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Expiry {
    pub(crate) website: i32,
    pub(crate) not_after: Timestamp,
}

/// Whether a site is checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Silence {
    pub(crate) website: i32,
    /// Its newest check.
    pub(crate) checked_at: Timestamp,
    /// Whether that is too long ago.
    pub(crate) is_silent: bool,
}

/// What a site is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// What is so now, and what was since `since`. `told` has the sites with an open incident of a
/// certificate, and those with one of monitoring.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn seen(
    transaction: &mut Transaction<'_>,
    since: Timestamp,
    told: &(Vec<i32>, Vec<i32>),
    telling: &Telling,
) -> Result<Seen, postgres::Error> {
    Ok(Seen {
        outages: outages(transaction, since)?,
        expiries: expiries(transaction, &told.0, telling)?,
        silences: silences(transaction, &told.1, telling)?,
    })
}

/// Stretches with a verdict on a site, from all its locations, that is not up.
const STRETCHES: &str = "
    select stretch.website_id, verdict = 'down', opened_at, closed_at, last_failed_at, outcomes.word, error
    from find_stretches($1) as stretch
    join outcomes on outcomes.code = stretch.outcome
    where opened_at <= now() + clock_skew() and verdict in ('down', 'degraded')
    order by stretch.website_id, opened_at";

fn outages(
    transaction: &mut Transaction<'_>,
    since: Timestamp,
) -> Result<Vec<Outage>, postgres::Error> {
    // Finding incidents reads every check of this hour: only where a site was down of late.
    let is_any: bool = transaction
        .query_typed_one(
            "select exists (
                 select from website_states
                 where last_down_at >= $1 or last_down_at > last_up_at or (last_up_at is null and last_down_at is not null)
             )",
            &[(&since, Type::TIMESTAMPTZ)],
        )?
        .get(0);
    if !is_any {
        return Ok(Vec::new());
    }
    let rows = transaction.query_typed(STRETCHES, &[(&since, Type::TIMESTAMPTZ)])?;
    Ok(joined(rows.iter().map(|row| Outage {
        website: row.get(0),
        is_down: row.get(1),
        opened_at: row.get(2),
        closed_at: row.get(3),
        last_down_at: row.get(4),
        outcome: row.get(5),
        error: row.get(6),
    })))
}

/// What becomes degraded when it is no longer down, or down when it was degraded, is not over: its
/// stretches are one outage. They come by site and in order of time.
fn joined(stretches: impl Iterator<Item = Outage>) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    for stretch in stretches {
        match outages.last_mut() {
            Some(outage)
                if outage.website == stretch.website
                    && outage.closed_at == Some(stretch.opened_at) =>
            {
                // What it is told with is what brought the site down.
                if stretch.is_down && !outage.is_down {
                    (outage.outcome, outage.error) = (stretch.outcome, stretch.error);
                }
                outage.is_down |= stretch.is_down;
                outage.closed_at = stretch.closed_at;
                outage.last_down_at = outage.last_down_at.max(stretch.last_down_at);
            }
            _ => outages.push(stretch),
        }
    }
    outages
}

fn expiries(
    transaction: &mut Transaction<'_>,
    told: &Vec<i32>,
    telling: &Telling,
) -> Result<Vec<Expiry>, postgres::Error> {
    let most = telling.certificate_days.first().copied().unwrap_or(0);
    // A certificate seen by a location that fell silent may have been renewed since.
    let rows = transaction.query_typed(
        "select website_id, min(not_after)
         from (
             select website_id, least(certificate_not_after, chain_not_after) as not_after
             from website_states
             where checked_at between now() - interval '1 day' and now() + clock_skew()
         ) as seen
         where not_after is not null
         group by website_id
         having min(not_after) <= now() + make_interval(days => $1) or website_id = any ($2)
         order by website_id",
        &[(&most, Type::INT4), (told, Type::INT4_ARRAY)],
    )?;
    Ok(rows
        .iter()
        .map(|row| Expiry {
            website: row.get(0),
            not_after: row.get(1),
        })
        .collect())
}

fn silences(
    transaction: &mut Transaction<'_>,
    told: &Vec<i32>,
    telling: &Telling,
) -> Result<Vec<Silence>, postgres::Error> {
    let rows = transaction.query_typed(
        include_str!("read_silences.sql"),
        &[
            (&telling.stale_after.as_secs_f64(), Type::FLOAT8),
            (told, Type::INT4_ARRAY),
        ],
    )?;
    Ok(rows
        .iter()
        .map(|row| Silence {
            website: row.get(0),
            checked_at: row.get(1),
            is_silent: row.get(2),
        })
        .collect())
}

/// What these sites are called.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn sites(
    transaction: &mut Transaction<'_>,
    websites: &Vec<i32>,
) -> Result<BTreeMap<i32, Site>, postgres::Error> {
    let rows = transaction.query_typed(
        "select id, name, url, labels::text from websites where id = any ($1)",
        &[(websites, Type::INT4_ARRAY)],
    )?;
    Ok(rows
        .iter()
        .map(|row| {
            let labels: BTreeMap<String, serde_json::Value> =
                serde_json::from_str(row.get(3)).unwrap_or_default();
            let labels = labels
                .into_iter()
                .map(|(name, value)| match value {
                    serde_json::Value::String(text) => (name, text),
                    other => (name, other.to_string()),
                })
                .collect();
            let site = Site {
                name: row.get(1),
                url: row.get(2),
                labels,
            };
            (row.get(0), site)
        })
        .collect())
}

/// How far back what is seen reaches beyond the last decision: what was recorded meanwhile may be
/// older than that, when `drain` was behind.
pub(crate) const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
