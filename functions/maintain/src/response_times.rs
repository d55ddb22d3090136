//! Response times of a site from a location, as the rollups keep them: a histogram for each phase.

use jiff::Timestamp;
use jiff::civil::Date;
use postgres::Transaction;
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::{ToSql, Type};

use crate::histogram::{Histogram, bucket};

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

/// Which rollup they are of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Period {
    /// `response_times_hourly`, of the hour that begins then.
    Hour(Timestamp),
    /// `response_times_daily`, of this UTC day.
    Day(Date),
}

/// Stores response times, in the order in which they come; of pairs without any nothing.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn store<'a>(
    transaction: &mut Transaction<'_>,
    period: Period,
    all: impl Iterator<Item = (&'a Pair, &'a ResponseTimes)>,
) -> Result<(), postgres::Error> {
    let (hour, day);
    let (table, first): (_, (&(dyn ToSql + Sync), Type)) = match period {
        Period::Hour(at) => {
            hour = at;
            ("response_times_hourly (hour", (&hour, Type::TIMESTAMPTZ))
        }
        Period::Day(date) => {
            day = date;
            ("response_times_daily (day", (&day, Type::DATE))
        }
    };
    let mut types = vec![first.1, Type::INT4, Type::INT2];
    types.extend([const { Type::INT4_ARRAY }; PHASES]);
    let sink = transaction.copy_in(&format!(
        "copy {table}, website_id, location_id, total, dns, connect, tls, first_byte, body)
         from stdin (format binary)"
    ))?;
    let mut writer = BinaryCopyInWriter::new(sink, &types);
    for ((website_id, location_id), times) in all.filter(|(_, times)| !times.is_empty()) {
        let phases = times.0.each_ref().map(Histogram::elements);
        let mut row: Vec<&(dyn ToSql + Sync)> = vec![first.0, website_id, location_id];
        row.extend(phases.iter().map(|phase| -> &(dyn ToSql + Sync) { phase }));
        writer.write(&row)?;
    }
    writer.finish()?;
    Ok(())
}
