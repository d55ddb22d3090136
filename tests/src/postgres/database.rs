//! A database for one test.

use std::sync::atomic::{AtomicU32, Ordering};

use postgres::{Client, Config, NoTls};

use super::{Postgres, USER};

/// An empty database of its own for a test; dropped with this value, whoever is still connected.
pub struct Database {
    name: String,
    url: String,
    superuser: Config,
}

impl Database {
    #[track_caller]
    pub(super) fn create(server: &Postgres, prefix: &str, template: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        server
            .superuser()
            .batch_execute(&format!(
                r#"create database "{name}" owner {USER} template "{template}""#
            ))
            .expect("create a database");
        Self {
            url: server.url_for(&name),
            name,
            superuser: server.superuser_config(),
        }
    }

    /// The same database, to which nobody connects any more: what [`Postgres::copy_database`] wants
    /// of the one it copies.
    #[must_use]
    #[track_caller]
    pub fn closed(self) -> Self {
        let name = &self.name;
        self.superuser
            .connect(NoTls)
            .and_then(|mut client| {
                client.batch_execute(&format!(
                    r#"alter database "{name}" with allow_connections false"#
                ))
            })
            .expect("close a database");
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the functions reach it, password included.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection to it as its owner.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(&self.url, NoTls).expect("connect to the database of this test")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The server may be stopped, and then the database goes with its directory.
        if let Ok(mut client) = self.superuser.connect(NoTls) {
            client
                .batch_execute(&format!(r#"drop database "{}" with (force)"#, self.name))
                .ok();
        }
    }
}
