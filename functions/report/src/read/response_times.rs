//! Response times of the last 24 hours.

use std::collections::HashMap;

use jiff::Timestamp;
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::{Key, Parameter, Reader, trailing};
use crate::histogram::{Elements, Histogram};

const KEPT: &str = "
    select website_id, location_id, total
    from trailing_response_times
    where $1::int4[] is null or website_id = any ($1)";

const BY_HOUR: &str = "
    select website_id, location_id, total, hour
    from response_times_hourly
    where hour = any ($2) and ($1::int4[] is null or website_id = any ($1))";

/// Reads how long whole checks took, of every site, as far as they are rolled up.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<HashMap<Key, Histogram>, Failure> {
    add_all(reader).map_err(|error| explain("reading response times", &error))
}

fn add_all(reader: &mut Reader<'_>) -> Result<HashMap<Key, Histogram>, postgres::Error> {
    let span = reader.span.clone();
    let only = reader.only.clone();
    let of_only: Parameter<'_> = (&only, Type::INT4_ARRAY);
    let mut histograms: HashMap<Key, Histogram> = HashMap::new();
    if span.kept.hour.is_some() {
        // A row at a time, here and below: there may be hundreds of thousands.
        let mut rows = reader
            .transaction
            .query_typed_raw(KEPT, [of_only.clone()])?;
        while let Some(row) = rows.next()? {
            let elements: Elements<'_> = row.get(2);
            histograms
                .entry((row.get(0), row.get(1)))
                .or_default()
                .add(elements.iter());
        }
    }
    let changes = trailing::changes_of_24h(&span);
    let hours: Vec<Timestamp> = changes.keys().copied().collect();
    if !hours.is_empty() {
        let parameters = [of_only, (&hours, Type::TIMESTAMPTZ_ARRAY)];
        let mut rows = reader.transaction.query_typed_raw(BY_HOUR, parameters)?;
        while let Some(row) = rows.next()? {
            let elements: Elements<'_> = row.get(2);
            let histogram = histograms.entry((row.get(0), row.get(1))).or_default();
            if changes.get(&row.get(3)).is_some_and(|change| *change < 0) {
                histogram.take(elements.iter());
            } else {
                histogram.add(elements.iter());
            }
        }
    }
    Ok(histograms)
}
