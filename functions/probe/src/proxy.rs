//! Which way requests go: the site's own proxy, or what the usual environment variables say.

use std::fmt;

use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret as _;
use sitewatch::site::{Proxy, Site};
use url::Url;

use crate::secrets::Secrets;

/// A proxy: where it is and how to log in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Via {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`; `None`: no login.
    pub(crate) authorization: Option<String>,
    /// Whether the operator named it, so that its own address is not judged.
    pub(crate) trusted: bool,
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Via({}:{})", self.host, self.port)
    }
}

impl Via {
    /// Reads `http://[user:password@]host[:port]`; the scheme may be left out, as curl allows.
    ///
    /// # Errors
    /// What is wanted instead; never the text, which may hold a password.
    pub(crate) fn parse(text: &str, trusted: bool) -> Result<Self, String> {
        const WANTS: &str = "wants http://[user:password@]host[:port]";
        let text = text.trim();
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        };
        let url = url.map_err(|_| WANTS.to_owned())?;
        let host = url.host_str().unwrap_or_default();
        if url.scheme() != "http" || host.is_empty() {
            return Err(WANTS.to_owned());
        }
        let authorization = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let login = format!(
                "{}:{}",
                percent_decode_str(url.username()).decode_utf8_lossy(),
                percent_decode_str(url.password().unwrap_or_default()).decode_utf8_lossy()
            );
            format!("Basic {}", openssl::base64::encode_block(login.as_bytes()))
        });
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(80),
            authorization,
            trusted,
        })
    }
}

/// The proxies of the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    pub(crate) http: Option<Via>,
    pub(crate) https: Option<Via>,
    pub(crate) except: NoProxy,
}

impl Proxies {
    /// The proxy in front of a URL for this site; `None`: none.
    ///
    /// # Errors
    /// Where the site's own proxy was looked for and not found.
    pub(crate) fn in_front_of(
        &self,
        site: &Site,
        url: &Url,
        secrets: &Secrets,
    ) -> Result<Option<Via>, String> {
        match &site.request.proxy {
            Proxy::None => Ok(None),
            Proxy::Through(text) => Via::parse(secrets.find(text)?.expose_secret(), false)
                .map(Some)
                .map_err(|why| format!("proxy {why}")),
            Proxy::Environment => {
                let via = if url.scheme() == "https" {
                    &self.https
                } else {
                    &self.http
                };
                let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
                Ok(via.clone().filter(|_| !self.except.covers(host)))
            }
        }
    }
}

/// Hosts that are reached directly: `NO_PROXY`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoProxy {
    everything: bool,
    suffixes: Vec<String>,
    networks: Vec<IpNet>,
}

impl NoProxy {
    /// Reads hosts, domains (`.example.org`, `*.example.org`), addresses, networks and `*`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut rules = Self::default();
        for part in text
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|part| !part.is_empty())
        {
            if part == "*" {
                rules.everything = true;
            } else if let Ok(network) = part.parse() {
                rules.networks.push(network);
            } else if let Ok(address) = part.parse::<std::net::IpAddr>() {
                rules.networks.push(address.into());
            } else {
                let suffix = part.trim_start_matches('*').trim_start_matches('.');
                rules.suffixes.push(suffix.to_ascii_lowercase());
            }
        }
        rules
    }

    fn covers(&self, host: &str) -> bool {
        if self.everything {
            return true;
        }
        if let Ok(address) = host.parse::<std::net::IpAddr>() {
            return self
                .networks
                .iter()
                .any(|network| network.contains(&address));
        }
        let host = host.to_ascii_lowercase();
        self.suffixes.iter().any(|suffix| {
            host.strip_suffix(suffix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_decoded_and_hidden() {
        let via = Via::parse("http://me:p%40ss@proxy.example:3128", true).unwrap();
        assert_eq!((via.host.as_str(), via.port), ("proxy.example", 3128));
        assert_eq!(via.authorization.as_deref(), Some("Basic bWU6cEBzcw=="));
        assert!(!format!("{via:?}").contains("bWU6"));
        assert_eq!(Via::parse("proxy.example:8080", true).unwrap().port, 8080);
        assert!(Via::parse("socks5://a:hush@b", true).is_err_and(|why| !why.contains("hush")));
    }

    #[test]
    fn exceptions() {
        let rules = NoProxy::parse("localhost,.example.org, 10.0.0.0/8,192.0.2.1 *.internal");
        for host in [
            "localhost",
            "a.example.org",
            "example.org",
            "10.1.2.3",
            "192.0.2.1",
            "x.internal",
        ] {
            assert!(rules.covers(host), "{host}");
        }
        for host in ["notexample.org", "192.0.2.2", "example.com"] {
            assert!(!rules.covers(host), "{host}");
        }
        assert!(NoProxy::parse("*").covers("anything"));
    }
}
