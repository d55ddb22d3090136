//! `probe`: runs one round of website checks, publishes each result as it comes, and exits.

mod canaries;
mod check;
mod dns;
mod dry_run;
mod files;
mod proxy;
mod round;
mod runtime;
mod schedule;
mod secrets;
mod settings;
mod sink;
mod sites;
mod summary;

use std::process::ExitCode;

use sitewatch::run::{self, Function};
use sitewatch::settings::var;

const PROBE: Function = Function {
    name: "probe",
    about: "runs one round of website checks, publishes each result, and exits",
    version: env!("CARGO_PKG_VERSION"),
    deadline: Some(&var::PROBE_DEADLINE),
};

fn main() -> ExitCode {
    run::main(&PROBE, settings::read, round::run)
}
