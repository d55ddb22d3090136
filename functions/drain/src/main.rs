//! `drain`: moves what is pending on the topic into PostgreSQL, exactly once, and exits.
//!
//! A run over the topic (`topic.rs`) is these steps: `plan`, `acquire`, `read`, `decode`, `write`,
//! commit (`store/commit.rs`), `finish`. The pump joins those in the middle, for standard input
//! (`stdin.rs`) and dead letters (`replay.rs`) as well: what is read and decoded waits in a batch
//! (`filling.rs`, `batch.rs`), a writer commits it, and the ledger knows what has become of it.

mod acquire;
mod batch;
mod decode;
#[cfg(test)]
mod fake;
mod filling;
mod finish;
mod ledger;
mod plan;
mod pump;
mod read;
mod replay;
mod settings;
mod stdin;
mod store;
mod topic;
mod write;

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
            settings::Source::Kafka(kafka) => topic::drain(&settings, kafka, run),
            settings::Source::Stdin => stdin::drain(&settings, run),
            settings::Source::DeadLetters => replay::drain(&settings, run),
        }
    })
}
