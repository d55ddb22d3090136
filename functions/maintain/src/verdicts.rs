//! Verdicts: each hour's from its checks and from what the hour before left.
//!
//! An hour that is rolled up again because a check came late may leave another state than it did.
//! The sites of which it does are marked, and what follows is derived anew once all hours are rolled
//! up: verdicts are then the same as if the check had been in time.

use jiff::{SignedDuration, Timestamp};
use postgres::types::Type;
use postgres::{Client, Transaction};
use sitewatch::run::{Failure, Stop};

use crate::rollup::{self, Parameter, Rolled};
use crate::settings::Settings;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Hours of sites that are derived anew in one transaction: a second or two for sites checked once a
/// minute from three locations.
const SITE_HOURS: i64 = 2_400;

/// An hour before it is rolled up.
pub(crate) struct Before {
    hour: Timestamp,
    /// Whether later hours are rolled up, which follow from this one.
    has_followers: bool,
}

impl Before {
    /// Keeps, for the rest of the transaction, what later hours were derived from.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(crate) fn keep(
        transaction: &mut Transaction<'_>,
        hour: Timestamp,
    ) -> Result<Self, postgres::Error> {
        let of_hour: [Parameter<'_>; 1] = [(&hour, Type::TIMESTAMPTZ)];
        let has_followers: bool = transaction
            .query_typed_one(
                "select exists (select from checks_hourly where hour > $1)",
                &of_hour,
            )?
            .get(0);
        if has_followers {
            transaction.batch_execute(
                "create temporary table states_before (like location_states_hourly) on commit drop;
                 create temporary table known_before (like checks_hourly) on commit drop",
            )?;
            for statement in [
                "insert into states_before select * from location_states_hourly where hour = $1",
                "insert into known_before select * from checks_hourly where hour = $1",
            ] {
                transaction.execute_typed(statement, &of_hour)?;
            }
        }
        Ok(Self {
            hour,
            has_followers,
        })
    }

    /// Derives the hour's verdicts, now that its checks are counted.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(crate) fn derive(self, transaction: &mut Transaction<'_>) -> Result<(), postgres::Error> {
        let of_hour: [Parameter<'_>; 1] = [(&self.hour, Type::TIMESTAMPTZ)];
        let affected: Vec<i32> = transaction
            .query_typed_one(include_str!("verdicts_affected.sql"), &of_hour)?
            .get(0);
        if !affected.is_empty() {
            derive(transaction, &affected, self.hour, self.hour + HOUR)?;
        }
        if self.has_followers {
            transaction.execute_typed(include_str!("verdicts_marks.sql"), &of_hour)?;
        }
        Ok(())
    }
}

/// Derives anew what follows from hours that left another state; some sites at a time. `Busy` when
/// another run is at work.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn settle(
    client: &mut Client,
    settings: &Settings,
    stop: &Stop,
) -> Result<Rolled, Failure> {
    while stop.requested().is_none() {
        let rolled = rollup::roll_up(
            client,
            settings,
            "what follows from late checks",
            settle_some,
        )?;
        if rolled != Rolled::Done {
            return Ok(rolled);
        }
    }
    Ok(Rolled::Nothing)
}

fn settle_some(transaction: &mut Transaction<'_>) -> Result<Rolled, postgres::Error> {
    let marks = transaction.query_typed(
        "select website_id, from_hour, date_trunc('hour', now(), 'UTC')
         from dirty_verdicts order by from_hour desc, website_id limit $1",
        &[(&SITE_HOURS, Type::INT8)],
    )?;
    let Some(first) = marks.first() else {
        return Ok(Rolled::Nothing);
    };
    let to: Timestamp = first.get(2);
    let mut from: Timestamp = first.get(1);
    let mut sites: Vec<i32> = Vec::new();
    for mark in &marks {
        let hours = to.duration_since(mark.get(1)).as_hours();
        if !sites.is_empty() && (sites.len() as i64 + 1) * hours > SITE_HOURS {
            break;
        }
        from = mark.get(1);
        sites.push(mark.get(0));
    }
    derive(transaction, &sites, from, to)?;
    transaction.execute_typed(
        "delete from dirty_verdicts where website_id = any ($1)",
        &[(&sites, Type::INT4_ARRAY)],
    )?;
    Ok(Rolled::Done)
}

/// Replaces what these hours hold of these sites by what their checks say.
fn derive(
    transaction: &mut Transaction<'_>,
    sites: &[i32],
    from: Timestamp,
    to: Timestamp,
) -> Result<(), postgres::Error> {
    let of_sites: Parameter<'_> = (&sites, Type::INT4_ARRAY);
    let of_stretch = [
        of_sites.clone(),
        (&from, Type::TIMESTAMPTZ),
        (&to, Type::TIMESTAMPTZ),
    ];
    for statement in [
        "delete from verdicts_hourly where website_id = any ($1) and hour >= $2 and hour < $3",
        "delete from location_states_hourly where website_id = any ($1) and hour >= $2 and hour < $3",
        include_str!("verdicts_derived.sql"),
    ] {
        transaction.execute_typed(statement, &of_stretch)?;
    }
    transaction.execute_typed(
        "delete from website_verdicts as newest
         where newest.website_id = any ($1) and newest.hour >= $2 and not exists (
             select from verdicts_hourly as stored where stored.website_id = newest.website_id
         )",
        &of_stretch[..2],
    )?;
    for statement in [
        include_str!("verdicts_location_states.sql"),
        include_str!("verdicts_websites.sql"),
    ] {
        transaction.execute_typed(statement, std::slice::from_ref(&of_sites))?;
    }
    Ok(())
}
