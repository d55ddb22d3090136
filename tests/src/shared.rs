//! Servers shared by the tests of one process, started when first asked for.
//!
//! Statics are never dropped; the watchdog ends these with the process. A start of Kafka costs three
//! seconds of CPU time, so that tests which stop, kill, pause or damage one borrow it
//! ([`borrow_kafka`]); who does so with PostgreSQL starts one.

use std::{ops::Deref, sync::OnceLock, thread};

use parking_lot::{Mutex, MutexGuard};

use crate::{
    certificates::CertificateAuthority,
    kafka::{Kafka, Options, Version},
    postgres::Postgres,
};

/// Who signed the certificates of the shared servers.
pub fn authority() -> &'static CertificateAuthority {
    static AUTHORITY: OnceLock<CertificateAuthority> = OnceLock::new();
    AUTHORITY.get_or_init(|| CertificateAuthority::new("Sitewatch tests"))
}

/// A PostgreSQL without TLS: a handshake for each of thousands of short runs would be a tenth of the
/// suite's work.
pub fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(None))
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
        .lock();
    kafka.proxy().cut();
    kafka.proxy().resume();
    kafka
}

/// Two brokers of one cluster, for one test at a time: it may stop and kill the second, which runs
/// again for the next.
pub fn kafkas(version: Version) -> MutexGuard<'static, (Kafka, Kafka)> {
    static V3_9: OnceLock<Mutex<(Kafka, Kafka)>> = OnceLock::new();
    static V4_1: OnceLock<Mutex<(Kafka, Kafka)>> = OnceLock::new();
    let brokers = match version {
        Version::V3_9 => &V3_9,
        Version::V4_1 => &V4_1,
    };
    let brokers = brokers
        .get_or_init(|| {
            let first = Kafka::start(version);
            let second = Kafka::options(version).join(&first).start();
            Mutex::new((first, second))
        })
        .lock();
    if brokers.1.pid().is_none() {
        brokers.1.start_again();
    }
    brokers
}

/// A Kafka that its borrower may stop, kill, pause and damage; nobody else has it meanwhile.
pub fn borrow_kafka(version: Version) -> Borrowed {
    let mut idle = idle();
    let kafka = idle
        .iter()
        .position(|kafka| kafka.version() == version)
        .map(|at| idle.swap_remove(at));
    // Others need not wait for a start.
    drop(idle);
    Borrowed(Some(kafka.unwrap_or_else(|| Kafka::start(version))))
}

/// See [`borrow_kafka`]. A broker that runs when this is dropped is the next borrower's, with the
/// topics that it has.
pub struct Borrowed(Option<Kafka>);

impl Deref for Borrowed {
    type Target = Kafka;

    fn deref(&self) -> &Kafka {
        self.0.as_ref().expect("there until it is dropped")
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // Nobody knows in which state a test that failed leaves it.
        let kafka = self.0.take().filter(|_| !thread::panicking());
        idle().extend(kafka.filter(|kafka| kafka.pid().is_some()));
    }
}

fn idle() -> MutexGuard<'static, Vec<Kafka>> {
    static IDLE: Mutex<Vec<Kafka>> = Mutex::new(Vec::new());
    IDLE.lock()
}

/// A broker that is not taken for dead where the machine has no time for it for a while. One that
/// is restarted must be, before it is let in again.
fn patient(version: Version) -> Options {
    Kafka::options(version).set("broker.session.timeout.ms", "60000")
}
