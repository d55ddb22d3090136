//! Certificates and keys from PEM, and what OpenSSL has against them in words.

use std::path::Path;

use native_tls::{Certificate, Identity};
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

/// Every certificate in a PEM file.
///
/// # Errors
/// A sentence that names the file, to follow the name of the variable.
pub fn ca_certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let certificates = certificates(&read(path)?).map_err(|why| unusable(path, &why))?;
    certificates
        .iter()
        .map(|certificate| {
            let der = certificate.to_der().map_err(|error| reason(&error))?;
            Certificate::from_der(&der).map_err(|error| error.to_string())
        })
        .collect::<Result<_, String>>()
        .map_err(|why| unusable(path, &why))
}

/// Our own certificate (with its chain) and key. Any PEM form of the key is taken: native-tls
/// itself reads PKCS#8 only, and hosted Kafka and PostgreSQL hand out others as well.
///
/// # Errors
/// A sentence that names the file, to follow the name of the variable.
pub fn identity(certificate: &Path, key: &Path) -> Result<Identity, String> {
    let chain = read(certificate)?;
    let parsed = private_key(&read(key)?)
        .map_err(|_| format!("goes with {key:?}, which is not an unencrypted PEM private key"))?;
    let pkcs8 = parsed.private_key_to_pem_pkcs8().map_err(|error| {
        format!(
            "goes with {key:?}, which cannot be used: {}",
            reason(&error)
        )
    })?;
    Identity::from_pkcs8(&chain, &pkcs8)
        .map_err(|error| format!("is {certificate:?}, which does not go with {key:?}: {error}"))
}

/// The certificates in a PEM text, one at least.
///
/// # Errors
/// What is wrong with it.
pub fn certificates(pem: &[u8]) -> Result<Vec<X509>, String> {
    let certificates = X509::stack_from_pem(pem).map_err(|error| reason(&error))?;
    if certificates.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(certificates)
}

/// The private key in a PEM text, of any form but encrypted.
///
/// # Errors
/// OpenSSL's.
pub fn private_key(pem: &[u8]) -> Result<PKey<Private>, ErrorStack> {
    // A callback that gives no passphrase: asking on the terminal would hang a scheduled run.
    PKey::private_key_from_pem_callback(pem, |_| Ok(0))
}

/// The first of OpenSSL's errors that says what happened; the rest says where in its code.
#[must_use]
pub fn reason(error: &ErrorStack) -> String {
    error
        .errors()
        .iter()
        .find_map(|error| error.reason())
        .map_or_else(|| "no reason given".to_owned(), str::to_lowercase)
}

/// The same from OpenSSL's error as text: `certificate verify failed (Hostname mismatch)` instead of
/// library names, source files and line numbers.
#[must_use]
pub fn reason_in(text: &str) -> String {
    const REFUSED: &str = "certificate verify failed";
    if text.contains(REFUSED) {
        return match text.rsplit_once('(') {
            Some((_, verdict)) if text.ends_with(')') => format!("{REFUSED} ({verdict}"),
            _ => REFUSED.to_owned(),
        };
    }
    // error:CODE:library:function:reason:file:line:data
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["error", _, _, _, reason, ..] if !reason.is_empty() => (*reason).to_owned(),
        _ => text.to_owned(),
    }
}

fn unusable(path: &Path, why: &str) -> String {
    format!("is {path:?}, which cannot be used: {why}")
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("is {path:?}, which cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openssl_reasons_are_described() {
        for (text, described) in [
            (
                "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify failed:../ssl/statem/statem_clnt.c:1889: (Hostname mismatch)",
                "certificate verify failed (Hostname mismatch)",
            ),
            (
                "error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../ssl/record/ssl3_record.c:354:",
                "wrong version number",
            ),
            ("unexpected EOF", "unexpected EOF"),
        ] {
            assert_eq!(reason_in(text), described);
        }
    }
}
