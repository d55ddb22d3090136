//! The client over librdkafka.

mod admin;
mod assignment;
mod config;
mod connect;
mod fetching;
mod identity;
mod producer;
mod reader;
mod unpack;
mod unreadable;
mod watcher;

pub(super) use admin::Admin;
pub(super) use producer::Producer;
pub(super) use reader::{Reader, Record};

#[cfg(test)]
mod tests;
