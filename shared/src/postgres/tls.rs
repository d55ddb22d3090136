//! TLS with PostgreSQL, made ready when a server speaks it, and once for all connections.
//!
//! Making it ready reads the system's CA certificates, whether they are of use or not: native-tls
//! offers no other way. That is 45 ms of CPU, nine times all else that a run without work does.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;

use native_tls::TlsConnector;
use postgres::Socket;
use postgres::tls::{MakeTlsConnect, TlsConnect};
use postgres_native_tls::{MakeTlsConnector, TlsStream};

use crate::run::Failure;
use crate::settings::{DatabaseSettings, Problems, SslMode};
use crate::tls;

/// What a connection needs to speak TLS. Whether it does is up to the server and to `sslmode`.
#[derive(Clone)]
pub(super) struct Tls(DatabaseSettings);

/// What the settings want; `None` where they forbid TLS.
///
/// # Errors
/// [`Failure::Configuration`] when a certificate that was given cannot be used, whether the server
/// would ask for it or not.
pub(super) fn wanted(settings: &DatabaseSettings) -> Result<Option<Tls>, Failure> {
    if settings.ssl_mode == SslMode::Disable {
        return Ok(None);
    }
    let tls = Tls(settings.clone());
    if settings.ca_file.is_some() || settings.certificate.is_some() {
        tls.connector()?;
    }
    Ok(Some(tls))
}

impl Tls {
    fn connector(&self) -> Result<TlsConnector, Failure> {
        if let Some(connector) = self.0.connector.get() {
            return Ok(connector.clone());
        }
        let connector = build(&self.0)?;
        Ok(self.0.connector.get_or_init(|| connector).clone())
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = TlsStream<Socket>;
    type TlsConnect = Handshake;
    type Error = Infallible;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Handshake, Infallible> {
        Ok(Handshake {
            tls: self.clone(),
            domain: domain.to_owned(),
        })
    }
}

/// A handshake that may come about: the server is asked first.
pub(super) struct Handshake {
    tls: Tls,
    domain: String,
}

type Outcome = Result<TlsStream<Socket>, Box<dyn Error + Send + Sync>>;

impl TlsConnect<Socket> for Handshake {
    type Stream = TlsStream<Socket>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Outcome> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(async move {
            let connector = self.tls.connector().map_err(|why| why.to_string())?;
            let mut with_domain = MakeTlsConnector::new(connector);
            let handshake =
                MakeTlsConnect::<Socket>::make_tls_connect(&mut with_domain, &self.domain)?;
            Ok(handshake.connect(stream).await?)
        })
    }
}

fn build(settings: &DatabaseSettings) -> Result<TlsConnector, Failure> {
    let verify_ca = match settings.ssl_mode {
        SslMode::VerifyCa | SslMode::VerifyFull => true,
        SslMode::Require => settings.ca_file.is_some(),
        SslMode::Disable | SslMode::Prefer => false,
    };
    let mut builder = TlsConnector::builder();
    builder.danger_accept_invalid_certs(!verify_ca);
    builder.danger_accept_invalid_hostnames(settings.ssl_mode != SslMode::VerifyFull);
    if let Some(path) = &settings.ca_file {
        builder.disable_built_in_roots(true);
        for ca_certificate in
            tls::ca_certificates(path).map_err(|why| file_problem("DATABASE_CA_FILE", &why))?
        {
            builder.add_root_certificate(ca_certificate);
        }
    }
    if let Some((certificate, key)) = &settings.certificate {
        let identity = tls::identity(certificate, key)
            .map_err(|why| file_problem("DATABASE_CERT_FILE", &why))?;
        builder.identity(identity);
    }
    builder
        .build()
        .map_err(|error| file_problem("DATABASE_SSLMODE", &format!("cannot be had: {error}")))
}

fn file_problem(variable: &str, why: &str) -> Failure {
    Problems::one(variable, why).into()
}
