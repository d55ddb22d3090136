//! The client over librdkafka.

mod admin;
mod assignment;
mod config;
mod connect;
mod fetching;
mod identity;
mod producer;
mod reader;
mod record;
mod unpack;
mod unreadable;
mod watcher;

pub(super) use admin::Admin;
pub(super) use producer::Producer;
pub(super) use reader::Reader;
pub(super) use record::Record;

#[cfg(test)]
mod tests;
