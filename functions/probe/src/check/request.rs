//! The request of each hop, and where a redirect leads.

use secrecy::ExposeSecret;
use sitewatch::site::{Auth, Site};
use ureq_proto::http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, HeaderName, HeaderValue, LOCATION,
    PROXY_AUTHORIZATION, USER_AGENT,
};
use ureq_proto::http::{self, HeaderMap, Method, Uri};
use url::Url;

use crate::proxy::Via;
use crate::secrets::Secrets;

/// The longest URL that a redirect may lead to: no widely used server takes a longer line than 64 KiB.
const MAX_URL: usize = 63 * 1024;

/// Who we are, for the logs of those we check.
pub(crate) const AGENT: &str = concat!(
    "sitewatch-probe/",
    env!("CARGO_PKG_VERSION"),
    " (+",
    env!("CARGO_PKG_REPOSITORY"),
    ")"
);

/// What is asked at one hop. Redirects change it (RFC 9110, section 15.4).
pub(super) struct Asking {
    pub(super) url: Url,
    pub(super) method: Method,
    /// Whether the site's body is still sent: another origin must not get it.
    with_body: bool,
    /// Whether the site's credentials and headers still go along: another origin must not get them.
    with_secrets: bool,
}

impl Asking {
    pub(super) fn first(site: &Site) -> Result<Self, String> {
        Ok(Self {
            url: site.url.clone(),
            method: Method::from_bytes(site.request.method.as_bytes())
                .map_err(|error| error.to_string())?,
            with_body: true,
            with_secrets: true,
        })
    }

    /// The request for this hop.
    ///
    /// # Errors
    /// Which secret was not found, or what cannot be sent.
    pub(super) fn request(
        &self,
        site: &Site,
        secrets: &Secrets,
        via: Option<&Via>,
    ) -> Result<(http::Request<()>, Option<Vec<u8>>), String> {
        let wanted = &site.request;
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(self.url.as_str())
            .body(())
            .map_err(|error| format!("{error}"))?;
        let headers = request.headers_mut();
        let agent = match wanted.user_agent.as_deref() {
            None => HeaderValue::from_static(AGENT),
            Some(agent) => value(agent, "user_agent")?,
        };
        headers.insert(USER_AGENT, agent);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let encodings = if wanted.compression {
            "gzip"
        } else {
            "identity"
        };
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encodings));
        // Said, because it is what happens: the server need not keep a connection for us.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if let Some(via) = via.filter(|_| self.url.scheme() == "http")
            && let Some(authorization) = &via.authorization
        {
            headers.insert(PROXY_AUTHORIZATION, value(authorization, "proxy")?);
        }
        if self.with_secrets {
            add_own(site, secrets, headers)?;
        }
        let body = match &wanted.body {
            Some(body) if self.with_body => {
                Some(secrets.find(body)?.expose_secret().as_bytes().to_vec())
            }
            _ => None,
        };
        Ok((request, body))
    }

    /// The next hop after a redirect; `None` when the response is none.
    ///
    /// # Errors
    /// Why the redirect cannot be followed.
    pub(super) fn redirected(
        &self,
        status: u16,
        headers: &HeaderMap,
    ) -> Option<Result<Self, String>> {
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = headers.get(LOCATION)?;
        Some(self.follow(status, location.as_bytes()))
    }

    fn follow(&self, status: u16, location: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(location);
        let mut url = self.url.join(&text).map_err(|error| {
            // What stands before an @ may be a password.
            if text.contains('@') {
                format!("a redirect leads nowhere: {error}")
            } else {
                format!("a redirect to {text:?} leads nowhere: {error}")
            }
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("a redirect leads to the scheme {:?}", url.scheme()));
        }
        url.set_fragment(None);
        // Credentials in a redirect are the server's idea, not the site list's.
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return Err("a redirect leads to a URL without a host".to_owned());
        }
        // The server chose it, so what is wrong with it is never our fault.
        let length = url.as_str().len();
        if length > MAX_URL {
            return Err(format!(
                "a redirect leads to a URL of {length} bytes; at most {MAX_URL}"
            ));
        }
        if let Err(error) = url.as_str().parse::<Uri>() {
            return Err(format!("a redirect leads to no URL of HTTP: {error}"));
        }
        let same_origin = url.origin() == self.url.origin();
        let becomes_get = match status {
            303 => self.method != Method::HEAD,
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        Ok(Self {
            url,
            method: if becomes_get {
                Method::GET
            } else {
                self.method.clone()
            },
            // What is posted may be as secret as a password.
            with_body: self.with_body && !becomes_get && same_origin,
            with_secrets: self.with_secrets && same_origin,
        })
    }
}

fn add_own(site: &Site, secrets: &Secrets, headers: &mut HeaderMap) -> Result<(), String> {
    match &site.request.auth {
        None => {}
        Some(Auth::Bearer(token)) => {
            let token = secrets.find(token)?;
            headers.insert(
                AUTHORIZATION,
                secret_value(&format!("Bearer {}", token.expose_secret()), "bearer_token")?,
            );
        }
        Some(Auth::Basic { username, password }) => {
            let (username, password) = (secrets.find(username)?, secrets.find(password)?);
            let login = format!("{}:{}", username.expose_secret(), password.expose_secret());
            let login = format!(
                "Basic {}",
                openssl::base64::encode_block(login.as_bytes()).replace('\n', "")
            );
            headers.insert(AUTHORIZATION, secret_value(&login, "basic_auth")?);
        }
    }
    for (name, text) in &site.request.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("header {name:?} has no valid name"))?;
        let text = secrets.find(text)?;
        let value = secret_value(text.expose_secret(), name.as_str())?;
        headers.insert(name, value);
    }
    Ok(())
}

fn value(text: &str, of: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text)
        .or_else(|_| HeaderValue::from_bytes(text.as_bytes()))
        .map_err(|_| format!("{of} holds what no header may hold"))
}

fn secret_value(text: &str, of: &str) -> Result<HeaderValue, String> {
    value(text, of).map(|mut value| {
        value.set_sensitive(true);
        value
    })
}
