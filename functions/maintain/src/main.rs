//! `maintain`: keeps the history small and the answers cheap, and exits.

mod ahead;
mod clock;
mod counting;
mod days;
mod histogram;
mod hours;
mod response_times;
mod retention;
mod rollup;
mod running;
mod settings;
mod statistics;
mod summary;
mod trailing;
mod verdicts;
mod work;

use std::process::ExitCode;

use sitewatch::run::{self, Function};
use sitewatch::settings::var;

const MAINTAIN: Function = Function {
    name: "maintain",
    about: "makes partitions ahead, adds up checks by hour and by day, drops what is old, and exits",
    version: env!("CARGO_PKG_VERSION"),
    deadline: Some(&var::MAINTAIN_DEADLINE),
};

fn main() -> ExitCode {
    run::main(&MAINTAIN, settings::read, |settings, run| {
        work::maintain(&settings, run)
    })
}
