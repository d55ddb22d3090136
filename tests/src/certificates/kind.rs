//! The ways in which a server's certificate can be good or bad.

use openssl::{pkey::PKey, rsa::Rsa};
use rcgen::{ExtendedKeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm};

use super::{CertificateAuthority, Issued, Validity};

/// For these a good certificate holds.
const HOSTS: [&str; 2] = ["localhost", "127.0.0.1"];
/// Refused by every client of today, and by OpenSSL's default security level.
const WEAK_BITS: u32 = 1024;

/// A kind of server certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is wrong with it; 30 days are left.
    Good,
    /// Good, and ends this many days from now.
    EndsInDays(u32),
    /// Over since yesterday.
    Expired,
    /// Begins tomorrow.
    NotYetValid,
    /// For another host.
    WrongHost,
    /// For localhost by its common name, and for no host by its alternative names.
    CommonNameOnly,
    /// Signed by a CA nobody was told of.
    UnknownCa,
    /// Signed by its own key.
    SelfSigned,
    /// From an intermediate CA, whose certificate the server sends along: good.
    WithIntermediate,
    /// From an intermediate CA, whose certificate the server forgets to send.
    MissingIntermediate,
    /// An RSA key of 1024 bits.
    WeakKey,
}

impl Kind {
    pub(super) fn issue(self, authority: &CertificateAuthority) -> Issued {
        let month = Validity::days(30);
        match self {
            Self::Good => authority.server(&HOSTS, month),
            Self::EndsInDays(days) => authority.server(&HOSTS, Validity::days(days)),
            Self::Expired => authority.server(&HOSTS, Validity::expired()),
            Self::NotYetValid => authority.server(&HOSTS, Validity::not_yet()),
            Self::WrongHost => authority.server(&["elsewhere.example"], month),
            Self::CommonNameOnly => authority.server_called("localhost", &[], month),
            Self::UnknownCa => CertificateAuthority::new("unknown").server(&HOSTS, month),
            Self::SelfSigned => self_signed(),
            Self::WithIntermediate => intermediate(authority).server(&HOSTS, month),
            Self::MissingIntermediate => {
                let issued = intermediate(authority).server(&HOSTS, month);
                Issued {
                    chain: first_of(&issued.chain),
                    ..issued
                }
            }
            Self::WeakKey => weak(authority),
        }
    }
}

fn intermediate(authority: &CertificateAuthority) -> CertificateAuthority {
    authority.intermediate(
        "Sitewatch tests, intermediate",
        Validity::days(super::CA_DAYS),
    )
}

fn self_signed() -> Issued {
    let made = rcgen::generate_simple_self_signed(HOSTS.map(str::to_owned))
        .expect("make a self-signed certificate");
    Issued {
        chain: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    }
}

/// The first certificate of a chain.
fn first_of(chain: &str) -> String {
    const END: &str = "-----END CERTIFICATE-----";
    let (first, _) = chain.split_once(END).expect("a chain holds a certificate");
    format!("{first}{END}\n")
}

/// rcgen makes no key this weak, but signs one that is given.
fn weak(authority: &CertificateAuthority) -> Issued {
    struct WeakKey(Vec<u8>);
    impl PublicKeyData for WeakKey {
        fn der_bytes(&self) -> &[u8] {
            &self.0
        }
        fn algorithm(&self) -> &'static SignatureAlgorithm {
            &PKCS_RSA_SHA256
        }
    }
    let rsa = Rsa::generate(WEAK_BITS).expect("make a weak key");
    let public = WeakKey(rsa.public_key_to_der_pkcs1().expect("write a public key"));
    let pem = PKey::from_rsa(rsa)
        .and_then(|key| key.private_key_to_pem_pkcs8())
        .expect("write a private key");
    authority.issue(
        HOSTS[0],
        &HOSTS,
        Validity::days(30),
        ExtendedKeyUsagePurpose::ServerAuth,
        &public,
        String::from_utf8(pem).expect("PEM is text"),
    )
}
