//! What failed checks received.

use std::collections::HashMap;

use jiff::Timestamp;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::{Key, Reader};

/// The response of a failed check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) checked_at: Timestamp,
    /// Status line, headers, an empty line, the beginning of the body.
    pub(crate) received: String,
}

/// The newest of each of these sites; what has none is left out.
///
/// # Errors
/// When PostgreSQL cannot be asked, or the role may not read it.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    keys: &[Key],
) -> Result<HashMap<Key, Evidence>, Failure> {
    let websites: Vec<i32> = keys.iter().map(|key| key.0).collect();
    let locations: Vec<i16> = keys.iter().map(|key| key.1).collect();
    let rows = reader
        .transaction
        .query_typed(
            "select key.website_id, key.location_id, newest.checked_at, newest.received
             from unnest($1, $2) as key (website_id, location_id)
             cross join lateral (
                 select checked_at, received
                 from evidence
                 where evidence.website_id = key.website_id and evidence.location_id = key.location_id
                 order by checked_at desc
                 limit 1
             ) as newest",
            &[
                (&websites, Type::INT4_ARRAY),
                (&locations, Type::INT2_ARRAY),
            ],
        )
        .map_err(|error| explain("reading evidence (REPORT_EVIDENCE)", &error))?;
    Ok(rows
        .iter()
        .map(|row| {
            let evidence = Evidence {
                checked_at: row.get(2),
                received: row.get(3),
            };
            ((row.get(0), row.get(1)), evidence)
        })
        .collect())
}
