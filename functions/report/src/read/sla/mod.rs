//! How an availability objective was met: downtime from the incidents, coverage from the rollups.

mod objective;
mod sources;

use std::collections::BTreeMap;

use jiff::Timestamp;
use postgres::Row;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use self::objective::{Objective, Observed, Statistics};
use self::sources::Sources;
use super::cursor::Cursor;
use super::{Reader, every_row};
use crate::badge::{self, Badge};
use crate::lines::SlaLine;
use crate::output::{Each, Interrupted};
use crate::period::Period;
use crate::settings::Settings;
use crate::wording::Words;

const QUERY: &str = include_str!("sla.sql");

const DOING: &str = "reading how the availability objective was met";

/// A line for each group, then one for each site, what was down the longest first.
pub(crate) struct Sla {
    cursor: Cursor,
    groups: BTreeMap<Option<String>, Statistics>,
    objective: Objective,
}

impl Sla {
    /// Has the server put them together.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn open(reader: &mut Reader<'_>, settings: &Settings) -> Result<Self, Failure> {
        let wrong = |error: postgres::Error| explain(DOING, &error);
        let period = settings.period;
        let measured_until = period.until.min(reader.span.now);
        let objective = Objective {
            period,
            target: settings.target,
            now: reader.span.now,
            measured_until,
            kept_from: kept_from(reader, period).map_err(wrong)?,
        };
        if objective.kept_from > period.from {
            log::warn!(
                "incidents are kept since {} only, and nothing is told of the time before: see MAINTAIN_KEEP_HOURLY",
                objective.kept_from
            );
        }
        let (summed_hour, summed_to) = reader.span.summed.unzip();
        let sources = Sources::of(&reader.span, period.from, measured_until);
        let cursor = Cursor::open(
            &mut reader.transaction,
            "sla",
            QUERY,
            &[
                (&period.from, Type::TIMESTAMPTZ),
                (&measured_until, Type::TIMESTAMPTZ),
                (&reader.only, Type::INT4_ARRAY),
                (&settings.group_by, Type::TEXT),
                (&settings.stale_after.as_secs_f64(), Type::FLOAT8),
                (&sources.days.start, Type::DATE),
                (&sources.days.end, Type::DATE),
                (&reader.span.dirty_days, Type::DATE_ARRAY),
                (&sources.hours, Type::TIMESTAMPTZ_ARRAY),
                (&sources.fresh, Type::TIMESTAMPTZ_ARRAY),
                (&sources.fresh_stretch.start, Type::TIMESTAMPTZ),
                (&sources.fresh_stretch.end, Type::TIMESTAMPTZ),
                (&summed_hour, Type::TIMESTAMPTZ),
                (&summed_to, Type::TIMESTAMPTZ),
            ],
        )
        .map_err(wrong)?;
        let mut groups: BTreeMap<Option<String>, Statistics> = BTreeMap::new();
        if settings.group_by.is_some() {
            let read = every_row(reader, &cursor, DOING, &mut |row| {
                let statistics = objective.statistics(&Observed::of(row, objective.now));
                groups.entry(row.get(1)).or_default().add(statistics);
                Ok(())
            });
            if let Err(Interrupted::Reading(failure)) = read {
                return Err(failure);
            }
        }
        Ok(Self {
            cursor,
            groups,
            objective,
        })
    }

    /// How many sites there are.
    pub(crate) fn sites(&self) -> u64 {
        self.cursor.rows()
    }

    /// Hands each line on.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked, and those of `each`.
    pub(crate) fn each(
        &self,
        reader: &mut Reader<'_>,
        each: Each<'_, SlaLine>,
    ) -> Result<(), Interrupted> {
        for line in self.groups() {
            each(&line)?;
        }
        every_row(reader, &self.cursor, DOING, &mut |row| {
            Ok(each(&self.site(row))?)
        })
    }

    /// The lines of the groups.
    pub(crate) fn groups(&self) -> impl Iterator<Item = SlaLine> {
        self.groups
            .iter()
            .map(|(label, statistics)| self.objective.line(*statistics, None, label.clone()))
    }

    /// The lines of the first sites, at most so many.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn first_sites(
        &self,
        reader: &mut Reader<'_>,
        at_most: u64,
    ) -> Result<Vec<SlaLine>, Failure> {
        let transaction = &mut reader.transaction;
        let mut lines = Vec::new();
        let wrong = |error: postgres::Error| explain(DOING, &error);
        self.cursor.go_to(transaction, 0).map_err(wrong)?;
        while (lines.len() as u64) < at_most {
            let left = at_most - lines.len() as u64;
            let rows = self.cursor.next(transaction, left).map_err(wrong)?;
            if rows.is_empty() {
                break;
            }
            lines.extend(rows.iter().map(|row| self.site(row)));
        }
        Ok(lines)
    }

    /// The badge of the only site.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked, and unless there is one site.
    pub(crate) fn badge(&self, reader: &mut Reader<'_>, words: &Words) -> Result<Badge, Failure> {
        let sites = self.first_sites(reader, 2)?;
        match sites.as_slice() {
            [only] => Ok(Badge::uptime(
                only.site.as_deref().unwrap_or_default(),
                only.uptime,
                only.target,
                words,
            )),
            _ => Err(badge::not_of_one(self.sites())),
        }
    }

    fn site(&self, row: &Row) -> SlaLine {
        let statistics = self
            .objective
            .statistics(&Observed::of(row, self.objective.now));
        self.objective
            .line(statistics, Some(row.get(0)), row.get(1))
    }
}

/// Since when the incidents of a period are kept: its beginning, unless checks from before the
/// oldest hour there is have been counted by day.
fn kept_from(reader: &mut Reader<'_>, period: Period) -> Result<Timestamp, postgres::Error> {
    let row = reader.transaction.query_typed_one(
        include_str!("kept_from.sql"),
        &[
            (&period.from, Type::TIMESTAMPTZ),
            (&reader.span.fresh, Type::TIMESTAMPTZ_ARRAY),
        ],
    )?;
    Ok(row.get(0))
}
