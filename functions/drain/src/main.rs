//! `drain`: moves what is pending on the topic into PostgreSQL, exactly once, and exits.

mod batch;
mod plan;
mod row;
mod settings;
mod source;
mod store;
mod summary;
mod window;
mod workers;

use std::process::ExitCode;

use sitewatch::run::{self, Function};
use sitewatch::settings::var;

const DRAIN: Function = Function {
    name: "drain",
    about: "moves what is pending on the topic into PostgreSQL, exactly once, and exits",
    version: env!("CARGO_PKG_VERSION"),
    deadline: Some(&var::DRAIN_DEADLINE),
};

fn main() -> ExitCode {
    run::main(&DRAIN, settings::read, |settings, run| {
        match &settings.source {
            settings::Source::Kafka(kafka) => source::kafka::drain(&settings, kafka, run),
            settings::Source::Stdin => source::stdin::drain(&settings, run),
            settings::Source::DeadLetters => source::dead_letters::drain(&settings, run),
        }
    })
}
