//! The newest check of each site from each location, and between which checks it turned up or down.
//!
//! Everything here is the least or the greatest of times: whatever the order in which checks arrive,
//! what is stored is the same, and a late one mends it. Since when a site is up or down is read from
//! that and from the checks (`current_states`).

use std::collections::HashSet;

use jiff::Timestamp;
use postgres::Transaction;
use postgres::types::{ToSql, Type};

use super::commit::Keyed;
use crate::decode::{Certificate, Row};

/// Sites and locations whose row in `website_states` is known to be there.
#[derive(Default)]
pub(super) struct KnownStates(HashSet<(i32, i16)>);

/// What a batch says of one site from one location.
struct State<'a> {
    website_id: i32,
    location_id: i16,
    checked_at: Timestamp,
    /// The first check that found the site up or down and counts.
    first_known_at: Option<Timestamp>,
    /// The first slot that a check was made for.
    first_scheduled_at: Option<Timestamp>,
    /// The last one that found it up.
    last_up_at: Option<Timestamp>,
    /// The last one that found it down.
    last_down_at: Option<Timestamp>,
    certificate: Option<&'a Certificate>,
    final_url: Option<&'a str>,
    /// How far apart the slots of the newest check are, in milliseconds.
    interval_ms: Option<i32>,
    outcome: i16,
    up: Option<bool>,
}

impl KnownStates {
    /// Writes the states that the rows (sorted by site, time, location) bring; returns the keys
    /// that are then known to be there, to be remembered once the transaction is committed.
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

impl<'a> State<'a> {
    fn new(check: &Keyed<'a>) -> Self {
        let mut state = Self {
            website_id: check.website_id,
            location_id: check.location_id,
            checked_at: check.row.checked_at,
            first_known_at: None,
            first_scheduled_at: None,
            last_up_at: None,
            last_down_at: None,
            certificate: None,
            final_url: None,
            interval_ms: None,
            outcome: check.row.outcome,
            up: check.row.up,
        };
        state.add(check.row);
        state
    }

    /// Adds a check that is newer than those before.
    fn add(&mut self, row: &'a Row) {
        self.checked_at = row.checked_at;
        self.certificate = row.certificate.as_deref().or(self.certificate);
        self.final_url = row.final_url();
        self.interval_ms = row.interval_ms.into();
        self.first_scheduled_at = match (self.first_scheduled_at, row.scheduled_at.into()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.outcome = row.outcome;
        self.up = row.up;
        // As incidents have it: work that was announced neither makes nor ends one.
        if let (Some(up), false) = (row.up, row.maintenance) {
            self.first_known_at.get_or_insert(row.checked_at);
            let last = if up {
                &mut self.last_up_at
            } else {
                &mut self.last_down_at
            };
            *last = Some(row.checked_at);
        }
    }
}

/// Folds rows, sorted by site and time, into one state per site and location.
fn newest<'a>(rows: &[Keyed<'a>]) -> Vec<State<'a>> {
    let mut states: Vec<State<'a>> = Vec::new();
    for site in rows.chunk_by(|one, other| one.website_id == other.website_id) {
        let first = states.len();
        for check in site {
            let row = check.row;
            let at = states.get(first..).and_then(|of_site| {
                of_site
                    .iter()
                    .position(|state| state.location_id == check.location_id)
            });
            let at = at.map_or(states.len(), |at| first + at);
            match states.get_mut(at) {
                Some(state) => state.add(row),
                None => states.push(State::new(check)),
            }
        }
    }
    states
}

/// The states as arrays, one a column, in the order in which both statements take them.
struct Columns<'a> {
    website_ids: Vec<i32>,
    location_ids: Vec<i16>,
    checked_at: Vec<Timestamp>,
    first_known_at: Vec<Option<Timestamp>>,
    last_up_at: Vec<Option<Timestamp>>,
    last_down_at: Vec<Option<Timestamp>>,
    outcomes: Vec<i16>,
    ups: Vec<Option<bool>>,
    not_after: Vec<Option<Timestamp>>,
    issuers: Vec<Option<&'a str>>,
    errors: Vec<Option<&'a str>>,
    chain_not_after: Vec<Option<Timestamp>>,
    chain_subjects: Vec<Option<&'a str>>,
    chain_hosts: Vec<Option<&'a str>>,
    tls_versions: Vec<Option<&'a str>>,
    final_urls: Vec<Option<&'a str>>,
    first_scheduled_at: Vec<Option<Timestamp>>,
    intervals_ms: Vec<Option<i32>>,
}

impl<'a> Columns<'a> {
    fn of(states: &[&State<'a>]) -> Self {
        fn column<'a, T>(states: &[&State<'a>], field: impl Fn(&State<'a>) -> T) -> Vec<T> {
            states.iter().map(|state| field(state)).collect()
        }
        Self {
            website_ids: column(states, |state| state.website_id),
            location_ids: column(states, |state| state.location_id),
            checked_at: column(states, |state| state.checked_at),
            first_known_at: column(states, |state| state.first_known_at),
            last_up_at: column(states, |state| state.last_up_at),
            last_down_at: column(states, |state| state.last_down_at),
            outcomes: column(states, |state| state.outcome),
            ups: column(states, |state| state.up),
            not_after: column(states, |state| state.certificate?.not_after),
            issuers: column(states, |state| state.certificate?.issuer.as_deref()),
            errors: column(states, |state| state.certificate?.error.as_deref()),
            chain_not_after: column(states, |state| state.certificate?.chain_not_after),
            chain_subjects: column(states, |state| state.certificate?.chain_subject.as_deref()),
            chain_hosts: column(states, |state| state.certificate?.chain_host.as_deref()),
            tls_versions: column(states, |state| {
                Some(state.certificate?.tls_version.as_str())
            }),
            final_urls: column(states, |state| state.final_url),
            first_scheduled_at: column(states, |state| state.first_scheduled_at),
            intervals_ms: column(states, |state| state.interval_ms),
        }
    }

    fn parameters(&self) -> [(&(dyn ToSql + Sync), Type); 18] {
        [
            (&self.website_ids, Type::INT4_ARRAY),
            (&self.location_ids, Type::INT2_ARRAY),
            (&self.checked_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.first_known_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.last_up_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.last_down_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.outcomes, Type::INT2_ARRAY),
            (&self.ups, Type::BOOL_ARRAY),
            (&self.not_after, Type::TIMESTAMPTZ_ARRAY),
            (&self.issuers, Type::TEXT_ARRAY),
            (&self.errors, Type::TEXT_ARRAY),
            (&self.chain_not_after, Type::TIMESTAMPTZ_ARRAY),
            (&self.chain_subjects, Type::TEXT_ARRAY),
            (&self.chain_hosts, Type::TEXT_ARRAY),
            (&self.tls_versions, Type::TEXT_ARRAY),
            (&self.final_urls, Type::TEXT_ARRAY),
            (&self.first_scheduled_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.intervals_ms, Type::INT4_ARRAY),
        ]
    }
}

fn insert(
    transaction: &mut Transaction<'_>,
    states: &[&State<'_>],
) -> Result<HashSet<(i32, i16)>, postgres::Error> {
    Ok(transaction
        .query_typed(
            "insert into website_states (
                 website_id, location_id, checked_at, first_known_at, last_up_at, last_down_at,
                 outcome, up, certificate_not_after, certificate_issuer, certificate_error,
                 chain_not_after, chain_subject, chain_host, tls_version, final_url,
                 first_scheduled_at, interval_ms
             )
             select * from unnest(
                 $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
             )
             on conflict do nothing
             returning website_id, location_id",
            &Columns::of(states).parameters(),
        )?
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect())
}

fn update(transaction: &mut Transaction<'_>, states: &[&State<'_>]) -> Result<(), postgres::Error> {
    transaction.execute_typed(
        include_str!("states_update.sql"),
        &Columns::of(states).parameters(),
    )?;
    Ok(())
}
