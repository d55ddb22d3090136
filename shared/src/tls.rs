//! Certificates and keys from PEM files, for native-tls.

use std::path::Path;

use native_tls::{Certificate, Identity};
use openssl::pkey::PKey;
use openssl::x509::X509;

/// Every certificate in a PEM file.
///
/// # Errors
/// A sentence that names the file, to follow the name of the variable.
pub fn authorities(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem = read(path)?;
    let certificates = X509::stack_from_pem(&pem)
        .map_err(|error| format!("is {path:?}, which is not a PEM certificate: {error}"))?;
    if certificates.is_empty() {
        return Err(format!("is {path:?}, which holds no certificate"));
    }
    certificates
        .iter()
        .map(|certificate| {
            let der = certificate.to_der().map_err(|error| error.to_string())?;
            Certificate::from_der(&der).map_err(|error| error.to_string())
        })
        .collect::<Result<_, String>>()
        .map_err(|error| format!("is {path:?}, which cannot be used: {error}"))
}

/// Our own certificate (with its chain) and key. Any PEM form of the key is taken: native-tls
/// itself reads PKCS#8 only, and hosted Kafka and PostgreSQL hand out others as well.
///
/// # Errors
/// A sentence that names the file, to follow the name of the variable.
pub fn identity(certificate: &Path, key: &Path) -> Result<Identity, String> {
    let chain = read(certificate)?;
    let key_pem = read(key)?;
    // A callback that gives no passphrase: asking on the terminal would hang a scheduled run.
    let parsed = PKey::private_key_from_pem_callback(&key_pem, |_| Ok(0))
        .map_err(|_| format!("goes with {key:?}, which is not an unencrypted PEM private key"))?;
    let pkcs8 = parsed
        .private_key_to_pem_pkcs8()
        .map_err(|error| format!("goes with {key:?}, which cannot be used: {error}"))?;
    Identity::from_pkcs8(&chain, &pkcs8)
        .map_err(|error| format!("is {certificate:?}, which does not go with {key:?}: {error}"))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("is {path:?}, which cannot be read: {error}"))
}
