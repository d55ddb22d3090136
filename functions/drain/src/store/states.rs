//! The newest check of each site from each place, and since when it has been so.

use std::collections::HashSet;

use jiff::Timestamp;
use postgres::Transaction;
use postgres::types::Type;

use super::Keyed;

/// Sites and places whose row in `website_states` is known to be there.
#[derive(Default)]
pub(super) struct KnownStates(HashSet<(i32, i16)>);

/// What a batch says of one site from one place.
struct State {
    website_id: i32,
    location_id: i16,
    checked_at: Timestamp,
    /// When the first check of the batch's last unbroken row of equal `up` began.
    since: Timestamp,
    /// Whether that row begins with the batch: it may then go on from what is stored.
    unbroken: bool,
    certificate_not_after: Option<Timestamp>,
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
        let (known, new): (Vec<&State>, Vec<&State>) = states
            .iter()
            .partition(|state| self.0.contains(&(state.website_id, state.location_id)));
        let made = if new.is_empty() {
            HashSet::new()
        } else {
            insert(transaction, &new)?
        };
        let rest: Vec<&State> = known
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
fn newest(rows: &[Keyed<'_>]) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
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
                    state.certificate_not_after =
                        row.certificate_not_after.or(state.certificate_not_after);
                    state.outcome = row.outcome;
                    state.up = row.up;
                }
                None => states.push(State {
                    website_id: check.website_id,
                    location_id: check.location_id,
                    checked_at: row.checked_at,
                    since: row.checked_at,
                    unbroken: true,
                    certificate_not_after: row.certificate_not_after,
                    outcome: row.outcome,
                    up: row.up,
                }),
            }
        }
    }
    states
}

/// The states as arrays, one a column: what `unnest` takes.
struct Columns {
    website_ids: Vec<i32>,
    location_ids: Vec<i16>,
    checked_at: Vec<Timestamp>,
    since: Vec<Timestamp>,
    unbroken: Vec<bool>,
    certificates: Vec<Option<Timestamp>>,
    outcomes: Vec<i16>,
    ups: Vec<Option<bool>>,
}

impl Columns {
    fn of(states: &[&State]) -> Self {
        fn column<T>(states: &[&State], field: impl Fn(&State) -> T) -> Vec<T> {
            states.iter().map(|state| field(state)).collect()
        }
        Self {
            website_ids: column(states, |state| state.website_id),
            location_ids: column(states, |state| state.location_id),
            checked_at: column(states, |state| state.checked_at),
            since: column(states, |state| state.since),
            unbroken: column(states, |state| state.unbroken),
            certificates: column(states, |state| state.certificate_not_after),
            outcomes: column(states, |state| state.outcome),
            ups: column(states, |state| state.up),
        }
    }

    fn parameters(&self) -> [(&(dyn postgres::types::ToSql + Sync), Type); 8] {
        [
            (&self.website_ids, Type::INT4_ARRAY),
            (&self.location_ids, Type::INT2_ARRAY),
            (&self.checked_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.since, Type::TIMESTAMPTZ_ARRAY),
            (&self.unbroken, Type::BOOL_ARRAY),
            (&self.certificates, Type::TIMESTAMPTZ_ARRAY),
            (&self.outcomes, Type::INT2_ARRAY),
            (&self.ups, Type::BOOL_ARRAY),
        ]
    }
}

fn insert(
    transaction: &mut Transaction<'_>,
    states: &[&State],
) -> Result<HashSet<(i32, i16)>, postgres::Error> {
    let columns = Columns::of(states);
    Ok(transaction
        .query_typed(
            "insert into website_states
                 (website_id, location_id, checked_at, since, certificate_not_after, outcome, up)
             select website_id, location_id, checked_at, since, certificate_not_after, outcome, up
             from unnest($1, $2, $3, $4, $5, $6, $7, $8) as new
                 (website_id, location_id, checked_at, since, unbroken, certificate_not_after, outcome, up)
             on conflict do nothing
             returning website_id, location_id",
            &columns.parameters(),
        )?
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect())
}

fn update(transaction: &mut Transaction<'_>, states: &[&State]) -> Result<(), postgres::Error> {
    let columns = Columns::of(states);
    transaction.execute_typed(
        "update website_states as state set
             checked_at = new.checked_at,
             since = case
                 when new.unbroken and state.up is not distinct from new.up then state.since
                 else new.since
             end,
             certificate_not_after = coalesce(new.certificate_not_after, state.certificate_not_after),
             outcome = new.outcome,
             up = new.up
         from unnest($1, $2, $3, $4, $5, $6, $7, $8) as new
             (website_id, location_id, checked_at, since, unbroken, certificate_not_after, outcome, up)
         where state.website_id = new.website_id
           and state.location_id = new.location_id
           and state.checked_at < new.checked_at",
        &columns.parameters(),
    )?;
    Ok(())
}
