//! Servers shared by the tests of one process, started when first asked for.
//!
//! Statics are never dropped; the watchdog ends these with the process. Tests that stop, kill, pause
//! or restart a server start their own instead: a start of Kafka costs three seconds of CPU time.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::{
    certificates::Authority,
    kafka::{Kafka, Options, Version},
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
    broker.get_or_init(|| patient(version).tls(authority()).sasl().start())
}

/// A Kafka behind a proxy, for one test at a time: whatever the one before did to its connections
/// is over.
pub fn proxied_kafka(version: Version) -> MutexGuard<'static, Kafka> {
    static V3_9: OnceLock<Mutex<Kafka>> = OnceLock::new();
    static V4_1: OnceLock<Mutex<Kafka>> = OnceLock::new();
    let broker = match version {
        Version::V3_9 => &V3_9,
        Version::V4_1 => &V4_1,
    };
    let kafka = broker
        .get_or_init(|| Mutex::new(patient(version).proxied().start()))
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    kafka.proxy().cut();
    kafka.proxy().resume();
    kafka
}

/// A broker that is not taken for dead where the machine has no time for it for a while. One that
/// is restarted must be, before it is let in again.
fn patient(version: Version) -> Options {
    Kafka::options(version).set("broker.session.timeout.ms", "60000")
}
