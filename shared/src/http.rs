//! Talking to services that take what a run has to tell: a heartbeat's, a Pushgateway,
//! whom `notify` tells.

use std::time::Duration;

use ureq::http::header::LOCATION;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{DefaultResolver, Resolver};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Proxy, http};
use url::Url;

/// The most connections that are kept for further requests: `notify` uses so many at the same time.
const MAX_IDLE: usize = 10;

/// A client that follows no redirect: what answers elsewhere, a login page for instance, would say
/// 200 to anything. It goes through the proxy that the process's environment names, if one.
#[must_use]
pub fn agent(timeout: Duration) -> Agent {
    agent_by(timeout, Proxy::try_from_env(), DefaultResolver::default())
}

/// The same, through this proxy (`None`: directly) and with names looked up by this resolver.
#[must_use]
pub fn agent_by(timeout: Duration, proxy: Option<Proxy>, resolver: impl Resolver) -> Agent {
    let config = Agent::config_builder()
        .proxy(proxy)
        .timeout_global(Some(timeout))
        .max_idle_connections_per_host(MAX_IDLE)
        .user_agent(concat!("sitewatch/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .tls_config(
            TlsConfig::builder()
                .provider(TlsProvider::NativeTls)
                .root_certs(RootCerts::PlatformVerifier)
                .build(),
        )
        .build();
    Agent::with_parts(config, DefaultConnector::new(), resolver)
}

/// Why there is no answer, without the library's words for the kind of error.
#[must_use]
pub fn cause(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// Why an answer is no success; `None`: it is one (2xx). Of a redirect's target only the origin is
/// told: the rest may repeat what is secret in our own address.
#[must_use]
pub fn refusal(answer: &http::Response<Body>) -> Option<String> {
    let status = answer.status();
    if status.is_success() {
        return None;
    }
    if status.is_redirection() {
        let to = answer.headers().get(LOCATION);
        let to = to.and_then(|to| to.to_str().ok()).map(origin);
        let to = to.unwrap_or_else(|| "nowhere".to_owned());
        return Some(format!(
            "{status}: it redirects to {to}; redirects are not followed"
        ));
    }
    Some(status.to_string())
}

fn origin(location: &str) -> String {
    match Url::parse(location) {
        Ok(url) => url.origin().ascii_serialization(),
        Err(url::ParseError::RelativeUrlWithoutBase) if !location.starts_with("//") => {
            "another path of its own".to_owned()
        }
        Err(_) => "another address".to_owned(),
    }
}
