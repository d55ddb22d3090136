//! How a site is connected to securely.

use std::sync::Arc;

use super::share;
use crate::site::fields::{Fields, short};
use crate::site::{CaFile, SiteDefaults, Tls, TlsVersion};

/// Reads it.
pub(super) fn tls(fields: &mut Fields, defaults: &SiteDefaults) -> Arc<Tls> {
    let base = &defaults.tls;
    let mut tls = Tls::clone(base);
    if let Some(verify) = fields.boolean("tls_verify") {
        tls.accept_invalid = !verify;
    }
    tls.ca_file = fields
        .path("tls_ca_file")
        .map(CaFile::OfSite)
        .or(tls.ca_file);
    match (fields.path("tls_cert_file"), fields.path("tls_key_file")) {
        (Some(certificate), Some(key)) => tls.client = Some((certificate, key)),
        (None, None) => {}
        (Some(_), None) => fields.problem("tls_key_file", "is missing beside tls_cert_file"),
        (None, Some(_)) => fields.problem("tls_cert_file", "is missing beside tls_key_file"),
    }
    tls.server_name = fields.text("tls_server_name").or(tls.server_name);
    if let Some(version) = fields.take("tls_min_version", |value| match value.as_str() {
        Some("1.0") => Ok(TlsVersion::V1_0),
        Some("1.1") => Ok(TlsVersion::V1_1),
        Some("1.2") => Ok(TlsVersion::V1_2),
        Some("1.3") => Ok(TlsVersion::V1_3),
        _ => Err(format!(
            "is {}; wants \"1.0\", \"1.1\", \"1.2\" or \"1.3\"",
            short(&value)
        )),
    }) {
        tls.min_version = Some(version);
    }
    tls.certificate_min_days = fields
        .count("certificate_min_days", 3_650)
        .or(tls.certificate_min_days);
    share(tls, base)
}
