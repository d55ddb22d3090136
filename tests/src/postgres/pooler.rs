//! PgBouncer in front of a server, as many a database is only reachable.

use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};

use super::{PASSWORD, Postgres, USER};
use crate::{
    daemon::Daemon,
    directory::Directory,
    port::{self, is_open},
    wait,
    watchdog::Farewell,
};

/// Debian puts it where only root looks.
const DIRECTORIES: [&str; 2] = ["/usr/sbin", "/usr/bin"];

const START: Duration = Duration::from_secs(20);

/// A running PgBouncer. Killed and removed on drop.
pub struct Pooler {
    port: u16,
    _process: Daemon,
    _directory: Directory,
}

impl Postgres {
    /// Starts a PgBouncer with `size` connections to each database, in transaction mode: after each
    /// transaction a client's connection may be another one.
    ///
    /// # Panics
    /// When it is not installed or does not start, with the end of its log.
    #[track_caller]
    pub fn pooler(&self, size: u16) -> Pooler {
        self.pooler_by("transaction", size)
    }

    /// The same in session mode: a client keeps its connection until it goes.
    ///
    /// # Panics
    /// When it is not installed or does not start, with the end of its log.
    #[track_caller]
    pub fn session_pooler(&self, size: u16) -> Pooler {
        self.pooler_by("session", size)
    }

    #[track_caller]
    fn pooler_by(&self, mode: &str, size: u16) -> Pooler {
        let program = DIRECTORIES
            .iter()
            .map(|directory| PathBuf::from(directory).join("pgbouncer"))
            .find(|program| program.is_file())
            .expect("PgBouncer is not installed: run tests/install.sh");
        let directory = Directory::new("pgbouncer").expect("make a directory for PgBouncer");
        let port = port::reserve();
        let users = directory.join("users.txt");
        let mut settings = String::from("[databases]\n");
        let mut set = |line: &str| writeln!(settings, "{line}").expect("a String takes all");
        set(&format!("* = host=127.0.0.1 port={}", self.port));
        set("[pgbouncer]");
        set(&format!("pool_mode = {mode}"));
        set("listen_addr = 127.0.0.1");
        set(&format!("listen_port = {port}"));
        set("unix_socket_dir =");
        set("auth_type = scram-sha-256");
        set(&format!("auth_file = {}", users.display()));
        set(&format!("default_pool_size = {size}"));
        set("max_client_conn = 200");
        let file = directory.join("pgbouncer.ini");
        let written = fs::write(&users, format!("\"{USER}\" \"{PASSWORD}\"\n"))
            .and_then(|()| fs::write(&file, settings))
            .and_then(|()| self.install.own(directory.path()));
        written.expect("write PgBouncer's files");

        // As PostgreSQL's user: it does not run as root either.
        let mut command = self.install.program(&program, directory.path());
        command.arg("-q").arg(&file);
        let mut process = Daemon::start(&mut command, &directory.join("log"), Farewell::Kill)
            .expect("start PgBouncer");
        let answers = wait::holds_within(START, || process.ended().is_some() || is_open(port));
        assert!(
            answers && process.ended().is_none(),
            "PgBouncer does not start:\n{}",
            process.log_tail()
        );
        Pooler {
            port,
            _process: process,
            _directory: directory,
        }
    }
}

impl Pooler {
    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How [`USER`] reaches a database through it, password included.
    pub fn url_for(&self, database: &str) -> String {
        format!(
            "postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}",
            self.port
        )
    }
}
