//! Response times of a site from a location, as the rollups keep them: a histogram for each phase.

use postgres::Transaction;
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::{ToSql, Type};

use crate::histogram::{Histogram, bucket};
use crate::rollup::Parameter;

/// Total, name, connecting, TLS, first byte, body.
pub(crate) const PHASES: usize = 6;

/// A website's and a location's number.
pub(crate) type Pair = (i32, i16);

/// How often each phase took how long.
#[derive(Debug, Default)]
pub(crate) struct ResponseTimes([Histogram; PHASES]);

impl ResponseTimes {
    /// Counts a check's, in microseconds; `None`: there was no such phase.
    pub(crate) fn count(&mut self, phases: &[Option<i32>; PHASES]) {
        for (histogram, phase) in self.0.iter_mut().zip(phases) {
            if let Some(microseconds) = phase {
                histogram.count(bucket(*microseconds), 1);
            }
        }
    }

    /// Adds what is stored of another period.
    pub(crate) fn add(&mut self, phase: usize, elements: &[i32]) {
        if let Some(histogram) = self.0.get_mut(phase) {
            histogram.add(elements);
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|phase| phase.elements().is_empty())
    }
}

/// Stores those of a period in a rollup, whose column of periods is named, in the order in which they
/// come; of pairs without any nothing.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn store<'a>(
    transaction: &mut Transaction<'_>,
    table: &str,
    column: &str,
    (period, period_type): Parameter<'_>,
    all: impl Iterator<Item = (&'a Pair, &'a ResponseTimes)>,
) -> Result<(), postgres::Error> {
    let mut types = vec![period_type, Type::INT4, Type::INT2];
    types.extend([const { Type::INT4_ARRAY }; PHASES]);
    let sink = transaction.copy_in(&format!(
        "copy {table} ({column}, website_id, location_id, total, dns, connect, tls, first_byte, body)
         from stdin (format binary)"
    ))?;
    let mut writer = BinaryCopyInWriter::new(sink, &types);
    for ((website_id, location_id), times) in all.filter(|(_, times)| !times.is_empty()) {
        let phases = times.0.each_ref().map(Histogram::elements);
        let mut row: Vec<&(dyn ToSql + Sync)> = vec![period, website_id, location_id];
        row.extend(phases.iter().map(|phase| -> &(dyn ToSql + Sync) { phase }));
        writer.write(&row)?;
    }
    writer.finish()?;
    Ok(())
}
