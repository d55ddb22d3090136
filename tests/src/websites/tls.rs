//! TLS as a website speaks it, well or badly.

use openssl::{
    pkey::PKey,
    ssl::{SslAcceptor, SslMethod, SslOptions, SslVerifyMode},
    x509::{X509, store::X509StoreBuilder},
};

pub use openssl::ssl::SslVersion;

use crate::certificates::{CertificateAuthority, Issued, Kind};

/// How a website speaks TLS.
#[must_use]
pub struct Tls {
    certificate: Issued,
    clients: Option<CertificateAuthority>,
    versions: Option<(SslVersion, SslVersion)>,
}

impl Tls {
    /// With a certificate of this kind, for localhost and 127.0.0.1, and no further demands.
    pub fn new(authority: &CertificateAuthority, kind: Kind) -> Self {
        Self::with(authority.certificate(kind))
    }

    /// With any certificate, and no further demands.
    pub fn with(certificate: Issued) -> Self {
        Self {
            certificate,
            clients: None,
            versions: None,
        }
    }

    /// Demands a client certificate from `authority`.
    pub fn client_certificate(mut self, authority: &CertificateAuthority) -> Self {
        self.clients = Some(authority.clone());
        self
    }

    /// Speaks these versions of the protocol only, from the lowest to the highest.
    pub fn versions(mut self, lowest: SslVersion, highest: SslVersion) -> Self {
        self.versions = Some((lowest, highest));
        self
    }

    pub(super) fn acceptor(&self) -> SslAcceptor {
        self.build()
            .expect("a TLS context from a valid certificate")
    }

    fn build(&self) -> Result<SslAcceptor, openssl::error::ErrorStack> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        // Weak keys and old versions are refused by clients, so servers have to offer them.
        builder.clear_options(SslOptions::NO_TLSV1 | SslOptions::NO_TLSV1_1);
        builder.set_security_level(0);
        builder.set_cipher_list("ALL:@SECLEVEL=0")?;
        let (lowest, highest) = self
            .versions
            .unwrap_or((SslVersion::TLS1_2, SslVersion::TLS1_3));
        builder.set_min_proto_version(Some(lowest))?;
        builder.set_max_proto_version(Some(highest))?;
        let mut chain = X509::stack_from_pem(self.certificate.chain.as_bytes())?.into_iter();
        let certificate = chain.next().expect("a chain holds a certificate");
        builder.set_certificate(&certificate)?;
        for intermediate in chain {
            builder.add_extra_chain_cert(intermediate)?;
        }
        let key = PKey::private_key_from_pem(self.certificate.key.as_bytes())?;
        builder.set_private_key(&key)?;
        if let Some(authority) = &self.clients {
            let mut store = X509StoreBuilder::new()?;
            store.add_cert(X509::from_pem(authority.pem().as_bytes())?)?;
            builder.set_verify_cert_store(store.build())?;
            builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        }
        Ok(builder.build())
    }
}
