//! Rows into `checks`, by COPY.

use std::io;

use postgres::types::Type;
use postgres::{Client, CopyInWriter, Transaction};

use sitewatch::postgres::{begin, explain, root_cause};
use sitewatch::run::Failure;
use sitewatch::settings::{DatabaseSettings, Problems};

use super::binary::{self, Binary};
use super::commit::Keyed;
use super::unless_repeated;

const COLUMNS: &str = "website_id, location_id, checked_at, total_us, dns_us, connect_us, tls_us, \
    first_byte_us, body_us, local_wait_us, body_bytes, outcome, status, redirects, attempts, up, \
    body_match, maintenance, remote_addr, error, first_error, scheduled_at, interval_ms";

const TYPES: &[Type] = &[
    Type::INT4,
    Type::INT2,
    Type::TIMESTAMPTZ,
    Type::INT4,
    Type::INT4,
    Type::INT4,
    Type::INT4,
    Type::INT4,
    Type::INT4,
    Type::INT4,
    Type::INT4,
    Type::INT2,
    Type::INT2,
    Type::INT2,
    Type::INT2,
    Type::BOOL,
    Type::BOOL,
    Type::BOOL,
    Type::INET,
    Type::TEXT,
    Type::TEXT,
    Type::TIMESTAMPTZ,
    Type::INT4,
];

/// Proves that the table's columns are of the types written here.
///
/// PostgreSQL cannot tell: a binary COPY holds bytes without types, and what is meant as one type
/// may be taken for another.
///
/// # Errors
/// [`Failure::Configuration`] with the columns that differ.
pub(crate) fn check_columns(
    client: &mut Client,
    settings: &DatabaseSettings,
) -> Result<(), Failure> {
    let names: Vec<&str> = COLUMNS.split(", ").collect();
    let types: Vec<&str> = TYPES.iter().map(Type::name).collect();
    let mut compare = || {
        begin(client, settings)?.query_typed(
            "select name, format_type(atttypid, atttypmod), format_type(wanted::regtype, null)
             from unnest($1, $2) as written (name, wanted)
             left join pg_attribute
                 on attrelid = to_regclass('checks') and attname = name and not attisdropped
             where atttypid is distinct from wanted::regtype",
            &[(&names, Type::TEXT_ARRAY), (&types, Type::TEXT_ARRAY)],
        )
    };
    let differing =
        compare().map_err(|error| explain("comparing the columns of checks", &error))?;
    let sentences: Vec<String> = differing
        .iter()
        .map(|row| {
            let (name, found, wanted): (&str, Option<&str>, &str) =
                (row.get(0), row.get(1), row.get(2));
            match found {
                Some(found) => format!("checks.{name} is {found} instead of {wanted}"),
                None => format!("checks.{name} is missing"),
            }
        })
        .collect();
    if sentences.is_empty() {
        return Ok(());
    }
    Err(Problems::one(
        "the database's schema",
        format!(
            "does not fit this release: {}; run `setup` of the same release",
            sentences.join(", ")
        ),
    )
    .into())
}

/// Inserts the rows that are not there yet and returns how many that were. `rows` has no repeats
/// within itself.
///
/// Straight COPY takes half the time of the way around a temporary table, but refuses the whole
/// batch for one row that is there already. Repeats are rare (a producer's retry, a spool), so it
/// is tried first.
pub(super) fn insert(
    transaction: &mut Transaction<'_>,
    rows: &[Keyed<'_>],
) -> Result<u64, postgres::Error> {
    let straight = unless_repeated(transaction, |savepoint| copy(savepoint, "checks", rows))?;
    if let Some(written) = straight {
        return Ok(written);
    }
    // Emptied, because a batch with refused rows comes by several times.
    transaction.batch_execute(
        "create temporary table if not exists arrived (like checks) on commit drop;
         truncate arrived",
    )?;
    copy(transaction, "arrived", rows)?;
    transaction.execute_typed(
        &format!(
            "insert into checks ({COLUMNS}) select {COLUMNS} from arrived on conflict do nothing"
        ),
        &[],
    )
}

/// Inserts the rows that PostgreSQL takes, as [`insert`] does; the others are added to `refused`,
/// by position in their batch, with PostgreSQL's own words. Halves the batch until a refused row is
/// alone: a few refused ones among many cost little.
pub(super) fn insert_what_fits(
    transaction: &mut Transaction<'_>,
    rows: &[Keyed<'_>],
    refused: &mut Vec<(usize, String)>,
) -> Result<u64, postgres::Error> {
    let mut savepoint = transaction.transaction()?;
    let error = match insert(&mut savepoint, rows) {
        Ok(recorded) => {
            savepoint.commit()?;
            return Ok(recorded);
        }
        Err(error) if is_refusal(&error) => error,
        Err(error) => return Err(error),
    };
    savepoint.rollback()?;
    if let [row] = rows {
        refused.push((row.position, format!("PostgreSQL: {}", root_cause(&error))));
        return Ok(0);
    }
    let (first, second) = rows.split_at(rows.len() / 2);
    Ok(insert_what_fits(transaction, first, refused)?
        + insert_what_fits(transaction, second, refused)?)
}

/// Whether PostgreSQL refused what is in a row, rather than the statement or us: data exceptions,
/// constraints, a trigger's own objection, a row too large for a page.
pub(super) fn is_refusal(error: &postgres::Error) -> bool {
    error
        .code()
        .is_some_and(|state| matches!(state.code().get(..2), Some("22" | "23" | "P0" | "54")))
}

/// The statements by which rows come in, as `pg_stat_activity` shows them.
pub(super) fn statements() -> [String; 2] {
    ["checks", "arrived"].map(statement)
}

fn statement(table: &str) -> String {
    format!("copy {table} ({COLUMNS}) from stdin (format binary)")
}

fn copy(
    transaction: &mut Transaction<'_>,
    table: &str,
    rows: &[Keyed<'_>],
) -> Result<u64, postgres::Error> {
    let mut sink = transaction.copy_in(&statement(table))?;
    match send(&mut sink, rows) {
        Ok(()) => sink.finish(),
        Err(error) => Err(error
            .downcast()
            .expect("the library's writer fails with the library's errors only")),
    }
}

fn send(sink: &mut CopyInWriter<'_>, rows: &[Keyed<'_>]) -> io::Result<()> {
    let mut binary = Binary::new(sink, TYPES.len());
    for check in rows {
        write(&mut binary.row()?, check);
    }
    binary.finish()
}

/// The columns of [`COLUMNS`], in that order.
fn write(row: &mut binary::Row<'_>, check: &Keyed<'_>) {
    let from = check.row;
    let texts = from.texts.as_ref();
    row.int4(check.website_id)
        .int2(check.location_id)
        .time(from.checked_at)
        .int4(from.total_us)
        .int4(from.dns_us)
        .int4(from.connect_us)
        .int4(from.tls_us)
        .int4(from.first_byte_us)
        .int4(from.body_us)
        .int4(from.local_wait_us)
        .int4(from.body_bytes)
        .int2(from.outcome)
        .int2(from.status)
        .int2(from.redirects)
        .int2(from.attempts)
        .bool(from.up)
        .bool(from.body_match)
        .bool(from.maintenance)
        .address(from.remote_addr)
        .text(texts.and_then(|texts| texts.error.as_deref()))
        .text(texts.and_then(|texts| texts.first_error.as_deref()))
        .time(from.scheduled_at)
        .int4(from.interval_ms);
}
