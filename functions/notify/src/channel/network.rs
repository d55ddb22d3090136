//! The way to services: the proxies that the usual environment variables name, and the networks that
//! must not be reached.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use sitewatch::deny::DenyNetworks;
use sitewatch::http;
use sitewatch::settings::{Reader, var};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Agent, Proxy};
use url::Url;

use super::Refusal;

/// What stands between this machine and the services. Has no `Debug`: proxies may have passwords.
#[derive(Default)]
pub(crate) struct Network {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// What must not be reached.
    pub(super) deny: DenyNetworks,
}

impl Network {
    /// Reads it. What is wrong is added to the problems.
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let except = reader.text(&var::NO_PROXY).unwrap_or_default().to_owned();
        let parse = |text: &str| parse(text, &except);
        let all = reader.optional(&var::ALL_PROXY, parse);
        let http = reader.optional(&var::HTTP_PROXY, parse);
        let https = reader.optional(&var::HTTPS_PROXY, parse);
        let deny = reader.optional(&var::NOTIFY_DENY_NETWORKS, DenyNetworks::parse);
        Self {
            http: http.or_else(|| all.clone()),
            https: https.or(all),
            deny: deny.unwrap_or_default(),
        }
    }

    /// A client for this address.
    pub(super) fn agent(&self, url: &Url, timeout: Duration) -> Agent {
        let proxy = self.in_front_of(url);
        let judge = Judge {
            deny: self.deny.clone(),
            behind_proxy: proxy.as_ref().and_then(|_| url.as_str().parse().ok()),
            resolver: DefaultResolver::default(),
        };
        http::agent_by(timeout, proxy, judge)
    }

    /// The proxy in front of an address; `None`: none.
    fn in_front_of(&self, url: &Url) -> Option<Proxy> {
        let proxy = match url.scheme() {
            "https" => &self.https,
            _ => &self.http,
        };
        let target = url.as_str().parse().ok()?;
        proxy.clone().filter(|proxy| !proxy.is_no_proxy(&target))
    }
}

/// The addresses of a host that is spoken to without HTTP, and so without a proxy.
///
/// # Errors
/// It has none, or one of them is denied.
pub(super) fn addresses(
    deny: &DenyNetworks,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, Refusal> {
    let found: Vec<_> = (host, port)
        .to_socket_addrs()
        .map_err(|error| Refusal::of_channel(error.to_string()))?
        .collect();
    match deny.denied(found.iter().map(SocketAddr::ip)) {
        Some(address) => Err(Refusal::of_channel(Denied(address).to_string())),
        None => Ok(found),
    }
}

/// Looks names up, and refuses those that lead where nothing must be sent.
#[derive(Debug)]
struct Judge {
    deny: DenyNetworks,
    /// What is behind the proxy whose name is looked up; `None`: there is no proxy. The proxy is the
    /// operator's, and may well be in a network of theirs.
    behind_proxy: Option<Uri>,
    resolver: DefaultResolver,
}

impl Resolver for Judge {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        if self.deny.is_empty() {
            return self.resolver.resolve(uri, config, timeout);
        }
        let target = self.behind_proxy.as_ref().unwrap_or(uri);
        let found = self.resolver.resolve(target, config, timeout)?;
        if let Some(address) = self.deny.denied(found.iter().map(SocketAddr::ip)) {
            return Err(ureq::Error::Other(Box::new(Denied(address))));
        }
        match self.behind_proxy {
            Some(_) => self.resolver.resolve(uri, config, timeout),
            None => Ok(found),
        }
    }
}

/// An address that nothing may be sent to.
#[derive(Debug, thiserror::Error)]
#[error("NOTIFY_DENY_NETWORKS forbids {0}: not sent")]
struct Denied(IpAddr);

fn parse(text: &str, except: &str) -> Result<Proxy, String> {
    let address = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let wrong = |_| "is no address of a proxy".to_owned();
    let given = Proxy::new(&address).map_err(wrong)?;
    let mut proxy = Proxy::builder(given.protocol())
        .host(given.host())
        .port(given.port());
    if let Some(user) = given.username() {
        proxy = proxy.username(user);
    }
    if let Some(password) = given.password() {
        proxy = proxy.password(password);
    }
    for rule in except.split([',', ' ']).filter(|rule| !rule.is_empty()) {
        proxy = proxy.no_proxy(rule);
    }
    proxy
        .build()
        .map_err(|_| "is no address of a proxy".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_excepted_is_reached_directly() {
        let proxy = parse(
            "user:secret@proxy.example:3128",
            "localhost,.internal.example",
        )
        .ok();
        let network = Network {
            https: proxy,
            ..Network::default()
        };
        for (address, through) in [
            ("https://hooks.example/", true),
            ("https://a.internal.example/", false),
            ("https://localhost:9093/", false),
            ("http://hooks.example/", false),
        ] {
            let url = Url::parse(address).expect("an address");
            assert_eq!(network.in_front_of(&url).is_some(), through, "{address}");
        }
    }
}
