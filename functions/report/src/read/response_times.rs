//! Response times of the last 24 hours.

use std::collections::HashMap;

use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::{Key, Parameter, Reader};
use crate::histogram::{Elements, Histogram};

const QUERY: &str = include_str!("response_times.sql");

/// Reads how long whole checks took, of every site.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<HashMap<Key, Histogram>, Failure> {
    let wrong = |error: postgres::Error| explain("reading response times", &error);
    let span = reader.span.clone();
    let hours = span.without_fresh(span.hours_from(span.day_ago));
    let (fresh_from, fresh_to) = span.fresh_stretch();
    let parameters: [Parameter<'_>; 5] = [
        (&hours, Type::TIMESTAMPTZ_ARRAY),
        (&span.fresh, Type::TIMESTAMPTZ_ARRAY),
        (&fresh_from, Type::TIMESTAMPTZ),
        (&fresh_to, Type::TIMESTAMPTZ),
        (&reader.only, Type::INT4_ARRAY),
    ];
    let mut histograms: HashMap<Key, Histogram> = HashMap::new();
    // A row at a time: there are twenty-five of each site.
    let mut rows = reader
        .transaction
        .query_typed_raw(QUERY, parameters)
        .map_err(wrong)?;
    while let Some(row) = rows.next().map_err(wrong)? {
        let elements: Elements<'_> = row.get(2);
        histograms
            .entry((row.get(0), row.get(1)))
            .or_default()
            .add(elements.iter());
    }
    Ok(histograms)
}
