//! Which day it is, and whether that can be believed.
//!
//! Dropping cannot be undone, and one clock that is wrong would drop everything. So it is told by
//! PostgreSQL's clock, if this machine's agrees and the data does not contradict it; `judge_clock()`
//! of the schema has the rules for the data, and the functions that drop hold to it by themselves.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Unit};
use postgres::Client;
use sitewatch::postgres::{begin, explain};
use sitewatch::run::Failure;

use crate::settings::Settings;

/// How far this machine's clock and PostgreSQL's may differ. Far above what clocks that are kept
/// right differ by, and below what a wrong time zone makes.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(30);

/// How many days a clock may be ahead of the data, as `judge_clock()` has it.
const JUMP_DAYS: i32 = 7;

/// What the clocks say.
pub(crate) struct Clock {
    /// The UTC day by the slower of both clocks: what is made ahead and added up goes by it.
    pub(crate) today: Date,
    /// The UTC day by PostgreSQL's clock.
    pub(crate) of_postgresql: Date,
    /// The day that retention counts back from, or why there is none.
    pub(crate) retention: Result<Date, Doubt>,
}

/// Why a clock is not believed; a text follows "nothing was dropped: " and says what to do.
pub(crate) enum Doubt {
    /// Nothing was ever recorded: there is nothing to count back from, and nothing to drop.
    NoChecks,
    /// The clocks differ.
    Clocks(String),
    /// What is recorded contradicts PostgreSQL's clock.
    Data(String),
}

/// Asks both clocks and the data.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn read(client: &mut Client, settings: &Settings) -> Result<Clock, Failure> {
    let wrong = |error: postgres::Error| explain("reading PostgreSQL's clock", &error);
    let mut transaction = begin(client, &settings.database).map_err(wrong)?;
    let row = transaction
        .query_typed_one(
            "select clock_timestamp(), clock, newest_check, last_run, days_since, today from judge_clock()",
            &[],
        )
        .map_err(wrong)?;
    let ours = Timestamp::now();
    transaction.commit().map_err(wrong)?;
    let theirs: Timestamp = row.get(0);
    let clock: Date = row.get(1);
    let retention = if ours.duration_since(theirs).abs() > TOLERANCE {
        Err(Doubt::Clocks(format!(
            "this machine's clock says {}, and PostgreSQL's {}; set the wrong one",
            minute(ours),
            minute(theirs)
        )))
    } else {
        match (row.get(5), row.get(2), row.get(3)) {
            (Some(today), ..) => Ok(today),
            (None, None, _) => Err(Doubt::NoChecks),
            (None, Some(newest_check), last_run) => Err(Doubt::Data(contradiction(
                clock,
                newest_check,
                last_run,
                row.get(4),
            ))),
        }
    };
    Ok(Clock {
        today: TimeZone::UTC.to_datetime(ours.min(theirs)).date(),
        of_postgresql: clock,
        retention,
    })
}

/// What contradicts a clock that `judge_clock()` does not believe.
fn contradiction(
    clock: Date,
    newest_check: Date,
    last_run: Option<Date>,
    days_since: i32,
) -> String {
    match last_run {
        Some(last_run) if (clock - newest_check).get_days() <= JUMP_DAYS => format!(
            "PostgreSQL's clock says {clock}, but the last run that was believed was on {last_run}, and {days_since} {} since; \
             set the clock, or, if so much time has passed, wait: dropping goes on once {JUMP_DAYS} days hold checks",
            if days_since == 1 {
                "day holds checks"
            } else {
                "days hold checks"
            }
        ),
        _ => format!(
            "PostgreSQL's clock says {clock}, but the newest check is of {newest_check}; \
             set the clock, or, if it is right, see why nothing is recorded: what there is, is kept until then"
        ),
    }
}

fn minute(time: Timestamp) -> String {
    let whole = time.round(Unit::Minute).unwrap_or(time);
    whole.strftime("%Y-%m-%d %H:%MZ").to_string()
}
