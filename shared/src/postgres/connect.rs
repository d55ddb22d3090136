//! Opening a connection, within a time limit.

use std::sync::mpsc;
use std::time::Duration;

use postgres::config::Host;
use postgres::error::SqlState;
use postgres::{Client, IsolationLevel, NoTls, Transaction};

use super::{root_cause, tls};
use crate::run::Failure;
use crate::settings::{DatabaseSettings, SslMode};

/// How long a connection may be silent before the kernel asks whether the other side is alive.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// How long sent data may stay unacknowledged before the connection counts as dead. The kernel's
/// own patience is 15 minutes.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Opens a connection that `pg_stat_activity` shows as `sitewatch <function>`.
///
/// # Errors
/// [`Failure::Unavailable`] with one sentence that names the address, the role and the cause;
/// [`Failure::Configuration`] when a certificate cannot be used.
pub fn connect(settings: &DatabaseSettings, function: &str) -> Result<Client, Failure> {
    let mut config = settings.config.clone();
    config
        .connect_timeout(settings.connect_timeout)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .tcp_user_timeout(UNACKNOWLEDGED)
        .ssl_mode(match settings.ssl_mode {
            SslMode::Disable => postgres::config::SslMode::Disable,
            SslMode::Prefer => postgres::config::SslMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                postgres::config::SslMode::Require
            }
        });
    if config.get_application_name().is_none() {
        config.application_name(&format!("sitewatch {function}"));
    }
    let tls = tls::wanted(settings)?;
    // The library's own limit holds for each host's TCP connection only; a server that accepts
    // and then stays silent would hold us for ever. An abandoned attempt ends with the process.
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let result = match tls {
            Some(tls) => config.connect(tls),
            None => config.connect(NoTls),
        };
        // Nobody listens any more once the time is over.
        drop(sender.send(result));
    });
    match receiver.recv_timeout(settings.connect_timeout) {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => Err(Failure::Unavailable(refusal(settings, &error))),
        Err(_) => Err(Failure::Unavailable(format!(
            "cannot reach PostgreSQL at {} within {}: no answer; check that it runs there and that nothing in between drops packets",
            address(settings),
            crate::units::human(settings.connect_timeout),
        ))),
    }
}

/// Begins a transaction with the settings' time limits and without PostgreSQL's compiler, in which each statement sees what is
/// committed by then (read committed).
///
/// Our statements are written for that, so a stricter default of the role or the database must not
/// change it. Whether it may write stays the default's choice: hosts make a database whose disk is
/// full read-only that way.
///
/// # Errors
/// PostgreSQL's.
pub fn begin<'a>(
    client: &'a mut Client,
    settings: &DatabaseSettings,
) -> Result<Transaction<'a>, postgres::Error> {
    let mut transaction = begin_read_committed(client)?;
    // A process of one run compiles a statement for one use: 0.8 s for what takes 0.03 s.
    transaction.batch_execute(&format!(
        "set local statement_timeout = {}; set local lock_timeout = {}; set local jit = off",
        settings.statement_timeout.as_millis(),
        settings.lock_timeout.as_millis(),
    ))?;
    Ok(transaction)
}

/// The same without time limits, for a question that is answered at once.
pub(super) fn begin_read_committed(
    client: &mut Client,
) -> Result<Transaction<'_>, postgres::Error> {
    client
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted)
        .deferrable(false)
        .start()
}

/// Interrupts the statement that a connection is working on, from another thread.
#[derive(Clone)]
pub struct Cancel {
    token: postgres::CancelToken,
    settings: DatabaseSettings,
}

impl Cancel {
    /// For the given connection.
    #[must_use]
    pub fn new(client: &Client, settings: &DatabaseSettings) -> Self {
        Self {
            token: client.cancel_token(),
            settings: settings.clone(),
        }
    }

    /// Asks the server to cancel. It may be too late for that, and then nothing happens.
    pub fn cancel(&self) {
        let asked = match tls::wanted(&self.settings) {
            Ok(Some(tls)) => self.token.cancel_query(tls),
            _ => self.token.cancel_query(NoTls),
        };
        if let Err(error) = asked {
            log::debug!("cancelling a statement failed: {}", root_cause(&error));
        }
    }
}

/// Role, hosts and ports, as a person would write them; never the password.
fn address(settings: &DatabaseSettings) -> String {
    let ports = settings.config.get_ports();
    let hosts: Vec<String> = settings
        .config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let port = ports.get(index).or(ports.first()).unwrap_or(&5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(directory) => format!("{}/.s.PGSQL.{port}", directory.display()),
            }
        })
        .collect();
    hosts.join(",")
}

fn refusal(settings: &DatabaseSettings, error: &postgres::Error) -> String {
    let address = address(settings);
    let role = settings.config.get_user().unwrap_or("(no role)");
    let cause = root_cause(error);
    // A pooler says so without a state of its own.
    if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) || cause.contains("max_client_conn") {
        return format!(
            "PostgreSQL at {address} has no connection to spare for role {role}: {cause}; let fewer runs overlap, or raise the limit: max_connections, CONNECTION LIMIT of the role or the database, or the pooler's"
        );
    }
    if error.as_db_error().is_some() {
        return format!(
            "PostgreSQL at {address} refused role {role}: {cause}; check DATABASE_URL (or DATABASE_USER, DATABASE_PASSWD, DATABASE_DB)"
        );
    }
    if cause.contains("does not support TLS") {
        return format!(
            "PostgreSQL at {address} offers no TLS, which sslmode={} demands; turn it on there or set DATABASE_SSLMODE=prefer",
            mode_name(settings.ssl_mode)
        );
    }
    if error.to_string().contains("TLS") {
        return format!(
            "no TLS with PostgreSQL at {address}: {cause}; check DATABASE_SSLMODE and DATABASE_CA_FILE"
        );
    }
    // The server's alert arrives after the handshake, as a broken connection.
    if let Some(alert) = cause.split(':').find(|part| part.contains("alert ")) {
        return format!(
            "PostgreSQL at {address} does not accept our certificate, or wants one: {alert}; check DATABASE_CERT_FILE and DATABASE_KEY_FILE"
        );
    }
    if error.to_string().contains("authentication") || error.to_string().contains("configuration") {
        return format!(
            "cannot log in to PostgreSQL at {address} as {role}: {cause}; check DATABASE_URL (or DATABASE_PASSWD)"
        );
    }
    // With some timing all that is left of the alert is a reset.
    let certificate = match settings.certificate {
        Some(_) => ", and that it accepts the certificate in DATABASE_CERT_FILE",
        None => "",
    };
    format!(
        "cannot reach PostgreSQL at {address} as {role}: {cause}; check that it runs there and that DATABASE_URL (or DATABASE_HOST, DATABASE_PORT) is right{certificate}"
    )
}

fn mode_name(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    }
}
