//! Servers shared by the tests of one process, started when first asked for.
//!
//! Statics are never dropped; the watchdog ends these with the process. Tests that stop, kill, pause
//! or restart a server start their own instead.

use std::sync::OnceLock;

use crate::{
    certificates::Authority,
    kafka::{Kafka, Version},
    postgres::{Postgres, Tls},
};

/// Who signed the certificates of the shared servers.
pub fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("Sitewatch tests"))
}

/// A PostgreSQL that accepts plain and encrypted connections.
pub fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::options().tls(authority(), Tls::Offered).start())
}

/// A Kafka with every listener but the proxied one.
pub fn kafka(version: Version) -> &'static Kafka {
    static V3_9: OnceLock<Kafka> = OnceLock::new();
    static V4_1: OnceLock<Kafka> = OnceLock::new();
    let broker = match version {
        Version::V3_9 => &V3_9,
        Version::V4_1 => &V4_1,
    };
    broker.get_or_init(|| Kafka::options(version).tls(authority()).sasl().start())
}
