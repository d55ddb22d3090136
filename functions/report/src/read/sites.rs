//! The state of each site, from each location it is checked from.

use std::collections::HashMap;

use jiff::Timestamp;
use postgres::Row;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::coverage::Watched;
use super::cursor::Cursor;
use super::site_row::{self, SiteRow};
use super::span::Span;
use super::uptime::{self, Day, Uptime};
use super::{Key, Reader, every_row, response_times, rows, trailing};
use crate::badge::{self, Badge};
use crate::counts::Counts;
use crate::filter::Labels;
use crate::histogram::Histogram;
use crate::lines::SiteLine;
use crate::output::{self, Interrupted};
use crate::settings::Settings;
use crate::wording::Words;
use crate::words::days_left;

/// A site as seen from a location, with what its line does not show.
pub(crate) struct Site {
    /// `None` for a site that was never checked.
    pub(crate) key: Option<Key>,
    /// Whether it is the first line of its site: the one that the site is counted by.
    pub(crate) is_first: bool,
    /// The value of the label that groups; `None`: it has none, or no label does.
    pub(crate) group: Option<String>,
    /// When it should have been looked at; `None`: that is not known.
    pub(crate) watched: Option<Watched>,
    pub(crate) line: SiteLine,
}

const QUERY: &str = include_str!("sites.sql");

/// What a line has beyond [`site_row::COLUMNS`].
const FURTHER_COLUMNS: &str =
    "labels, url, word, status, certificate_issuer, error, last_error, last_down_at, verdict_since";

const DOING: &str = "reading the state of the sites";

/// How many lines are held at a time: their statistics, about 20 MB, or what metrics tell of them, about
/// 40 MB. Of more, statistics are read from the rollups for each as many, and the lines for each metric.
const LINES_AT_ONCE: u64 = 50_000;

/// The state of every site, what is broken first.
pub(crate) struct Sites {
    cursor: Cursor,
    /// The label that groups.
    group_by: Option<String>,
    /// The statistics of all lines, once they were read and if they are few enough.
    statistics: Option<Statistics>,
}

/// Lines that follow each other, or some of them.
#[derive(Clone, Copy)]
struct Stretch<'a> {
    from: u64,
    at_most: u64,
    /// Of each whether it is one of them; `None`: all are.
    taken: Option<&'a [bool]>,
}

impl Stretch<'_> {
    fn takes(&self, line: usize) -> bool {
        self.taken
            .is_none_or(|taken| taken.get(line).is_some_and(|is_taken| *is_taken))
    }

    fn len(&self) -> u64 {
        self.taken.map_or(self.at_most, |taken| {
            taken.iter().filter(|is_taken| **is_taken).count() as u64
        })
    }
}

/// Uptimes and response times.
struct Statistics {
    uptimes: HashMap<Key, Uptime>,
    response_times: HashMap<Key, Histogram>,
}

impl Sites {
    /// Has the server put them together.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn open(reader: &mut Reader<'_>, settings: &Settings) -> Result<Self, Failure> {
        let states = settings.filter.states.as_ref();
        let columns = format!("{}, {FURTHER_COLUMNS}", site_row::COLUMNS);
        Self::of_states(reader, settings, states, &columns)
    }

    /// The same for [`Self::each_row`], which has no need of all columns: what is left is held, unless
    /// there are many lines.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn open_rows(reader: &mut Reader<'_>, settings: &Settings) -> Result<Self, Failure> {
        let states = settings.filter.states.as_ref();
        // As text they are a twentieth of the work.
        let labels = if settings.metric_labels.is_empty() {
            "null"
        } else {
            "labels"
        };
        let columns = format!("{}, {labels}, covered_ms_24h", site_row::COLUMNS);
        let mut sites = Self::of_states(reader, settings, states, &columns)?;
        sites
            .cursor
            .hold(&mut reader.transaction, LINES_AT_ONCE)
            .map_err(|error| explain(DOING, &error))?;
        Ok(sites)
    }

    fn of_states(
        reader: &mut Reader<'_>,
        settings: &Settings,
        states: Option<&Vec<&str>>,
        columns: &str,
    ) -> Result<Self, Failure> {
        let changes = trailing::changes_of_24h(&reader.span);
        let hours = |are_added: bool| -> Vec<Timestamp> {
            let wanted = changes.iter().filter(|(_, by)| (**by > 0) == are_added);
            wanted.map(|(hour, _)| *hour).collect()
        };
        let cursor = Cursor::open(
            &mut reader.transaction,
            "sites",
            &format!("select {columns} from ({QUERY}) as lines order by rank, site, location"),
            &[
                (&settings.stale_after.as_secs_f64(), Type::FLOAT8),
                (&reader.only, Type::INT4_ARRAY),
                (&states, Type::TEXT_ARRAY),
                (&reader.span.kept.hour.is_some(), Type::BOOL),
                (&hours(true), Type::TIMESTAMPTZ_ARRAY),
                (&hours(false), Type::TIMESTAMPTZ_ARRAY),
            ],
        )
        .map_err(|error| explain(DOING, &error))?;
        Ok(Self {
            cursor,
            group_by: settings.group_by.clone(),
            statistics: None,
        })
    }

    /// How many lines there are.
    pub(crate) fn rows(&self) -> u64 {
        self.cursor.rows()
    }

    /// Hands each on, without uptimes and percentiles.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked, and those of `each`.
    pub(crate) fn each(
        &self,
        reader: &mut Reader<'_>,
        each: &mut dyn FnMut(Site) -> Result<(), Interrupted>,
    ) -> Result<(), Interrupted> {
        let now = reader.span.now;
        every_row(reader, &self.cursor, DOING, &mut |row| {
            each(self.site(row, now))
        })
    }

    /// The same as they were read. Metrics have no uptimes and percentiles: whoever keeps metrics
    /// works out such statistics from them.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked, and those of `each`.
    pub(crate) fn each_row(
        &self,
        reader: &mut Reader<'_>,
        each: &mut dyn FnMut(&SiteRow<'_>) -> Result<(), Interrupted>,
    ) -> Result<(), Interrupted> {
        every_row(reader, &self.cursor, DOING, &mut |row| each(&SiteRow(row)))
    }

    /// The badge of the only site.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked, and unless there is one site.
    pub(crate) fn badge(&self, reader: &mut Reader<'_>, words: &Words) -> Result<Badge, Failure> {
        let mut badge = None;
        let mut sites = 0;
        let read = self.each_row(reader, &mut |site| {
            if site.is_first() {
                badge = Some(Badge::state(site.site(), site.verdict(), words));
                sites += 1;
            }
            Ok(())
        });
        match (read, badge) {
            (Err(Interrupted::Reading(failure)), _) => Err(failure),
            (_, Some(badge)) if sites == 1 => Ok(badge),
            _ => Err(badge::not_of_one(sites)),
        }
    }

    /// How many sites are in which state.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn count(&self, reader: &mut Reader<'_>) -> Result<Counts, Failure> {
        let mut counts = Counts::default();
        match self.each_row(reader, &mut |site| {
            if site.is_first() {
                counts.add(site.verdict());
            }
            Ok(())
        }) {
            Err(Interrupted::Reading(failure)) => Err(failure),
            _ => Ok(counts),
        }
    }

    /// Hands each on with all that there is of it.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked, and those of `each`.
    pub(crate) fn each_with_statistics(
        &mut self,
        reader: &mut Reader<'_>,
        each: &mut dyn FnMut(Site) -> Result<(), Interrupted>,
    ) -> Result<(), Interrupted> {
        let mut lines = Stretch {
            from: 0,
            at_most: LINES_AT_ONCE,
            taken: None,
        };
        while lines.from < self.rows() {
            if self.statistics.is_none() || self.rows() > LINES_AT_ONCE {
                self.statistics = None;
                self.statistics = Some(self.statistics(reader, lines, None)?);
            }
            self.hand_on(reader, lines, each)?;
            lines.from += LINES_AT_ONCE;
        }
        Ok(())
    }

    /// The lines that are taken, of the first ones on, with all that there is of each; their days go to
    /// `each_day`.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn some(
        &mut self,
        reader: &mut Reader<'_>,
        taken: &[bool],
        each_day: &mut dyn FnMut(Day),
    ) -> Result<Vec<Site>, Failure> {
        let lines = Stretch {
            from: 0,
            at_most: taken.len() as u64,
            taken: Some(taken),
        };
        self.statistics = Some(self.statistics(reader, lines, Some(each_day))?);
        let mut sites = Vec::new();
        let read = self.hand_on(reader, lines, &mut |site| {
            sites.push(site);
            Ok(())
        });
        match read {
            Ok(()) => Ok(sites),
            Err(Interrupted::Reading(failure)) => Err(failure),
            Err(Interrupted::Writing(error)) => Err(Failure::InternalError(error.to_string())),
        }
    }

    fn site(&self, row: &Row, now: Timestamp) -> Site {
        let seen = SiteRow(row);
        let labels = seen.labels();
        let group = self.group_by.as_ref().and_then(|name| labels.get(name));
        let (certificate_not_after, chain_not_after) =
            (seen.certificate_not_after(), seen.chain_not_after());
        let [dns_us, connect_us, tls_us, first_byte_us, body_us, total_us] = seen.phases_us();
        let left_s = |end: Timestamp| {
            // Whole seconds, downwards: what expired a moment ago has expired.
            let left = end.duration_since(now);
            left.as_secs() - i64::from(left.subsec_nanos() < 0)
        };
        let certificate_left_s = certificate_not_after.map(left_s);
        let chain_left_s = chain_not_after.map(left_s);
        Site {
            key: seen.key(),
            is_first: seen.is_first(),
            group: group.filter(|value| !value.is_empty()).cloned(),
            watched: seen.watched(now),
            line: SiteLine {
                site: seen.site().to_owned(),
                url: output::without_credentials(row.get(23)),
                labels: text(&labels),
                location: seen.location().map(str::to_owned),
                state: seen.state(),
                since: seen.since(),
                checked_at: seen.checked_at(),
                outcome: row.get(24),
                status: row.get(25),
                uptime_24h: None,
                uptime_7d: None,
                uptime_30d: None,
                uptime_90d: None,
                checks_24h: 0,
                p50_us: None,
                p95_us: None,
                p99_us: None,
                dns_us,
                connect_us,
                tls_us,
                first_byte_us,
                body_us,
                total_us,
                certificate_not_after,
                certificate_days: certificate_left_s.map(days_left),
                certificate_left_s,
                certificate_issuer: row.get(26),
                error: row.get(27),
                last_error: row.get::<_, Option<String>>(27).or_else(|| row.get(28)),
                last_error_at: match row.get::<_, Option<&str>>(27) {
                    Some(_) => seen.checked_at(),
                    None => row.get(29),
                },
                verdict: seen.verdict(),
                verdict_since: row.get(30),
                coverage_24h: None,
                coverage_7d: None,
                coverage_30d: None,
                coverage_90d: None,
                duplicates_24h: 0,
                chain_not_after,
                chain_days: chain_left_s.map(days_left),
                chain_left_s,
                chain_subject: seen.chain_subject().map(str::to_owned),
                chain_host: seen.chain_host().map(str::to_owned),
            },
        }
    }

    fn hand_on(
        &self,
        reader: &mut Reader<'_>,
        lines: Stretch<'_>,
        each: &mut dyn FnMut(Site) -> Result<(), Interrupted>,
    ) -> Result<(), Interrupted> {
        let span = reader.span.clone();
        self.some_rows(reader, lines, &mut |row| {
            let mut site = self.site(row, span.now);
            if let (Some(key), Some(statistics)) = (site.key, &self.statistics) {
                statistics.add_to(key, &mut site, &span);
            }
            each(site)
        })
    }

    fn some_rows(
        &self,
        reader: &mut Reader<'_>,
        lines: Stretch<'_>,
        each: &mut dyn FnMut(&Row) -> Result<(), Interrupted>,
    ) -> Result<(), Interrupted> {
        let mut numbers = 0..;
        let wanted = lines.from..lines.from.saturating_add(lines.at_most);
        rows(
            reader,
            &self.cursor,
            wanted,
            DOING,
            &mut |row| match numbers.next() {
                Some(number) if lines.takes(number) => each(row),
                _ => Ok(()),
            },
        )
    }

    /// The statistics of some lines.
    fn statistics(
        &self,
        reader: &mut Reader<'_>,
        lines: Stretch<'_>,
        each_day: Option<&mut dyn FnMut(Day)>,
    ) -> Result<Statistics, Failure> {
        let mut restored = None;
        if self.rows() > lines.len() {
            let mut websites: Vec<i32> = Vec::new();
            let read = self.some_rows(reader, lines, &mut |row| {
                websites.push(row.get(0));
                Ok(())
            });
            if let Err(Interrupted::Reading(failure)) = read {
                return Err(failure);
            }
            websites.sort_unstable();
            websites.dedup();
            restored = Some(reader.only.replace(websites));
        }
        let statistics = read_statistics(reader, each_day);
        if let Some(only) = restored {
            reader.only = only;
        }
        statistics
    }
}

fn read_statistics(
    reader: &mut Reader<'_>,
    each_day: Option<&mut dyn FnMut(Day)>,
) -> Result<Statistics, Failure> {
    let mut response_times = response_times::read(reader)?;
    let uptimes = uptime::read(reader, each_day, &mut response_times)?;
    Ok(Statistics {
        uptimes,
        response_times,
    })
}

/// Whether a site is down, whatever states are shown.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn is_any_down(reader: &mut Reader<'_>, settings: &Settings) -> Result<bool, Failure> {
    let down = vec!["down"];
    Ok(Sites::of_states(reader, settings, Some(&down), site_row::COLUMNS)?.rows() > 0)
}

impl Statistics {
    fn add_to(&self, key: Key, site: &mut Site, span: &Span) {
        let line = &mut site.line;
        // Without any checks it may have been looked at in no part of the time all the same.
        let uptime = self.uptimes.get(&key).copied().unwrap_or_default();
        let coverage = |window| uptime.coverage(window, site.watched?, span);
        line.coverage_24h = coverage(0);
        line.coverage_7d = coverage(1);
        line.coverage_30d = coverage(2);
        line.coverage_90d = coverage(3);
        line.duplicates_24h = uptime.duplicates();
        line.checks_24h = uptime.known(0);
        line.uptime_24h = uptime.percentage(0);
        line.uptime_7d = uptime.percentage(1);
        line.uptime_30d = uptime.percentage(2);
        line.uptime_90d = uptime.percentage(3);
        if let Some(histogram) = self.response_times.get(&key) {
            line.p50_us = histogram.percentile(0.5);
            line.p95_us = histogram.percentile(0.95);
            line.p99_us = histogram.percentile(0.99);
        }
    }
}

/// `team=web,env=live`.
fn text(labels: &Labels) -> String {
    labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}
