//! TLS as we do it ourselves: for the `kafka` crate's connections, and to find out what is wrong
//! with a certificate that librdkafka has refused without saying why.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use openssl::error::ErrorStack;
use openssl::ssl::{
    HandshakeError, SslConnector, SslContextBuilder, SslMethod, SslOptions, SslStream,
    SslVerifyMode,
};
use openssl::x509::X509VerifyResult;
use sitewatch::tls::{private_key, reason};

use super::{KafkaError, Security};

/// A connector that verifies the broker's certificate and its name, and writes whole buffers.
pub(super) fn connector(security: &Security) -> Result<SslConnector, KafkaError> {
    let context = context(security)?;
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(unusable)?;
    // A connector's own context lets `write` return after the first 16 KiB, and the `kafka` crate
    // takes that for everything: the broker then waits for the rest for ever. The mode cannot be
    // taken back, but the context can be exchanged.
    *builder = context;
    Ok(builder.build())
}

fn context(security: &Security) -> Result<SslContextBuilder, KafkaError> {
    let mut context = SslContextBuilder::new(SslMethod::tls_client()).map_err(unusable)?;
    context.set_options(SslOptions::ALL | SslOptions::NO_SSLV3 | SslOptions::NO_COMPRESSION);
    context.set_verify(SslVerifyMode::PEER);
    match &security.ca_file {
        None => context.set_default_verify_paths().map_err(unusable)?,
        Some(path) => {
            read(path, "KAFKA_CA_FILE")?;
            context
                .set_ca_file(path)
                .map_err(|error| malformed("KAFKA_CA_FILE", path, "certificate", &error))?;
        }
    }
    if let Some(path) = &security.cert_file {
        read(path, "KAFKA_CERT_FILE")?;
        context
            .set_certificate_chain_file(path)
            .map_err(|error| malformed("KAFKA_CERT_FILE", path, "certificate", &error))?;
    }
    if let Some(path) = &security.key_file {
        let pem = read(path, "KAFKA_KEY_FILE")?;
        let key = private_key(&pem)
            .map_err(|error| malformed("KAFKA_KEY_FILE", path, "unencrypted key", &error))?;
        context
            .set_private_key(&key)
            .and_then(|()| context.check_private_key())
            .map_err(|_| KafkaError::Configuration {
                what: format!(
                    "KAFKA_KEY_FILE: {} is not the key of the certificate in KAFKA_CERT_FILE",
                    path.display()
                ),
            })?;
    }
    Ok(context)
}

/// Shakes hands; on failure, says why in a sentence.
pub(super) fn handshake<S: Read + Write>(
    connector: &SslConnector,
    host: &str,
    stream: S,
) -> Result<SslStream<S>, TlsError> {
    connector
        .connect(host, stream)
        .map_err(|error| match error {
            HandshakeError::SetupFailure(error) => TlsError::Refused(error.to_string()),
            HandshakeError::WouldBlock(_) => TlsError::Silent,
            HandshakeError::Failure(half) => {
                let verdict = half.ssl().verify_result();
                if verdict != X509VerifyResult::OK {
                    return TlsError::Refused(describe_verification(host, verdict));
                }
                let error = half.into_error();
                match (error.io_error(), error.ssl_error()) {
                    (Some(error), _) => TlsError::Broken(error.to_string()),
                    (None, Some(error)) => TlsError::Refused(describe_alert(&error.to_string())),
                    (None, None) => TlsError::Broken(
                        "it closed the connection during the TLS handshake \
                         (does KAFKA_SECURITY_PROTOCOL fit the port?)"
                            .to_owned(),
                    ),
                }
            }
        })
}

/// Why a handshake failed.
pub(super) enum TlsError {
    /// Trying again will not help.
    Refused(String),
    /// The connection broke.
    Broken(String),
    /// Nothing came in time.
    Silent,
}

fn describe_verification(host: &str, verdict: X509VerifyResult) -> String {
    const HOSTNAME_MISMATCH: i32 = openssl_code::HOSTNAME_MISMATCH;
    const IP_ADDRESS_MISMATCH: i32 = openssl_code::IP_ADDRESS_MISMATCH;
    match verdict.as_raw() {
        openssl_code::HAS_EXPIRED => "the broker's certificate has expired; renew it".to_owned(),
        openssl_code::NOT_YET_VALID => {
            "the broker's certificate is not valid yet; compare the clocks".to_owned()
        }
        HOSTNAME_MISMATCH | IP_ADDRESS_MISMATCH => format!(
            "the broker's certificate is not for \"{host}\"; \
             use a name from the certificate in KAFKA_BROKERS"
        ),
        _ => format!(
            "the broker's certificate is not signed by a CA certificate in KAFKA_CA_FILE ({}); \
             name there the one that signed it",
            verdict.error_string()
        ),
    }
}

/// OpenSSL's `X509_V_ERR_` numbers, which its Rust crate names only in part.
mod openssl_code {
    pub(super) const NOT_YET_VALID: i32 = 9;
    pub(super) const HAS_EXPIRED: i32 = 10;
    pub(super) const HOSTNAME_MISMATCH: i32 = 62;
    pub(super) const IP_ADDRESS_MISMATCH: i32 = 64;
}

/// What a broker's alert, or a peer that does not speak TLS, means for who runs us.
pub(super) fn describe_alert(error: &str) -> String {
    let contains = |text| error.contains(text);
    if contains("wrong version number") || contains("packet length too long") {
        "it does not speak TLS on this port; check KAFKA_SECURITY_PROTOCOL".to_owned()
    } else if contains("certificate expired") {
        "our certificate has expired; renew KAFKA_CERT_FILE".to_owned()
    } else if contains("alert") {
        let alert = error
            .rsplit("SSL routines:")
            .next()
            .unwrap_or(error)
            .trim_matches(':');
        format!(
            "it does not accept our certificate, or wants one; \
             check KAFKA_CERT_FILE and KAFKA_KEY_FILE ({alert})"
        )
    } else {
        format!("TLS handshake failed: {error}")
    }
}

fn read(path: &Path, variable: &str) -> Result<Vec<u8>, KafkaError> {
    fs::read(path).map_err(|error| KafkaError::Configuration {
        what: format!("{variable}: cannot read {}: {error}", path.display()),
    })
}

fn malformed(variable: &str, path: &Path, wanted: &str, error: &ErrorStack) -> KafkaError {
    KafkaError::Configuration {
        what: format!(
            "{variable}: {} holds no {wanted} in PEM form ({})",
            path.display(),
            reason(error)
        ),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unusable(error: ErrorStack) -> KafkaError {
    KafkaError::Failed {
        what: "be spoken to by TLS",
        cause: error.to_string(),
    }
}
