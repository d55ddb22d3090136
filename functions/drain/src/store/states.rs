//! The newest check of each site from each place, and since when it has been so.

use std::collections::HashSet;

use jiff::Timestamp;
use postgres::Transaction;
use postgres::types::{ToSql, Type};

use super::Keyed;
use crate::row::Certificate;

/// Sites and places whose row in `website_states` is known to be there.
#[derive(Default)]
pub(super) struct KnownStates(HashSet<(i32, i16)>);

/// What a batch says of one site from one place.
struct State<'a> {
    website_id: i32,
    location_id: i16,
    checked_at: Timestamp,
    /// When the first check of the batch's last unbroken row of equal `up` began.
    since: Timestamp,
    /// Whether that row begins with the batch: it may then go on from what is stored.
    unbroken: bool,
    certificate: Option<&'a Certificate>,
    final_url: Option<&'a str>,
    outcome: i16,
    up: Option<bool>,
}

impl KnownStates {
    /// Writes the states that the rows (sorted by site, time, place) bring; returns the keys that
    /// are then known to be there, to be remembered once the transaction is committed. Checks
    /// older than the stored state change nothing: they are history by now.
    pub(super) fn update(
        &self,
        transaction: &mut Transaction<'_>,
        rows: &[Keyed<'_>],
    ) -> Result<Vec<(i32, i16)>, postgres::Error> {
        let states = newest(rows);
        let (known, new): (Vec<&State<'_>>, Vec<&State<'_>>) = states
            .iter()
            .partition(|state| self.0.contains(&(state.website_id, state.location_id)));
        let made = if new.is_empty() {
            HashSet::new()
        } else {
            insert(transaction, &new)?
        };
        let rest: Vec<&State<'_>> = known
            .into_iter()
            .chain(
                new.into_iter()
                    .filter(|state| !made.contains(&(state.website_id, state.location_id))),
            )
            .collect();
        if !rest.is_empty() {
            update(transaction, &rest)?;
        }
        Ok(states
            .iter()
            .map(|state| (state.website_id, state.location_id))
            .collect())
    }

    pub(super) fn remember(&mut self, keys: Vec<(i32, i16)>) {
        self.0.extend(keys);
    }
}

/// Folds rows, sorted by site and time, into one state per site and place.
fn newest<'a>(rows: &[Keyed<'a>]) -> Vec<State<'a>> {
    let mut states: Vec<State<'a>> = Vec::new();
    for site in rows.chunk_by(|one, other| one.website_id == other.website_id) {
        let first = states.len();
        for check in site {
            let row = check.row;
            let known = states.get_mut(first..).and_then(|of_site| {
                of_site
                    .iter_mut()
                    .find(|state| state.location_id == check.location_id)
            });
            match known {
                Some(state) => {
                    if state.up != row.up {
                        state.since = row.checked_at;
                        state.unbroken = false;
                    }
                    state.checked_at = row.checked_at;
                    state.certificate = row.certificate.as_deref().or(state.certificate);
                    state.final_url = row.final_url();
                    state.outcome = row.outcome;
                    state.up = row.up;
                }
                None => states.push(State {
                    website_id: check.website_id,
                    location_id: check.location_id,
                    checked_at: row.checked_at,
                    since: row.checked_at,
                    unbroken: true,
                    certificate: row.certificate.as_deref(),
                    final_url: row.final_url(),
                    outcome: row.outcome,
                    up: row.up,
                }),
            }
        }
    }
    states
}

/// The states as arrays, one a column: what `unnest` takes.
struct Columns<'a> {
    website_ids: Vec<i32>,
    location_ids: Vec<i16>,
    checked_at: Vec<Timestamp>,
    since: Vec<Timestamp>,
    unbroken: Vec<bool>,
    outcomes: Vec<i16>,
    ups: Vec<Option<bool>>,
    not_after: Vec<Option<Timestamp>>,
    issuers: Vec<Option<&'a str>>,
    errors: Vec<Option<&'a str>>,
    tls_versions: Vec<Option<&'a str>>,
    final_urls: Vec<Option<&'a str>>,
}

/// The names of the arrays above, as both statements use them.
const COLUMNS: &str = "(website_id, location_id, checked_at, since, unbroken, outcome, up, \
    certificate_not_after, certificate_issuer, certificate_error, tls_version, final_url)";

const ARRAYS: &str = "unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

impl<'a> Columns<'a> {
    fn of(states: &[&State<'a>]) -> Self {
        fn column<'a, T>(states: &[&State<'a>], field: impl Fn(&State<'a>) -> T) -> Vec<T> {
            states.iter().map(|state| field(state)).collect()
        }
        Self {
            website_ids: column(states, |state| state.website_id),
            location_ids: column(states, |state| state.location_id),
            checked_at: column(states, |state| state.checked_at),
            since: column(states, |state| state.since),
            unbroken: column(states, |state| state.unbroken),
            outcomes: column(states, |state| state.outcome),
            ups: column(states, |state| state.up),
            not_after: column(states, |state| state.certificate?.not_after),
            issuers: column(states, |state| state.certificate?.issuer.as_deref()),
            errors: column(states, |state| state.certificate?.error.as_deref()),
            tls_versions: column(states, |state| {
                Some(state.certificate?.tls_version.as_str())
            }),
            final_urls: column(states, |state| state.final_url),
        }
    }

    fn parameters(&self) -> [(&(dyn ToSql + Sync), Type); 12] {
        [
            (&self.website_ids, Type::INT4_ARRAY),
            (&self.location_ids, Type::INT2_ARRAY),
            (&self.checked_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.since, Type::TIMESTAMPTZ_ARRAY),
            (&self.unbroken, Type::BOOL_ARRAY),
            (&self.outcomes, Type::INT2_ARRAY),
            (&self.ups, Type::BOOL_ARRAY),
            (&self.not_after, Type::TIMESTAMPTZ_ARRAY),
            (&self.issuers, Type::TEXT_ARRAY),
            (&self.errors, Type::TEXT_ARRAY),
            (&self.tls_versions, Type::TEXT_ARRAY),
            (&self.final_urls, Type::TEXT_ARRAY),
        ]
    }
}

fn insert(
    transaction: &mut Transaction<'_>,
    states: &[&State<'_>],
) -> Result<HashSet<(i32, i16)>, postgres::Error> {
    Ok(transaction
        .query_typed(
            &format!(
                "insert into website_states
                     (website_id, location_id, checked_at, since, outcome, up,
                      certificate_not_after, certificate_issuer, certificate_error, tls_version,
                      final_url)
                 select website_id, location_id, checked_at, since, outcome, up,
                     certificate_not_after, certificate_issuer, certificate_error, tls_version,
                     final_url
                 from {ARRAYS} as new {COLUMNS}
                 on conflict do nothing
                 returning website_id, location_id"
            ),
            &Columns::of(states).parameters(),
        )?
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect())
}

fn update(transaction: &mut Transaction<'_>, states: &[&State<'_>]) -> Result<(), postgres::Error> {
    // A check without TLS (the connection failed) says nothing of the certificate: what was seen
    // last stays.
    transaction.execute_typed(
        &format!(
            "update website_states as state set
                 checked_at = new.checked_at,
                 since = case
                     when new.unbroken and state.up is not distinct from new.up then state.since
                     else new.since
                 end,
                 outcome = new.outcome,
                 up = new.up,
                 certificate_not_after = case when new.tls_version is null
                     then state.certificate_not_after else new.certificate_not_after end,
                 certificate_issuer = case when new.tls_version is null
                     then state.certificate_issuer else new.certificate_issuer end,
                 certificate_error = case when new.tls_version is null
                     then state.certificate_error else new.certificate_error end,
                 tls_version = coalesce(new.tls_version, state.tls_version),
                 final_url = new.final_url
             from {ARRAYS} as new {COLUMNS}
             where state.website_id = new.website_id
               and state.location_id = new.location_id
               and state.checked_at < new.checked_at"
        ),
        &Columns::of(states).parameters(),
    )?;
    Ok(())
}
