//! The way to services: the proxies that the usual environment variables name.

use sitewatch::settings::{Reader, var};
use ureq::Proxy;
use url::Url;

/// The proxies of the environment. Has no `Debug`: they may hold passwords.
#[derive(Default)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
}

impl Proxies {
    /// Reads them. What is wrong is added to the problems.
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let except = reader.text(&var::NO_PROXY).unwrap_or_default().to_owned();
        let parse = |text: &str| parse(text, &except);
        let all = reader.optional(&var::ALL_PROXY, parse);
        let http = reader.optional(&var::HTTP_PROXY, parse);
        let https = reader.optional(&var::HTTPS_PROXY, parse);
        Self {
            http: http.or_else(|| all.clone()),
            https: https.or(all),
        }
    }

    /// The proxy in front of an address; `None`: none.
    pub(super) fn in_front_of(&self, url: &Url) -> Option<Proxy> {
        let proxy = match url.scheme() {
            "https" => &self.https,
            _ => &self.http,
        };
        let target = url.as_str().parse().ok()?;
        proxy.clone().filter(|proxy| !proxy.is_no_proxy(&target))
    }
}

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
        let proxies = Proxies {
            https: proxy,
            http: None,
        };
        for (address, through) in [
            ("https://hooks.example/", true),
            ("https://a.internal.example/", false),
            ("https://localhost:9093/", false),
            ("http://hooks.example/", false),
        ] {
            let url = Url::parse(address).expect("an address");
            assert_eq!(proxies.in_front_of(&url).is_some(), through, "{address}");
        }
    }
}
