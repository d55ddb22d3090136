//! `report`: says what is up and what is down.

mod output;
mod recent;
mod settings;
mod sites;

use std::process::ExitCode;

use sitewatch::postgres::{check_schema, connect};
use sitewatch::run::{self, Failure, Function, Summary};

use settings::{Settings, What};

const REPORT: Function = Function {
    name: "report",
    about: "says what is up and what is down, as a table, JSON or CSV",
    version: env!("CARGO_PKG_VERSION"),
    variables: settings::VARIABLES,
};

fn main() -> ExitCode {
    run::main(&REPORT, settings::read, |settings, _run| work(&settings))
}

fn work(settings: &Settings) -> Result<Summary, Failure> {
    let mut client = connect(&settings.database, "report")?;
    check_schema(&mut client)?;
    match settings.what {
        What::Sites => {
            let sites = sites::read(&mut client, settings)?;
            output::print(settings.format, &sites)?;
            let down = sites.iter().filter(|site| site.state == "down").count() as u64;
            let unknown = sites.iter().filter(|site| site.state == "unknown").count() as u64;
            let all = sites.len() as u64;
            Ok(Summary::done(
                format!(
                    "{all} sites: {} up, {down} down, {unknown} unknown",
                    all - down - unknown
                ),
                vec![("sites", all), ("down", down), ("unknown", unknown)],
            ))
        }
        What::Recent(limit) => {
            let checks = recent::read(&mut client, settings, limit)?;
            output::print(settings.format, &checks)?;
            let shown = checks.len() as u64;
            Ok(Summary::done(
                format!("the latest {shown} checks"),
                vec![("checks", shown)],
            ))
        }
    }
}
