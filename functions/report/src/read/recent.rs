//! The latest checks, as they were recorded.

use jiff::Timestamp;
use postgres::Row;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::cursor::Cursor;
use super::{Reader, every_row};
use crate::lines::CheckLine;
use crate::output::{self, Each, Interrupted};
use crate::settings::Settings;

/// The index on time is coarse (BRIN), so that "newest first" alone would sort everything. Looking
/// back over a growing stretch from the newest check reads little more than what is shown.
const STRETCHES_S: [f64; 6] = [60.0, 600.0, 7_200.0, 86_400.0, 864_000.0, 8.64e7];

const QUERY: &str = include_str!("recent.sql");

/// Only asked for where it is to be shown: roles need not be granted it otherwise.
const NO_EVIDENCE: &str = "null::text";
const EVIDENCE: &str = "(
        select received from evidence
        where evidence.checked_at = checks.checked_at and evidence.website_id = checks.website_id
            and evidence.location_id = checks.location_id
    )";

/// The latest checks, newest first.
pub(crate) struct Recent(Option<Cursor>);

impl Recent {
    /// Has the server put them together.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn open(reader: &mut Reader<'_>, settings: &Settings) -> Result<Self, Failure> {
        let wrong = |error: postgres::Error| explain(DOING, &error);
        let newest: Option<Timestamp> = reader
            .transaction
            .query_typed_one("select max(checked_at) from current_states", &[])
            .map_err(wrong)?
            .get(0);
        let Some(newest) = newest else {
            return Ok(Self(None));
        };
        let since = settings.since.unwrap_or(Timestamp::UNIX_EPOCH);
        let limit = i64::try_from(settings.lines).unwrap_or(i64::MAX);
        let states = settings.filter.states.as_ref();
        let query = if settings.evidence {
            QUERY.replace(NO_EVIDENCE, EVIDENCE)
        } else {
            QUERY.to_owned()
        };
        let mut checks = None;
        for stretch in STRETCHES_S {
            let cursor = Cursor::open(
                &mut reader.transaction,
                "recent",
                &query,
                &[
                    (&newest, Type::TIMESTAMPTZ),
                    (&stretch, Type::FLOAT8),
                    (&limit, Type::INT8),
                    (&reader.only, Type::INT4_ARRAY),
                    (&states, Type::TEXT_ARRAY),
                    (&since, Type::TIMESTAMPTZ),
                ],
            )
            .map_err(wrong)?;
            let reaches_back = newest.duration_since(since).as_secs_f64() <= stretch;
            let is_full = cursor.rows() == settings.lines;
            checks = Some(cursor);
            if is_full || reaches_back {
                break;
            }
        }
        Ok(Self(checks))
    }

    /// How many there are.
    pub(crate) fn rows(&self) -> u64 {
        self.0.as_ref().map_or(0, Cursor::rows)
    }

    /// Hands each on.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked, and those of `each`.
    pub(crate) fn each(
        &self,
        reader: &mut Reader<'_>,
        each: Each<'_, CheckLine>,
    ) -> Result<(), Interrupted> {
        match &self.0 {
            Some(cursor) => every_row(reader, cursor, DOING, &mut |row| Ok(each(&check(row))?)),
            None => Ok(()),
        }
    }
}

const DOING: &str = "reading the latest checks";

fn check(row: &Row) -> CheckLine {
    CheckLine {
        checked_at: row.get(0),
        site: row.get(1),
        url: output::without_credentials(row.get(2)),
        location: row.get(3),
        state: output::state(row.get(4)),
        outcome: row.get(5),
        status: row.get(6),
        body_match: row.get(7),
        dns_us: row.get(8),
        connect_us: row.get(9),
        tls_us: row.get(10),
        first_byte_us: row.get(11),
        body_us: row.get(12),
        total_us: row.get(13),
        local_wait_us: row.get(14),
        body_bytes: row.get(15),
        redirects: row.get(16),
        attempts: row.get(17),
        remote_addr: row.get(18),
        error: row.get(19),
        maintenance: row.get(20),
        evidence: row.get(21),
    }
}
