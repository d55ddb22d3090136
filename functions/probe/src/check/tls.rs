//! TLS handshakes over contexts that are shared by all sites with equal settings.
//!
//! A context loads the system's CA certificates, which takes tens of milliseconds; a handshake with
//! a shared one does not. The certificate is judged by OpenSSL during the handshake, but we look at
//! the judgement only after it (`SslVerifyMode::NONE` makes OpenSSL go on and remember it): so the
//! expiry, the issuer and the reason are known of bad certificates too. Not one byte of a request
//! is sent before the judgement was looked at.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions,
    SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::verify::X509CheckFlags;
use parking_lot::Mutex;
use sitewatch::event::Outcome;
use sitewatch::site::{CaFile, Tls, TlsVersion};
use sitewatch::tls::{certificates, private_key, reason};
use tokio_openssl::SslStream;

use super::certificate::{CertificateSeen, FirstToExpire};
use super::failure::Failure;
use super::trace::{Phase, Trace};
use super::wire::Wire;
use crate::files::read_inside;

/// The TLS contexts of a run.
#[derive(Default)]
pub(crate) struct TlsContexts {
    /// Where the files are that sites name; `None`: they can name none.
    directory: Option<PathBuf>,
    made: Mutex<HashMap<Arc<Tls>, Result<SslContext, String>>>,
}

impl TlsContexts {
    pub(crate) fn new(directory: Option<PathBuf>) -> Self {
        Self {
            directory,
            made: Mutex::default(),
        }
    }

    /// The context for these settings, made at the first call.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub(crate) fn get(&self, tls: &Arc<Tls>) -> Result<SslContext, String> {
        let mut contexts = self.made.lock();
        if let Some(context) = contexts.get(tls) {
            return context.clone();
        }
        let context = build(tls, self.directory.as_deref());
        contexts.insert(Arc::clone(tls), context.clone());
        context
    }
}

fn build(tls: &Tls, directory: Option<&Path>) -> Result<SslContext, String> {
    let openssl_error = |error: ErrorStack| format!("OpenSSL cannot be set up: {error}");
    let mut builder = SslContext::builder(SslMethod::tls_client()).map_err(openssl_error)?;
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_mode(SslMode::AUTO_RETRY | SslMode::RELEASE_BUFFERS);
    // Each record would be read in two pieces, two system calls; a handshake has half a dozen.
    builder.set_read_ahead(true);
    // One connection a check: a session would never be resumed, and a resumed one is not judged. So
    // nor are tickets asked for (TLS 1.2; in 1.3 servers send them unasked).
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    // Many servers just close after the last byte. Whether the response is complete is HTTP's to say.
    builder.set_options(
        SslOptions::IGNORE_UNEXPECTED_EOF | SslOptions::NO_COMPRESSION | SslOptions::NO_TICKET,
    );
    let oldest = match tls.min_version.unwrap_or(TlsVersion::V1_2) {
        TlsVersion::V1_0 => SslVersion::TLS1,
        TlsVersion::V1_1 => SslVersion::TLS1_1,
        TlsVersion::V1_2 => SslVersion::TLS1_2,
        TlsVersion::V1_3 => SslVersion::TLS1_3,
    };
    builder
        .set_min_proto_version(Some(oldest))
        .map_err(openssl_error)?;
    if oldest == SslVersion::TLS1 || oldest == SslVersion::TLS1_1 {
        // What these versions sign with is refused from level 1 up.
        builder.set_security_level(0);
    }
    // Only the CA certificates in the file count: who names one does not mean the others too.
    match &tls.ca_file {
        Some(CaFile::OfOperator(path)) => builder
            .set_ca_file(path)
            .map_err(|error| unusable("CHECK_TLS_CA_FILE", path, &reason(&error)))?,
        Some(CaFile::OfSite(path)) => {
            let told = |why: &str| unusable("tls_ca_file", path, why);
            let pem = read(directory, path).map_err(|why| told(&why))?;
            for ca_certificate in certificates(&pem).map_err(|why| told(&why))? {
                builder
                    .cert_store_mut()
                    .add_cert(ca_certificate)
                    .map_err(|error| told(&reason(&error)))?;
            }
        }
        None => builder.set_default_verify_paths().map_err(openssl_error)?,
    }
    if let Some((certificate, key)) = &tls.client {
        identify(&mut builder, directory, certificate, key)?;
    }
    Ok(builder.build())
}

/// Our own certificate, with its chain, and its key.
fn identify(
    builder: &mut SslContextBuilder,
    directory: Option<&Path>,
    certificate: &Path,
    key: &Path,
) -> Result<(), String> {
    let told = |why: &str| unusable("tls_cert_file", certificate, why);
    let pem = read(directory, certificate).map_err(|why| told(&why))?;
    for (position, certificate) in certificates(&pem)
        .map_err(|why| told(&why))?
        .into_iter()
        .enumerate()
    {
        match position {
            0 => builder.set_certificate(&certificate),
            _ => builder.add_extra_chain_cert(certificate),
        }
        .map_err(|error| told(&reason(&error)))?;
    }
    let told = |why: &str| unusable("tls_key_file", key, why);
    let pem = read(directory, key).map_err(|why| told(&why))?;
    private_key(&pem)
        .and_then(|key| builder.set_private_key(&key))
        .and_then(|()| builder.check_private_key())
        .map_err(|error| told(&reason(&error)))
}

fn read(directory: Option<&Path>, path: &Path) -> Result<Vec<u8>, String> {
    let directory = directory.ok_or("SITES_TLS_DIR is not set")?;
    read_inside(directory, path)
}

fn unusable(field: &str, path: &Path, why: &str) -> String {
    format!("{field} {} cannot be used: {why}", path.display())
}

/// Shakes hands. What was seen of the certificate is noted in any case.
pub(super) async fn handshake<'a>(
    context: &SslContext,
    tls: &Tls,
    host: &str,
    wire: Wire<'a>,
    trace: &Trace,
) -> Result<SslStream<Wire<'a>>, Failure> {
    let name = tls.server_name.as_deref().unwrap_or(host);
    let ssl = client(context, name).map_err(|error| openssl_error(&error))?;
    let mut stream = SslStream::new(ssl, wire).map_err(|error| openssl_error(&error))?;
    if let Err(error) = Pin::new(&mut stream).connect().await {
        return Err(tls_error(&error));
    }
    let Some(certificate) = CertificateSeen::of(stream.ssl()) else {
        return Err(Failure::new(
            Outcome::Tls,
            "the server showed no certificate",
        ));
    };
    let problem = certificate.problem.clone();
    trace.showed(certificate, FirstToExpire::of(stream.ssl(), host));
    match problem {
        Some(problem) if !tls.accept_invalid => Err(Failure::new(Outcome::Certificate, problem)),
        _ => Ok(stream),
    }
}

/// The client's side of a connection to `name`, which the certificate must have.
fn client(context: &SslContext, name: &str) -> Result<Ssl, ErrorStack> {
    let mut ssl = Ssl::new(context)?;
    let address = name.parse::<IpAddr>().ok();
    if address.is_none() {
        // An address is no name to choose a certificate by (RFC 6066, section 3).
        ssl.set_hostname(name)?;
    }
    let wanted = ssl.param_mut();
    // The common name counts for nothing, as with browsers and most clients since 2017.
    wanted
        .set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS | X509CheckFlags::NEVER_CHECK_SUBJECT);
    match address {
        Some(address) => wanted.set_ip(address)?,
        None => wanted.set_host(name)?,
    }
    Ok(ssl)
}

fn openssl_error(error: &ErrorStack) -> Failure {
    Failure::new(
        Outcome::Local,
        format!("no TLS connection could be set up: {}", reason(error)),
    )
}

fn tls_error(error: &openssl::ssl::Error) -> Failure {
    if let Some(error) = error.io_error() {
        return Failure::of_io(Phase::Tls, "", error);
    }
    if matches!(error.code(), ErrorCode::SYSCALL | ErrorCode::ZERO_RETURN) {
        return Failure::of_io(Phase::Tls, "", &io::ErrorKind::UnexpectedEof.into());
    }
    Failure::new(
        Outcome::Tls,
        format!("the TLS handshake failed: {}", reasons(error)),
    )
}

/// What OpenSSL says of an error on an open or opening connection.
pub(super) fn reasons(error: &openssl::ssl::Error) -> String {
    error
        .ssl_error()
        .map_or_else(|| "connection closed".to_owned(), reason)
}

/// What TLS itself has to say about an error, if it does.
pub(super) fn alert(error: &io::Error) -> Option<&openssl::ssl::Error> {
    error
        .get_ref()?
        .downcast_ref::<openssl::ssl::Error>()
        .filter(|tls| tls.ssl_error().is_some())
}
