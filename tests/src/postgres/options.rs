//! What a PostgreSQL can be told before it starts.

use std::{fs, path::Path};

use super::{Postgres, install::Install};
use crate::{
    Failure,
    certificates::{CertificateAuthority, Issued, Validity},
    directory::Directory,
    port,
};

/// What the server demands of connections over TCP once it has a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain and encrypted connections are accepted.
    Offered,
    /// Plain connections are refused.
    Required,
    /// Plain connections and those without a client certificate of the CA are refused.
    ClientCertificates,
}

/// A PostgreSQL to be started.
#[derive(Default)]
#[must_use]
pub struct Options {
    tls: Option<(String, Issued, Tls)>,
    settings: Vec<(String, String)>,
    port: Option<u16>,
    pub(super) own_clock: bool,
}

impl Options {
    /// Gives the server a certificate for localhost and 127.0.0.1 from `authority`.
    pub fn tls(self, authority: &CertificateAuthority, demand: Tls) -> Self {
        let certificate = authority.server(&["localhost", "127.0.0.1"], Validity::days(30));
        self.tls_with(authority, certificate, demand)
    }

    /// Gives the server a certificate of the caller's choice; client certificates are checked
    /// against `authority`.
    pub fn tls_with(
        mut self,
        authority: &CertificateAuthority,
        certificate: Issued,
        demand: Tls,
    ) -> Self {
        self.tls = Some((authority.pem().to_owned(), certificate, demand));
        self
    }

    /// One setting of `postgresql.conf`, for example `("fsync", "off")`.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Listens on this port rather than on any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// With a clock of its own, right until [`Postgres::set_clock`].
    pub fn own_clock(mut self) -> Self {
        self.own_clock = true;
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    /// When the server does not start, with the end of its log.
    #[track_caller]
    pub fn start(self) -> Postgres {
        match self.try_start() {
            Ok(server) => server,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or the server does not start, with the end of its log.
    pub fn try_start(self) -> Result<Postgres, Failure> {
        Postgres::new(self)
    }

    pub(super) fn choose_port(&self) -> u16 {
        self.port.unwrap_or_else(port::reserve)
    }

    /// Writes the files the server is to read, and returns all its settings but the port.
    pub(super) fn write(
        self,
        directory: &Directory,
        install: &Install,
    ) -> Result<Vec<(String, String)>, Failure> {
        let demand = self.tls.as_ref().map(|(.., demand)| *demand);
        let hba = put(directory, install, "pg_hba.conf", &access(demand))?;
        let mut settings = vec![
            ("hba_file".to_owned(), hba),
            ("listen_addresses".to_owned(), "127.0.0.1".to_owned()),
            ("unix_socket_directories".to_owned(), text(directory.path())),
        ];
        if let Some((authority, Issued { chain, key }, _)) = self.tls {
            settings.push(("ssl".to_owned(), "on".to_owned()));
            for (setting, name, content) in [
                ("ssl_ca_file", "ca.pem", &authority),
                ("ssl_cert_file", "server.cert", &chain),
                ("ssl_key_file", "server.key", &key),
            ] {
                let path = put(directory, install, name, content)?;
                settings.push((setting.to_owned(), path));
            }
        }
        settings.extend(self.settings);
        Ok(settings)
    }
}

/// Who may connect: with a password everywhere, so that a wrong one fails on the socket as well.
fn access(demand: Option<Tls>) -> String {
    let tcp = match demand {
        None | Some(Tls::Offered) => "host all all all scram-sha-256",
        Some(Tls::Required) => "hostssl all all all scram-sha-256",
        Some(Tls::ClientCertificates) => "hostssl all all all scram-sha-256 clientcert=verify-ca",
    };
    format!("local all all scram-sha-256\n{tcp}\n")
}

fn put(
    directory: &Directory,
    install: &Install,
    name: &str,
    text: &str,
) -> Result<String, Failure> {
    let path = directory.join(name);
    fs::write(&path, text)
        .and_then(|()| install.own_secret(&path))
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
    Ok(self::text(&path))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
