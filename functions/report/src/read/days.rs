//! What each site's days were like.

use jiff::tz::TimeZone;
use postgres::Row;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::cursor::Cursor;
use super::{Parameter, Reader, every_row};
use crate::histogram::{Elements, Histogram};
use crate::lines::DayLine;
use crate::output::{Each, Interrupted};
use crate::settings::Settings;

/// The lines of REPORT_KIND=days: days that are over, from the daily rollups alone.
const QUERY: &str = "
    select counts.day, websites.name, locations.name, counts.checks, counts.up, counts.down,
        counts.unknown, counts.maintenance, times.total
    from checks_daily as counts
    join websites on websites.id = counts.website_id
    join locations on locations.id = counts.location_id
    left join response_times_daily as times on times.day = counts.day
        and times.website_id = counts.website_id and times.location_id = counts.location_id
    where counts.day >= $1 and ($2::int4[] is null or counts.website_id = any ($2))
    order by counts.day desc, websites.name, locations.name";

/// The days that are over, newest first.
pub(crate) struct Days(Cursor);

impl Days {
    /// Has the server put them together.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn open(reader: &mut Reader<'_>, settings: &Settings) -> Result<Self, Failure> {
        let first = settings.since.map_or_else(
            || reader.span.first_day(),
            |since| TimeZone::UTC.to_datetime(since).date(),
        );
        let parameters: [Parameter<'_>; 2] =
            [(&first, Type::DATE), (&reader.only, Type::INT4_ARRAY)];
        Cursor::open(&mut reader.transaction, "days", QUERY, &parameters)
            .map(Self)
            .map_err(|error| explain(DOING, &error))
    }

    /// How many there are.
    pub(crate) fn rows(&self) -> u64 {
        self.0.rows()
    }

    /// Hands each on.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked, and those of `each`.
    pub(crate) fn each(
        &self,
        reader: &mut Reader<'_>,
        each: Each<'_, DayLine>,
    ) -> Result<(), Interrupted> {
        every_row(reader, &self.0, DOING, &mut |row| Ok(each(&day(row))?))
    }
}

const DOING: &str = "reading days";

fn day(row: &Row) -> DayLine {
    let (up, down): (i32, i32) = (row.get(4), row.get(5));
    let mut total = Histogram::default();
    if let Some(elements) = row.get::<_, Option<Elements<'_>>>(8) {
        total.add(elements.iter());
    }
    DayLine {
        day: row.get(0),
        site: row.get(1),
        location: row.get(2),
        checks: row.get(3),
        up,
        down,
        unknown: row.get(6),
        maintenance: row.get(7),
        uptime: (up + down > 0).then(|| 100.0 * f64::from(up) / f64::from(up + down)),
        p50_us: total.percentile(0.5),
        p95_us: total.percentile(0.95),
        p99_us: total.percentile(0.99),
    }
}
