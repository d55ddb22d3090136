//! The hours that the rollups lack, from their checks. What is wanted of these is read at once: there may
//! be millions.

use jiff::Timestamp;
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::Type;

use super::uptime::Counts;
use super::{Key, Parameter, Reader};
use crate::histogram::Elements;

/// An hour at a time: PostgreSQL then knows how many checks there are, and adds them up accordingly.
const QUERY: &str = include_str!("fresh.sql");

/// What the checks of a site come to in such an hour.
pub(super) struct Fresh<'a> {
    pub(super) hour: Timestamp,
    pub(super) key: Key,
    pub(super) counts: Counts,
    /// `None`: no answer came.
    pub(super) response_times: Option<Elements<'a>>,
}

/// Hands on those of every site.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn read(
    reader: &mut Reader<'_>,
    each: &mut dyn FnMut(Fresh<'_>),
) -> Result<(), postgres::Error> {
    let only = reader.only.clone();
    for hour in reader.span.fresh.clone() {
        let from = reader.span.read_from(hour);
        let is_summed = from > hour;
        let parameters: [Parameter<'_>; 4] = [
            (&hour, Type::TIMESTAMPTZ),
            (&only, Type::INT4_ARRAY),
            (&from, Type::TIMESTAMPTZ),
            (&is_summed, Type::BOOL),
        ];
        let mut rows = reader.transaction.query_typed_raw(QUERY, parameters)?;
        while let Some(row) = rows.next()? {
            each(Fresh {
                hour,
                key: (row.get(0), row.get(1)),
                counts: Counts {
                    up: row.get(2),
                    down: row.get(3),
                    covered_ms: row.get(4),
                },
                response_times: row.get(5),
            });
        }
    }
    Ok(())
}
