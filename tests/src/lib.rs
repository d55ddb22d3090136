//! The stack the end-to-end tests, the demo and the benchmarks run on: a real PostgreSQL, a real
//! Kafka, websites that misbehave, a proxy that cuts connections, and the project's executables.
//!
//! Two rules hold everywhere. Nothing outlives the process that started it, however that process
//! ends ([`watchdog`]), and nothing is waited for by sleeping and hoping ([`wait`]). What is missing
//! is a failure with the reason in it, never a test that silently passes.
#![allow(
    clippy::disallowed_methods,
    reason = "this crate reads the environment of the machine, not the settings of a function"
)]

pub mod asyncapi;
mod cache;
pub mod certificates;
pub mod cgroup;
mod clock;
pub mod command;
pub mod connect;
mod daemon;
pub mod debian;
pub mod directory;
mod failure;
pub mod floor;
mod go;
pub mod kafka;
pub mod manifests;
mod maven;
pub mod memory;
pub mod names;
pub mod namespace;
pub mod opensearch;
pub mod package;
pub mod pages;
pub mod port;
pub mod postgres;
pub mod prometheus;
pub mod proxy;
pub mod python;
pub mod shared;
pub mod telegraf;
pub mod wait;
mod watchdog;
pub mod websites;
pub mod workflows;

pub use failure::Failure;
