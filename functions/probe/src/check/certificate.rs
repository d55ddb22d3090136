//! What a server's certificate says of itself.

use std::time::Duration;

use jiff::Timestamp;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::nid::Nid;
use openssl::ssl::SslRef;
use openssl::x509::{X509NameRef, X509Ref, X509VerifyResult};

/// What was seen of the peer's certificate in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateSeen {
    /// When it expires; `None`: unreadable.
    pub(crate) not_after: Option<Timestamp>,
    /// Who issued it, such as `Example CA, R3`.
    pub(crate) issuer: Option<String>,
    /// Why it is not to be trusted; `None`: it is.
    pub(crate) problem: Option<String>,
    /// The protocol spoken, such as `TLSv1.3`.
    pub(crate) tls_version: &'static str,
}

/// The certificate that expires first of those that a check depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FirstToExpire {
    pub(crate) not_after: Timestamp,
    /// Whose it is, such as `Example CA, R3`; `None`: it does not say.
    pub(crate) subject: Option<String>,
    /// The host that sent it.
    pub(crate) host: String,
}

impl FirstToExpire {
    /// Looks at what `host` sent in a finished handshake: its certificate and those of its chain.
    /// Where the chain is good, those that it does without do not count: servers go on sending a
    /// cross-signature for old clients after it has expired.
    pub(crate) fn of(ssl: &SslRef, host: &str) -> Option<Self> {
        let verified = ssl
            .verified_chain()
            .filter(|_| ssl.verify_result() == X509VerifyResult::OK);
        let counts =
            |sent: &X509Ref| verified.is_none_or(|chain| chain.iter().any(|needed| needed == sent));
        ssl.peer_cert_chain()?
            .iter()
            .filter(|sent| counts(sent))
            .filter_map(|sent| Some((timestamp(sent.not_after())?, sent)))
            .min_by_key(|(not_after, _)| *not_after)
            .map(|(not_after, sent)| Self {
                not_after,
                subject: name(sent.subject_name()),
                host: host.to_owned(),
            })
    }

    /// Whether it expires before `days` have passed since `now`.
    pub(crate) fn is_within(&self, days: u16, now: Timestamp) -> bool {
        let margin = Duration::from_secs(u64::from(days) * 86_400);
        now.checked_add(margin)
            .is_ok_and(|limit| self.not_after < limit)
    }
}

impl CertificateSeen {
    /// Looks at a finished handshake; `None` when the server showed no certificate.
    pub(crate) fn of(ssl: &SslRef) -> Option<Self> {
        let certificate = ssl.peer_certificate()?;
        let not_after = timestamp(certificate.not_after());
        let result = ssl.verify_result();
        let named = certificate.subject_alt_names().is_some();
        let problem = (result != X509VerifyResult::OK).then(|| {
            reason(
                result,
                named,
                timestamp(certificate.not_before()),
                not_after,
            )
        });
        Some(Self {
            not_after,
            issuer: name(certificate.issuer_name()),
            problem,
            tls_version: ssl.version_str(),
        })
    }
}

/// OpenSSL's reasons in the words of people who have to mend them; `named`: the certificate has
/// subject alternative names.
fn reason(
    result: X509VerifyResult,
    named: bool,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
) -> String {
    // From x509_vfy(3); the numbers are part of OpenSSL's interface.
    const NOT_YET_VALID: i32 = 9;
    const EXPIRED: i32 = 10;
    const SELF_SIGNED: i32 = 18;
    const SELF_SIGNED_CHAIN: i32 = 19;
    const NO_ISSUER_LOCALLY: i32 = 20;
    const NO_CHAIN: i32 = 21;
    const WRONG_HOST: i32 = 62;
    const WRONG_ADDRESS: i32 = 64;
    const WEAK_KEY: i32 = 66;
    let day = |time: Option<Timestamp>| {
        time.map_or_else(String::new, |time| {
            time.strftime(" %Y-%m-%d %H:%M UTC").to_string()
        })
    };
    match result.as_raw() {
        NOT_YET_VALID => format!("the certificate is not valid before{}", day(from)),
        EXPIRED => format!("the certificate expired on{}", day(until)),
        SELF_SIGNED => "the certificate is signed by itself".to_owned(),
        SELF_SIGNED_CHAIN => "the certificate's chain ends in a CA certificate that is not trusted here".to_owned(),
        NO_ISSUER_LOCALLY | NO_CHAIN => {
            "the certificate's issuer is unknown here: a CA certificate that is not trusted, or a chain that the server sends incomplete".to_owned()
        }
        WRONG_HOST | WRONG_ADDRESS if !named => {
            "the certificate has no subject alternative names, and its common name does not count".to_owned()
        }
        WRONG_HOST | WRONG_ADDRESS => "the certificate is for another host".to_owned(),
        WEAK_KEY => "the certificate's key is too weak".to_owned(),
        _ => format!("the certificate is not to be trusted: {}", result.error_string()),
    }
}

fn timestamp(time: &Asn1TimeRef) -> Option<Timestamp> {
    let epoch = Asn1Time::from_unix(0).ok()?;
    let since = epoch.diff(time).ok()?;
    Timestamp::from_second(i64::from(since.days) * 86_400 + i64::from(since.secs)).ok()
}

fn name(name: &X509NameRef) -> Option<String> {
    let parts: Vec<String> = [Nid::ORGANIZATIONNAME, Nid::COMMONNAME]
        .into_iter()
        .filter_map(|nid| name.entries_by_nid(nid).next())
        .filter_map(|entry| entry.data().to_string().ok())
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
