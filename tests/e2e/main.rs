//! The end-to-end tests: the project's executables on a real Kafka and a real PostgreSQL.
//!
//! One program, so that its stories share one stack.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do; clippy only knows the tests themselves"
)]

mod deploy;
mod dice;
mod documents;
mod drain;
mod fuzz;
mod grafana;
mod kafka;
mod maintain;
mod notify;
mod overdue;
mod pipeline;
mod probe;
mod readme;
mod report;
mod setup;
mod stack;
mod support;
