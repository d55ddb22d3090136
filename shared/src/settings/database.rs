//! How to reach PostgreSQL, from the environment.

use std::error::Error as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use native_tls::TlsConnector;
use percent_encoding::percent_decode_str;

use super::{Reader, Variable, parse, var};

/// How much of TLS is asked for, with libpq's names and meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server offers it, without verification.
    Prefer,
    /// Always, without verification, unless a CA file is given: then as [`SslMode::VerifyCa`].
    Require,
    /// Always, and the certificate must be signed by a known CA certificate.
    VerifyCa,
    /// Always, and the certificate must also be the host's.
    VerifyFull,
}

const SSL_MODES: &[(&str, SslMode)] = &[
    ("disable", SslMode::Disable),
    // libpq's `allow` (plain first, then TLS) gives no more security than `prefer`.
    ("allow", SslMode::Prefer),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// Everything needed to open a connection. `Debug` shows no password.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Hosts, ports, database, role and password.
    pub config: postgres::Config,
    /// How much of TLS is asked for.
    pub ssl_mode: SslMode,
    /// PEM file of the CA certificates that may sign the server's certificate; `None`: the
    /// system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our own certificate, and of its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// How long connecting may take, over all hosts.
    pub connect_timeout: Duration,
    /// The longest that the server may work on one statement.
    pub statement_timeout: Duration,
    /// The longest that a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// TLS made ready by the first connection that speaks it, for the others.
    pub(crate) connector: Arc<OnceLock<TlsConnector>>,
}

/// Reads how to reach PostgreSQL. `None` means that problems were added.
pub fn database(reader: &mut Reader) -> Option<DatabaseSettings> {
    let mut from_url = reader.optional(&var::DATABASE_URL, connection_string);
    let hosts = reader.optional(&var::DATABASE_HOST, parse::text);
    let port = reader.optional(&var::DATABASE_PORT, |text| {
        parse::count(1, u64::from(u16::MAX))(text).map(|port| u16::try_from(port).unwrap_or(5432))
    });
    let name = reader.optional(&var::DATABASE_DB, parse::text);
    let user = reader.optional(&var::DATABASE_USER, parse::text);
    let password = reader.optional(&var::DATABASE_PASSWD, parse::text);
    let ssl_mode = reader.optional(&var::DATABASE_SSLMODE, parse::word(SSL_MODES));
    let ca_file = readable(reader, &var::DATABASE_CA_FILE);
    let cert_file = readable(reader, &var::DATABASE_CERT_FILE);
    let key_file = readable(reader, &var::DATABASE_KEY_FILE);
    let connect_timeout =
        reader.or_default(&var::DATABASE_CONNECT_TIMEOUT, parse::positive_duration);
    let statement_timeout =
        reader.or_default(&var::DATABASE_STATEMENT_TIMEOUT, parse::positive_duration);
    let lock_timeout = reader.or_default(&var::DATABASE_LOCK_TIMEOUT, parse::positive_duration);

    if from_url.is_none() && !reader.is_set(&var::DATABASE_URL) {
        match &hosts {
            // DATABASE_PORT alone and its like do not say where the database is.
            None => reader.missing(&var::DATABASE_URL),
            Some(hosts) => {
                from_url = Some(from_parts(hosts, port, name.as_deref(), user.as_deref()));
            }
        }
    }
    let mut parsed = from_url?;
    if parsed.config.get_user().is_none() {
        match &user {
            Some(user) => {
                parsed.config.user(user);
            }
            None => reader.missing(&var::DATABASE_USER),
        }
    }
    if let (None, Some(password)) = (parsed.config.get_password(), &password) {
        parsed.config.password(password);
    }
    let cert_file = cert_file.or(parsed.cert_file);
    let key_file = key_file.or(parsed.key_file);
    let certificate = match (cert_file, key_file) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            reader.missing(&var::DATABASE_KEY_FILE);
            None
        }
        (None, Some(_)) => {
            reader.missing(&var::DATABASE_CERT_FILE);
            None
        }
    };
    Some(DatabaseSettings {
        config: parsed.config,
        ssl_mode: ssl_mode.or(parsed.ssl_mode).unwrap_or(SslMode::Prefer),
        ca_file: ca_file.or(parsed.ca_file),
        certificate,
        connect_timeout,
        statement_timeout,
        lock_timeout,
        connector: Arc::default(),
    })
}

fn readable(reader: &mut Reader, variable: &Variable) -> Option<PathBuf> {
    let path = reader.optional(variable, parse::path)?;
    if let Err(error) = std::fs::read(&path) {
        reader.problem(
            variable.name,
            format!("is {path:?}, which cannot be read: {error}"),
        );
    }
    Some(path)
}

/// A connection string with the parts of TLS taken out, which the client library does not know in
/// full (`verify-full`, certificates).
#[derive(Default)]
struct Parsed {
    config: postgres::Config,
    ssl_mode: Option<SslMode>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

impl Parsed {
    /// Takes a setting of TLS; `false` when it is not one.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "sslmode" => {
                let mode = parse::word(SSL_MODES)(value)
                    .map_err(|_| format!("sslmode {value:?} is not one of libpq's"))?;
                self.ssl_mode = Some(mode);
            }
            "sslrootcert" => self.ca_file = Some(value.into()),
            "sslcert" => self.cert_file = Some(value.into()),
            "sslkey" => self.key_file = Some(value.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn connection_string(text: &str) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let rest = if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8_lossy();
            if !parsed.take(name, &value)? {
                kept.push(pair);
            }
        }
        if kept.is_empty() {
            address.to_owned()
        } else {
            format!("{address}?{}", kept.join("&"))
        }
    } else if text.contains('=') {
        let mut kept = Vec::new();
        for pair in text.split_whitespace() {
            let taken = match pair.split_once('=') {
                Some((name, value)) => parsed.take(name, value.trim_matches('\''))?,
                None => false,
            };
            if !taken {
                kept.push(pair);
            }
        }
        kept.join(" ")
    } else {
        return Err(String::new());
    };
    // The outer text says no more than that it is invalid.
    parsed.config = postgres::Config::from_str(&rest).map_err(|error| {
        error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string)
    })?;
    if parsed.config.get_hosts().is_empty() {
        return Err("it names no host".to_owned());
    }
    Ok(parsed)
}

fn from_parts(hosts: &str, port: Option<u16>, name: Option<&str>, user: Option<&str>) -> Parsed {
    let mut config = postgres::Config::new();
    for host in hosts
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty())
    {
        config.host(host);
    }
    if let Some(port) = port {
        config.port(port);
    }
    if let Some(name) = name {
        config.dbname(name);
    }
    if let Some(user) = user {
        config.user(user);
    }
    Parsed {
        config,
        ..Parsed::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Parsed {
        connection_string(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn settings_of_tls_are_taken_out_of_both_notations() {
        for text in [
            "postgres://u:p@h:1/d?sslmode=verify-full&application_name=x&sslrootcert=%2Fca.pem",
            "host=h port=1 user=u password=p dbname=d sslmode=verify-full sslrootcert=/ca.pem application_name=x",
        ] {
            let parsed = parsed(text);
            assert_eq!(parsed.ssl_mode, Some(SslMode::VerifyFull), "{text}");
            assert_eq!(parsed.ca_file, Some("/ca.pem".into()), "{text}");
            assert_eq!(parsed.config.get_ports(), [1], "{text}");
            assert_eq!(parsed.config.get_application_name(), Some("x"), "{text}");
        }
    }

    #[test]
    fn several_hosts_and_sockets() {
        assert_eq!(
            parsed("postgres://u@a:1,b:2/d?target_session_attrs=read-write")
                .config
                .get_hosts()
                .len(),
            2
        );
        assert_eq!(
            parsed("host=/var/run/postgresql user=u")
                .config
                .get_hosts()
                .len(),
            1
        );
    }

    #[test]
    fn what_is_no_connection_string_is_refused_without_its_text() {
        for text in [
            "",
            "localhost",
            "mysql://u:hunter2@h/d",
            "postgres://u:hunter2@h:port/d",
            "postgres://h/d?sslmode=hunter3",
        ] {
            let Err(why) = connection_string(text) else {
                panic!("{text} was accepted");
            };
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
