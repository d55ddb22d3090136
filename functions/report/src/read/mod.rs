//! What is read from the database, in one view of it: rollups for what is over, single checks only
//! for the hours that the rollups lack.

pub(crate) mod coverage;
pub(crate) mod cursor;
pub(crate) mod days;
pub(crate) mod dead_letters;
pub(crate) mod evidence;
mod fresh;
pub(crate) mod incidents;
pub(crate) mod notifications;
pub(crate) mod offsets;
pub(crate) mod plots;
pub(crate) mod probes;
pub(crate) mod recent;
pub(crate) mod response_times;
pub(crate) mod runs;
pub(crate) mod site_row;
pub(crate) mod sites;
pub(crate) mod sla;
pub(crate) mod span;
pub(crate) mod trailing;
pub(crate) mod uptime;

use std::collections::HashMap;
use std::ops::Range;

use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::{ToSql, Type};
use postgres::{Client, Row, Transaction};
use sitewatch::postgres::{begin, explain};
use sitewatch::run::Failure;
use sitewatch::settings::DatabaseSettings;

use crate::filter::{Filter, Labels};
use crate::output::Interrupted;
use cursor::Cursor;
use span::Span;

/// A site from a location: what every statistic belongs to.
pub(crate) type Key = (i32, i16);

/// A transaction that sees one state of the database from its first statement to its last.
pub(crate) struct Reader<'a> {
    pub(crate) transaction: Transaction<'a>,
    /// The hours and days that statistics are taken from.
    pub(crate) span: Span,
    /// The websites to be read; `None`: all.
    pub(crate) only: Option<Vec<i32>>,
}

/// Opens it.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn open<'a>(
    client: &'a mut Client,
    settings: &DatabaseSettings,
    filter: &Filter,
) -> Result<Reader<'a>, Failure> {
    let wrong = |error: postgres::Error| explain("reading what there is", &error);
    let mut transaction = begin(client, settings).map_err(wrong)?;
    transaction
        .batch_execute(
            // What is looked up for a site is looked up once: remembering it, as PostgreSQL does since
            // 14, is a third of the time that the state of all sites takes.
            "set transaction isolation level repeatable read, read only;
             set local work_mem = '32MB';
             select set_config('enable_memoize', 'off', true)
             where current_setting('server_version_num')::integer >= 140000",
        )
        .map_err(wrong)?;
    let span = Span::read(&mut transaction).map_err(wrong)?;
    let only = if filter.takes_every_site() {
        None
    } else {
        Some(websites(&mut transaction, filter).map_err(wrong)?)
    };
    Ok(Reader {
        transaction,
        span,
        only,
    })
}

/// The websites that a filter takes.
fn websites(
    transaction: &mut Transaction<'_>,
    filter: &Filter,
) -> Result<Vec<i32>, postgres::Error> {
    let none: [Parameter<'_>; 0] = [];
    let mut rows =
        transaction.query_typed_raw("select id, name, labels::text from websites", none)?;
    let mut taken = Vec::new();
    while let Some(row) = rows.next()? {
        if filter.takes_site(row.get(1), &labels(row.get(2))) {
            taken.push(row.get(0));
        }
    }
    Ok(taken)
}

/// Hands every row of a cursor on, from the first one to the last.
///
/// # Errors
/// When PostgreSQL cannot be asked while `doing`, and those of `each`.
pub(crate) fn every_row(
    reader: &mut Reader<'_>,
    cursor: &Cursor,
    doing: &str,
    each: &mut dyn FnMut(&Row) -> Result<(), Interrupted>,
) -> Result<(), Interrupted> {
    rows(reader, cursor, 0..cursor.rows(), doing, each)
}

/// Hands these rows of a cursor on, counted from the first one.
///
/// # Errors
/// When PostgreSQL cannot be asked while `doing`, and those of `each`.
pub(crate) fn rows(
    reader: &mut Reader<'_>,
    cursor: &Cursor,
    wanted: Range<u64>,
    doing: &str,
    each: &mut dyn FnMut(&Row) -> Result<(), Interrupted>,
) -> Result<(), Interrupted> {
    let wrong = |error: postgres::Error| explain(doing, &error);
    let mut left = wanted.end.saturating_sub(wanted.start);
    if let Some(held) = cursor.held() {
        let skipped = usize::try_from(wanted.start).unwrap_or(usize::MAX);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX);
        return held.iter().skip(skipped).take(wanted).try_for_each(each);
    }
    let transaction = &mut reader.transaction;
    cursor.go_to(transaction, wanted.start).map_err(wrong)?;
    while left > 0 {
        let rows = cursor.next(transaction, left).map_err(wrong)?;
        if rows.is_empty() {
            break;
        }
        left = left.saturating_sub(rows.len() as u64);
        rows.iter().try_for_each(&mut *each)?;
    }
    Ok(())
}

/// Labels as the database has them; what is no text is shown as it is.
pub(crate) fn labels(json: &str) -> Labels {
    let object: HashMap<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    object
        .into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect()
}

/// A parameter of a statement.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);
