//! Messages that could not be recorded before, tried again after a fix or an upgrade.

use std::sync::{Arc, Mutex};

use sitewatch::postgres::{check_schema, connect};
use sitewatch::run::{Exit, Failure, Run, Summary};

use crate::row::Known;
use crate::settings::Settings;
use crate::store::{Limits, Store, check_columns};
use crate::window::Window;

/// Tries every dead letter once, oldest first; those that can be recorded now are, and leave the
/// table in the same transaction.
///
/// # Errors
/// When PostgreSQL cannot be used; what was tried before stays done.
pub(crate) fn drain(settings: &Settings, run: &Run) -> Result<Summary, Failure> {
    let stop = run
        .stop
        .no_later_than(Some(run.started + settings.deadline));
    let mut client = connect(&settings.database, "drain")?;
    check_schema(&mut client)?;
    check_columns(&mut client, &settings.database)?;
    let mut known = Known::new(Window::read(&mut client, &settings.database)?);
    let client = Arc::new(Mutex::new(client));
    let limits = Arc::new(Limits::new(settings.max_names));
    let mut store = Store::new(client, settings.database.clone(), None, limits);
    let (mut recorded, mut repeated, mut left) = (0, 0, 0);
    let mut after = 0;
    loop {
        if let Some(why) = stop.requested() {
            return Ok(Summary::done(
                format!("{recorded} dead letters recorded; stopped by {why} before the end"),
                vec![("recorded", recorded), ("repeated", repeated)],
            )
            .exiting(Exit::Unfinished));
        }
        let Some(tried) = store.replay(after, settings.batch_size, &mut known)? else {
            break;
        };
        after = tried.last;
        recorded += tried.counters.recorded;
        repeated += tried.counters.repeated;
        left += tried.counters.dead_letters;
    }
    Ok(Summary::done(
        format!(
            "{recorded} dead letters recorded, {repeated} were recorded already, {left} cannot be recorded still"
        ),
        vec![
            ("recorded", recorded),
            ("repeated", repeated),
            ("dead_letters", left),
        ],
    ))
}
