//! Certificates made on the fly: good ones, and every kind of bad one a website can have.

mod kind;
mod validity;

use std::{fs, io, path::Path, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};

pub use kind::Kind;
pub use validity::Validity;

/// Longer than any test runs, and never the reason why a certificate fails.
pub(crate) const CA_DAYS: u32 = 3650;

/// A certificate with the chain that leads to its CA, and its key; both as PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate itself, then its intermediates; without the root.
    pub chain: String,
    /// The private key, PKCS#8.
    pub key: String,
}

/// Who signs certificates. Cheap to clone; clones are the same CA.
#[derive(Clone)]
pub struct CertificateAuthority(Arc<Inner>);

struct Inner {
    pem: String,
    /// What every certificate's chain ends with; empty for a root.
    intermediates: String,
    issuer: Issuer<'static, KeyPair>,
}

impl CertificateAuthority {
    /// A new root called `name`, with a key of its own.
    pub fn new(name: &str) -> Self {
        let key = new_key();
        let params = ca_params(name, Validity::days(CA_DAYS));
        let pem = params
            .self_signed(&key)
            .expect("sign a CA with its own key")
            .pem();
        Self(Arc::new(Inner {
            pem,
            intermediates: String::new(),
            issuer: Issuer::new(params, key),
        }))
    }

    /// A CA called `name` that this one vouches for. What it issues carries its certificate
    /// in the chain.
    pub fn intermediate(&self, name: &str, validity: Validity) -> Self {
        let key = new_key();
        let params = ca_params(name, validity);
        let pem = params
            .signed_by(&key, &self.0.issuer)
            .expect("sign an intermediate")
            .pem();
        Self(Arc::new(Inner {
            intermediates: format!("{pem}{}", self.0.intermediates),
            pem,
            issuer: Issuer::new(params, key),
        }))
    }

    /// The CA's own certificate, as PEM: what clients are told to trust.
    pub fn pem(&self) -> &str {
        &self.0.pem
    }

    /// A certificate for a server with these names and IP addresses.
    pub fn server(&self, hosts: &[&str], validity: Validity) -> Issued {
        let first = hosts.first().copied().unwrap_or_default();
        self.server_called(first, hosts, validity)
    }

    fn server_called(&self, common_name: &str, hosts: &[&str], validity: Validity) -> Issued {
        let key = new_key();
        self.issue(
            common_name,
            hosts,
            validity,
            ExtendedKeyUsagePurpose::ServerAuth,
            &key,
            key.serialize_pem(),
        )
    }

    /// A certificate for a client called `name`.
    pub fn client(&self, name: &str, validity: Validity) -> Issued {
        let key = new_key();
        self.issue(
            name,
            &[name],
            validity,
            ExtendedKeyUsagePurpose::ClientAuth,
            &key,
            key.serialize_pem(),
        )
    }

    /// A certificate for localhost and 127.0.0.1, good or bad in the way `kind` says.
    pub fn certificate(&self, kind: Kind) -> Issued {
        kind.issue(self)
    }

    /// Writes what a client of Kafka or PostgreSQL needs, under the names Kafka services hand them
    /// out with: `ca.pem`, `service.cert` and `service.key`.
    ///
    /// # Errors
    /// When the directory or a file cannot be written.
    pub fn write_client_dir(&self, directory: &Path) -> io::Result<()> {
        let Issued { chain, key } = self.client("sitewatch-client", Validity::days(30));
        fs::create_dir_all(directory)?;
        fs::write(directory.join("ca.pem"), self.pem())?;
        fs::write(directory.join("service.cert"), chain)?;
        fs::write(directory.join("service.key"), key)
    }

    fn issue(
        &self,
        common_name: &str,
        names: &[&str],
        validity: Validity,
        usage: ExtendedKeyUsagePurpose,
        public: &impl PublicKeyData,
        key: String,
    ) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names fit in a certificate");
        params.distinguished_name.remove(DnType::CommonName);
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.not_before = validity.starts.into();
        params.not_after = validity.ends.into();
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(public, &self.0.issuer)
            .expect("sign a certificate")
            .pem();
        Issued {
            chain: format!("{certificate}{}", self.0.intermediates),
            key,
        }
    }
}

fn ca_params(name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = validity.starts.into();
    params.not_after = validity.ends.into();
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("make a P-256 key")
}
