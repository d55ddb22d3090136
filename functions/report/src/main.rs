//! `report`: says what is up and what was down.

mod counts;
mod filter;
mod histogram;
mod html;
mod lines;
mod output;
mod prometheus;
mod read;
mod settings;
mod table;
mod words;

use std::process::ExitCode;

use sitewatch::postgres::{check_schema, connect};
use sitewatch::run::{self, Exit, Failure, Function, Summary};

use counts::Counts;
use lines::SiteLine;
use settings::{Format, Kind, Settings};

const REPORT: Function = Function {
    name: "report",
    about: "says what is up and what was down: table, JSON, CSV, a status page, Prometheus metrics",
    version: env!("CARGO_PKG_VERSION"),
    variables: settings::VARIABLES,
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
            "{} hours wait to be rolled up: what they hold is missing from figures older than a day; run `maintain`",
            reader.span.waiting
        );
    }
    let summary = match settings.kind {
        Kind::Sites => return sites(&mut reader, settings),
        Kind::Recent => {
            let checks = read::recent::read(&mut reader, settings)?;
            output::lines(settings, &checks)?;
            counted(settings, checks.len(), "checks", |shown| {
                format!("the latest {shown} checks")
            })
        }
        Kind::Incidents => {
            let incidents = read::incidents::read(&mut reader, settings)?;
            output::lines(settings, &incidents)?;
            counted(settings, incidents.len(), "incidents", |shown| {
                format!("{shown} incidents")
            })
        }
        Kind::Days => {
            let mut shown = 0;
            output::stream(settings, |print| {
                read::days::read(&mut reader, settings, &mut |day| {
                    shown += 1;
                    print(day)
                })
            })?;
            Summary::done(format!("{shown} days of sites"), vec![("days", shown)])
        }
        Kind::Runs => {
            let runs = read::runs::read(&mut reader)?;
            output::lines(settings, &runs)?;
            let shown = runs.len() as u64;
            Summary::done(
                format!("the last runs of {shown} functions"),
                vec![("runs", shown)],
            )
        }
    };
    if settings.fail_on_down && read::sites::down(&mut reader, settings)? > 0 {
        return Ok(summary.exiting(Exit::Down));
    }
    Ok(summary)
}

/// The summary of what is shown of something without a natural end, and whether that is all.
fn counted(
    settings: &Settings,
    shown: usize,
    what: &'static str,
    sentence: impl FnOnce(u64) -> String,
) -> Summary {
    let shown = shown as u64;
    if settings.since.is_some() && shown >= settings.lines {
        log::warn!(
            "these are the latest {shown} {what}, and there may be more since REPORT_SINCE: see REPORT_RECENT"
        );
    }
    Summary::done(sentence(shown), vec![(what, shown)])
}

fn sites(reader: &mut read::Reader<'_>, settings: &Settings) -> Result<Summary, Failure> {
    let mut bars = html::Bars::default();
    let mut each_day = |day| bars.add(&day);
    let days: Option<&mut dyn FnMut(_)> = match settings.format {
        Format::Html => Some(&mut each_day),
        _ => None,
    };
    let sites = read::sites::read(reader, settings, days)?;
    let counts = Counts::of(sites.iter().map(|site| &site.line));
    match settings.format {
        Format::Table | Format::Json | Format::Csv => {
            let lines: Vec<SiteLine> = sites.into_iter().map(|site| site.line).collect();
            output::lines(settings, &lines)?;
        }
        Format::Html => html::write(reader, settings, &sites, &bars)?,
        Format::Prometheus => {
            let lines: Vec<SiteLine> = sites.into_iter().map(|site| site.line).collect();
            prometheus::write(reader, settings, lines)?;
        }
    }
    let (all, down, unknown) = (counts.all(), counts.down, counts.unknown);
    let summary = Summary::done(
        format!(
            "{all} {}: {} up, {down} down, {unknown} unknown",
            if all == 1 { "site" } else { "sites" },
            counts.up
        ),
        vec![
            ("sites", all as u64),
            ("down", down as u64),
            ("unknown", unknown as u64),
        ],
    );
    Ok(if settings.fail_on_down && down > 0 {
        summary.exiting(Exit::Down)
    } else {
        summary
    })
}
