//! `report`: says what is up and what was down.

mod announcements;
mod atom;
mod badge;
mod counts;
mod filter;
mod histogram;
mod html;
mod lines;
mod output;
mod period;
mod prometheus;
mod read;
mod settings;
mod states;
mod table;
mod wording;
mod words;

use std::process::ExitCode;

use sitewatch::postgres::{check_schema, connect};
use sitewatch::run::{self, Exit, Failure, Function, Summary};
use sitewatch::units::counted;

use counts::Counts;
use lines::SiteLine;
use read::days::Days;
use read::incidents::Incidents;
use read::notifications::{self, Notifications};
use read::recent::Recent;
use read::sites::Sites;
use read::sla::Sla;
use settings::{Format, Kind, Settings};

const REPORT: Function = Function {
    name: "report",
    about: "says what is up and what was down: table, JSON, CSV, a status page, a feed, badges, Prometheus metrics",
    version: env!("CARGO_PKG_VERSION"),
    deadline: None,
};

fn main() -> ExitCode {
    run::main(&REPORT, settings::read, |settings, _run| work(&settings))
}

fn work(settings: &Settings) -> Result<Summary, Failure> {
    let mut client = connect(&settings.database, "report")?;
    check_schema(&mut client)?;
    let mut reader = read::open(&mut client, &settings.database, &settings.filter)?;
    if reader.span.waiting > 0 {
        log::warn!(
            "{} hours wait to be rolled up: what they hold is missing from statistics older than a day; run `maintain`",
            reader.span.waiting
        );
    }
    let reader = &mut reader;
    let given_up = notifications::given_up_of_late(reader)?;
    if given_up > 0 && settings.kind != Kind::Notifications {
        log::warn!(
            "{given_up} {} given up in the last 24 hours; REPORT_KIND=notifications shows what was to be told to whom, and why it was not taken",
            if given_up == 1 {
                "message was"
            } else {
                "messages were"
            }
        );
    }
    let summary = match settings.kind {
        Kind::Sites => return sites(reader, settings),
        Kind::Recent => {
            let checks = Recent::open(reader, settings)?;
            output::lines(settings, &mut |each| checks.each(reader, each))?;
            latest(settings, checks.rows(), "checks", |shown| {
                format!("the latest {shown} checks")
            })
        }
        Kind::Incidents => {
            let incidents = Incidents::open(reader, settings)?;
            let shown = if settings.format == Format::Atom {
                atom::write(reader, settings, &incidents)?
            } else {
                output::lines(settings, &mut |each| incidents.each(reader, each))?;
                incidents.rows()
            };
            latest(settings, shown, "incidents", |shown| {
                format!("{shown} incidents")
            })
        }
        Kind::Days => {
            let days = Days::open(reader, settings)?;
            output::lines(settings, &mut |each| days.each(reader, each))?;
            let shown = days.rows();
            Summary::done(format!("{shown} days of sites"), vec![("days", shown)])
        }
        Kind::Runs => {
            let runs = read::runs::read(reader)?;
            output::lines(settings, &mut |each| {
                for run in &runs {
                    each(run)?;
                }
                Ok(())
            })?;
            let shown = runs.len() as u64;
            Summary::done(
                format!("the last runs of {shown} functions"),
                vec![("runs", shown)],
            )
        }
        Kind::Notifications => {
            let notifications = Notifications::open(reader, settings)?;
            output::lines(settings, &mut |each| notifications.each(reader, each))?;
            latest(settings, notifications.rows(), "notifications", |shown| {
                counted(shown, "notification", "notifications") + " not taken"
            })
        }
        Kind::Sla => {
            let sla = Sla::open(reader, settings)?;
            match settings.format {
                Format::Html => html::sla::write(reader, settings, &sla)?,
                Format::Badge => sla.badge(reader, &settings.words)?.write(settings)?,
                _ => output::lines(settings, &mut |each| sla.each(reader, each))?,
            }
            let sites = sla.sites();
            Summary::done(counted(sites, "site", "sites"), vec![("sites", sites)])
        }
    };
    if settings.fail_on_down && read::sites::is_any_down(reader, settings)? {
        return Ok(summary.exiting(Exit::Down));
    }
    Ok(summary)
}

/// The summary of what is shown of something without a natural end, and whether that is all.
fn latest(
    settings: &Settings,
    shown: u64,
    what: &'static str,
    sentence: impl FnOnce(u64) -> String,
) -> Summary {
    if settings.since.is_some() && shown >= settings.lines {
        log::warn!(
            "these are the latest {shown} {what}, and there may be more since REPORT_SINCE: see REPORT_RECENT"
        );
    }
    Summary::done(sentence(shown), vec![(what, shown)])
}

fn sites(reader: &mut read::Reader<'_>, settings: &Settings) -> Result<Summary, Failure> {
    let mut sites = match settings.format {
        Format::Badge | Format::Prometheus => Sites::open_rows(reader, settings)?,
        _ => Sites::open(reader, settings)?,
    };
    let counts = match settings.format {
        Format::Table | Format::Json | Format::Csv | Format::Atom => {
            let mut counts = Counts::default();
            output::lines::<SiteLine>(settings, &mut |each| {
                // A table reads them twice.
                counts = Counts::default();
                sites.each_with_statistics(reader, &mut |site| {
                    if site.is_first {
                        counts.add(site.line.verdict);
                    }
                    Ok(each(&site.line)?)
                })
            })?;
            counts
        }
        Format::Html => html::write(reader, settings, &mut sites)?,
        Format::Badge => {
            sites.badge(reader, &settings.words)?.write(settings)?;
            sites.count(reader)?
        }
        Format::Prometheus => {
            prometheus::write(reader, settings, &sites)?;
            sites.count(reader)?
        }
    };
    let (all, down) = (counts.all(), counts.down);
    let mut sentence = format!(
        "{}: {} up, {down} down, {} unknown",
        counted(all as u64, "site", "sites"),
        counts.up,
        counts.unknown
    );
    for (number, state) in [
        (counts.degraded, "degraded"),
        (counts.unmonitored, "not monitored"),
    ] {
        if number > 0 {
            sentence.push_str(&format!(", {number} {state}"));
        }
    }
    let summary = Summary::done(
        sentence,
        vec![
            ("sites", all as u64),
            ("down", down as u64),
            ("unknown", counts.unknown as u64),
            ("degraded", counts.degraded as u64),
            ("unmonitored", counts.unmonitored as u64),
        ],
    );
    Ok(if settings.fail_on_down && down > 0 {
        summary.exiting(Exit::Down)
    } else {
        summary
    })
}
