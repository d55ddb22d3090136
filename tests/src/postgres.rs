//! A real PostgreSQL of our own: its own data, port and socket directory, gone when dropped.
//!
//! Passwords are really checked (scram-sha-256, also on the socket), and durability is the server's
//! default, so that measurements on it mean something. Tests share one server through
//! [`crate::shared::postgres`] and take a [`Database`] each; a test that stops or restarts the
//! server starts its own.

mod database;
mod install;
mod options;
mod pooler;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use postgres::{Client, Config, NoTls};
use rustix::process::Signal;

pub use database::Database;
pub(crate) use install::unprivileged_user;
pub use options::{Options, Tls};
pub use pooler::Pooler;

use crate::{
    Failure,
    certificates::CertificateAuthority,
    clock,
    daemon::{self, Daemon},
    directory::Directory,
    wait,
    watchdog::Farewell,
};

/// The user the functions log in as. Owns the databases it is given, and is no superuser.
pub const USER: &str = "sitewatch";
/// The password of [`USER`]. Its characters need no escaping in a URL, and it is unlike any other
/// word, so that a test can search output for it.
pub const PASSWORD: &str = "correct-horse-battery";
/// The database [`Postgres::url`] names.
pub const DATABASE: &str = "sitewatch";

/// A clock that is not off.
const RIGHT: &str = "+0";

/// A start takes a third of a second; a recovery after a crash and a busy machine take longer.
const START: Duration = Duration::from_secs(60);
/// A fast shutdown writes a checkpoint first.
const STOP: Duration = Duration::from_secs(30);

/// A PostgreSQL server. Stopped and removed on drop.
pub struct Postgres {
    install: &'static install::Install,
    settings: Vec<(String, String)>,
    port: u16,
    process: Mutex<Option<Daemon>>,
    /// Says how wrong its clock is; none: it has the machine's.
    clock: Option<PathBuf>,
    // Below the process: fields drop in this order, and the server needs the directory to its end.
    directory: Directory,
}

impl Postgres {
    /// Starts a server with default settings; with `tls`, it has a certificate for localhost and
    /// 127.0.0.1 from that CA, and accepts both plain and encrypted connections.
    ///
    /// # Panics
    /// When the server does not start, with the end of its log.
    #[track_caller]
    pub fn start(tls: Option<&CertificateAuthority>) -> Self {
        match tls {
            Some(authority) => Self::options().tls(authority, Tls::Offered).start(),
            None => Self::options().start(),
        }
    }

    /// A server to be told more before it starts.
    pub fn options() -> Options {
        Options::default()
    }

    /// How [`USER`] reaches [`DATABASE`], password included.
    pub fn url(&self) -> String {
        self.url_for(DATABASE)
    }

    /// How [`USER`] reaches another database of this server, password included.
    pub fn url_for(&self, database: &str) -> String {
        let port = self.port;
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}")
    }

    /// A new, empty database whose name begins with `prefix`, owned by [`USER`].
    #[track_caller]
    pub fn create_database(&self, prefix: &str) -> Database {
        // Nobody can be connected to this template, which would make copying it fail.
        Database::create(self, prefix, "template0")
    }

    /// A new database like `template`, which is [`Database::closed`] and of this server.
    #[track_caller]
    pub fn copy_database(&self, template: &Database, prefix: &str) -> Database {
        Database::create(self, prefix, template.name())
    }

    /// The TCP port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the Unix socket, for `host=` in connection strings.
    pub fn socket_dir(&self) -> &Path {
        self.directory.path()
    }

    /// A connection to [`DATABASE`] as [`USER`].
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).expect("connect to PostgreSQL")
    }

    /// A connection as a superuser, through the socket, whatever TLS demands of the others.
    #[track_caller]
    pub fn superuser(&self) -> Client {
        self.superuser_config()
            .connect(NoTls)
            .expect("connect to PostgreSQL as superuser")
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        daemon::log_tail(&self.log())
    }

    /// The process number of the server, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Daemon::pid)
    }

    /// Ends the server as an operator would: connections are cut, data is written.
    pub fn stop(&self) {
        if let Some(process) = self.process().take() {
            process.stop(Signal::INT, STOP);
        }
    }

    /// Ends the server without any shutdown, as a power cut would. Its children end themselves.
    pub fn kill(&self) {
        if let Some(process) = self.process().take() {
            process.stop(Signal::KILL, STOP);
        }
    }

    /// Starts the server again on the same data and port.
    ///
    /// # Panics
    /// When it runs already or does not start, with the end of its log.
    #[track_caller]
    pub fn start_again(&self) {
        let mut outcome = Ok(());
        wait::holds_within(START, || {
            outcome = self.run().map_err(|failure| failure.to_string());
            // The children of a server that was killed end themselves, and hold its memory until then.
            !matches!(&outcome, Err(why) if why.contains("pre-existing shared memory block"))
        });
        if let Err(failure) = outcome {
            panic!("{failure}");
        }
    }

    /// Stops and starts the server.
    #[track_caller]
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// Sets the clock of a server that has one of its own off by so much: `+100d`, `-2h`.
    ///
    /// # Panics
    /// When it was not started with [`Options::own_clock`].
    #[track_caller]
    pub fn set_clock(&self, off: &str) {
        let file = self
            .clock
            .as_ref()
            .expect("a server with a clock of its own");
        fs::write(file, off).expect("write how wrong the clock is");
    }

    fn new(options: Options) -> Result<Self, Failure> {
        let install = install::Install::find()?;
        let directory = install.new_data()?;
        let port = options.choose_port();
        let clock = options.own_clock.then(|| directory.join("clock"));
        if let Some(file) = &clock {
            fs::write(file, RIGHT).map_err(|error| {
                Failure::new(format!("cannot write {}: {error}", file.display()))
            })?;
        }
        let settings = options.write(&directory, install)?;
        let server = Self {
            install,
            settings,
            port,
            process: Mutex::new(None),
            clock,
            directory,
        };
        server.run()?;
        server.create_user().map_err(|error| {
            Failure::with_log(
                format!("PostgreSQL refused its first user: {error}"),
                &server.log_tail(),
            )
        })?;
        Ok(server)
    }

    fn run(&self) -> Result<(), Failure> {
        let mut running = self.process();
        assert!(running.is_none(), "PostgreSQL runs already");
        let mut command: Command = self.install.command("postgres", self.directory.path());
        command
            .arg("-D")
            .arg(self.directory.join("data"))
            .args(["-c", &format!("port={}", self.port)]);
        for (name, value) in &self.settings {
            command.args(["-c", &format!("{name}={value}")]);
        }
        if let Some(file) = &self.clock {
            clock::give(&mut command, file);
        }
        // An unclean end leaves this behind with a number that may be another process by now.
        fs::remove_file(self.directory.join("data/postmaster.pid")).ok();
        let mut process = Daemon::start(&mut command, &self.log(), Farewell::Quit)
            .map_err(|error| Failure::new(format!("cannot start PostgreSQL: {error}")))?;

        let config = self.superuser_config();
        let mut answer = None;
        wait::holds_within(START, || {
            answer = Some(match process.ended() {
                Some(status) => Err(format!("PostgreSQL ended at its start: {status}")),
                None => config
                    .connect(NoTls)
                    .and_then(|mut client| client.query_one("select 1", &[]))
                    .map(|_| ())
                    .map_err(|error| format!("PostgreSQL does not answer: {error}")),
            });
            matches!(answer, Some(Ok(()))) || process.ended().is_some()
        });
        match answer {
            Some(Ok(())) => {
                *running = Some(process);
                Ok(())
            }
            Some(Err(what)) => Err(Failure::with_log(what, &process.log_tail())),
            None => unreachable!("a condition is looked at once at least"),
        }
    }

    fn create_user(&self) -> Result<(), postgres::Error> {
        let mut client = self.superuser_config().connect(NoTls)?;
        client.batch_execute(&format!(
            "create role {USER} login password '{PASSWORD}' createdb"
        ))?;
        client.batch_execute(&format!("create database {DATABASE} owner {USER}"))
    }

    fn superuser_config(&self) -> Config {
        let mut config = Config::new();
        config
            .host_path(self.socket_dir())
            .port(self.port)
            .user(install::SUPERUSER)
            .password(install::SUPERUSER_PASSWORD)
            .dbname("postgres");
        config
    }

    fn log(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }

    fn process(&self) -> MutexGuard<'_, Option<Daemon>> {
        // A test that panicked while it held the lock left a valid state behind.
        self.process.lock()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}
