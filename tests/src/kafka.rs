//! A real Kafka of our own: one broker in KRaft mode (or two, see [`Options::join`]), its own data
//! and ports, gone when dropped.
//!
//! Tests share one broker of each version through [`crate::shared::kafka`] and take a topic each; a
//! test that stops, kills or pauses the broker starts its own. The broker comes from Maven Central
//! and is kept outside the repository, see [`install`].

mod admin;
mod install;
mod messages;
mod options;
mod ready;
mod tools;
mod transaction;

use std::{path::PathBuf, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use rustix::process::Signal;

pub use admin::TopicSettings;
pub use install::Version;
pub(crate) use install::java;
pub use messages::{Codec, Record};
pub use options::Options;
pub use tools::Lag;
pub use transaction::End;

use crate::{
    Failure,
    certificates::CertificateAuthority,
    daemon::{self, Daemon},
    directory::Directory,
    proxy::Proxy,
    wait,
    watchdog::Farewell,
};
use install::Install;
use options::Ports;

/// The user of the SASL listeners, under PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
pub const USER: &str = "sitewatch";
/// The password of [`USER`]; unlike any other word, so that a test can search output for it.
pub const PASSWORD: &str = "battery-staple-horse";

/// A start takes one second, on a busy machine several.
const START: Duration = Duration::from_secs(90);
/// A broker writes down what it holds before it ends.
const STOP: Duration = Duration::from_secs(30);

/// A Kafka broker. Killed and removed on drop.
pub struct Kafka {
    install: &'static Install,
    version: Version,
    authority: Option<CertificateAuthority>,
    ports: Ports,
    process: Mutex<Option<Daemon>>,
    proxy: Option<Proxy>,
    // Below the process: fields drop in this order, and the broker needs the directory to its end.
    directory: Directory,
}

impl Kafka {
    /// Starts a broker that listens without encryption or authentication.
    ///
    /// # Panics
    /// When the broker does not start, with the end of its log.
    #[track_caller]
    pub fn start(version: Version) -> Self {
        Self::options(version).start()
    }

    /// A broker to be told more before it starts.
    pub fn options(version: Version) -> Options {
        Options::new(version)
    }

    /// Which Kafka this is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// `host:port` of the listener without encryption or authentication.
    pub fn bootstrap(&self) -> String {
        address(self.ports.plain)
    }

    /// `host:port` of the listener that speaks TLS and requires a client certificate; the clients'
    /// files are in [`Self::certificate_dir`].
    #[track_caller]
    pub fn ssl_bootstrap(&self) -> String {
        address(self.ports.ssl.expect("started with `Options::tls`"))
    }

    /// `host:port` of the listener that asks for a password, unencrypted.
    #[track_caller]
    pub fn sasl_bootstrap(&self) -> String {
        address(self.ports.sasl.expect("started with `Options::sasl`"))
    }

    /// `host:port` of the listener that asks for a password over TLS, and for no client
    /// certificate.
    #[track_caller]
    pub fn sasl_ssl_bootstrap(&self) -> String {
        address(
            self.ports
                .sasl_ssl
                .expect("started with `Options::sasl` and `Options::tls`"),
        )
    }

    /// `host:port` of a listener like [`Self::bootstrap`], where every connection, also those a
    /// client makes by itself later, goes through [`Self::proxy`].
    #[track_caller]
    pub fn proxied_bootstrap(&self) -> String {
        address(self.proxy().port())
    }

    /// The proxy before [`Self::proxied_bootstrap`].
    #[track_caller]
    pub fn proxy(&self) -> &Proxy {
        self.proxy
            .as_ref()
            .expect("started with `Options::proxied`")
    }

    /// Who signed the broker's certificate and is believed by it.
    #[track_caller]
    pub fn authority(&self) -> &CertificateAuthority {
        self.authority
            .as_ref()
            .expect("started with `Options::tls`")
    }

    /// A directory with `ca.pem`, `service.cert` and `service.key` for clients.
    #[track_caller]
    pub fn certificate_dir(&self) -> PathBuf {
        assert!(self.authority.is_some(), "started with `Options::tls`");
        self.directory.join(options::CLIENT_DIRECTORY)
    }

    /// The directory of the broker's data: one directory per partition, `TOPIC-NUMBER`.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.join(options::DATA_DIRECTORY)
    }

    /// The end of the broker's log.
    pub fn log_tail(&self) -> String {
        daemon::log_tail(&self.log())
    }

    /// The process number of the broker, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Daemon::pid)
    }

    /// Ends the broker as an operator would.
    pub fn stop(&self) {
        if let Some(process) = self.process().take() {
            process.stop(Signal::TERM, STOP);
        }
    }

    /// Ends the broker without any shutdown, as a power cut would.
    pub fn kill(&self) {
        // Dropping the process kills it.
        self.process().take();
    }

    /// Starts the broker again on the same data and ports.
    ///
    /// # Panics
    /// When it runs already or does not start, with the end of its log.
    #[track_caller]
    pub fn start_again(&self) {
        if let Err(failure) = self.run() {
            panic!("{failure}");
        }
    }

    /// Pauses the broker: connections are accepted by the kernel and never answered.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends a pause.
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        self.process()
            .as_ref()
            .expect("Kafka is running")
            .signal(signal);
    }

    fn run(&self) -> Result<(), Failure> {
        let mut running = self.process();
        assert!(running.is_none(), "Kafka runs already");
        let mut command = self.install.broker();
        command.arg(self.properties());
        let mut process = Daemon::start(&mut command, &self.log(), Farewell::Kill)
            .map_err(|error| Failure::new(format!("cannot start Kafka: {error}")))?;
        let answers = wait::holds_within(START, || {
            process.ended().is_some() || ready::is_ready(self.ports.plain)
        });
        if let Some(status) = process.ended() {
            let what = format!("Kafka ended at its start: {status}");
            return Err(Failure::with_log(what, &process.log_tail()));
        }
        if !answers {
            let what = format!("Kafka does not answer within {START:?}");
            return Err(Failure::with_log(what, &process.log_tail()));
        }
        *running = Some(process);
        Ok(())
    }

    fn properties(&self) -> PathBuf {
        self.directory.join(options::PROPERTIES_FILE)
    }

    fn log(&self) -> PathBuf {
        self.directory.join("kafka.log")
    }

    fn process(&self) -> MutexGuard<'_, Option<Daemon>> {
        // A test that panicked while it held the lock left a valid state behind.
        self.process.lock()
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
