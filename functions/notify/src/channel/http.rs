//! Posting JSON to a service, and what its answer means.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use sitewatch::http;
use sitewatch::words::{printable, shortened};
use ureq::http::StatusCode;
use ureq::http::header::RETRY_AFTER;
use ureq::{Agent, Body};
use url::Url;

use super::address::login;
use super::{Address, Refusal, Scope};

/// The most that is read of an answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// The most that is told of one, in characters.
const MAX_SAID: usize = 200;

/// Where a service takes messages. Has no `Debug`: nearly all of it is secret.
pub(super) struct Endpoint {
    agent: Agent,
    url: SecretString,
    authorization: Option<SecretString>,
    /// What must not be told even when the service says it.
    secrets: Vec<SecretString>,
}

impl Endpoint {
    /// For an address. What is before its `@` becomes a login: `user:password`, or a token alone.
    pub(super) fn new(address: &Address<'_>) -> Self {
        Self::at(address, address.url.clone())
    }

    /// For an address, at another path or query of it.
    pub(super) fn at(address: &Address<'_>, mut url: Url) -> Self {
        let authorization = authorization(&url);
        // An address of HTTP may always be without them.
        url.set_username("").ok();
        url.set_password(None).ok();
        let secrets = secrets(&address.url)
            .chain(secrets(&url))
            .map(SecretString::from)
            .collect();
        Self {
            agent: address.network.agent(&url, address.timeout),
            url: String::from(url).into(),
            authorization: authorization.map(SecretString::from),
            secrets,
        }
    }

    /// Keeps one more text out of what is told.
    pub(super) fn hide(&mut self, secret: &str) {
        self.secrets.push(secret.into());
    }

    /// Posts a body of JSON, and returns what was answered when it was taken.
    ///
    /// # Errors
    /// When it was not.
    pub(super) fn post(&self, headers: &[(&str, &str)], body: &str) -> Result<String, Refusal> {
        let mut request = self
            .agent
            .post(self.url.expose_secret())
            .content_type("application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization.expose_secret());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request
            .send(body)
            .map_err(|error| Refusal::of_channel(describe(&error)))?;
        let said = answer
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .lossy_utf8(true)
            .read_to_string();
        let Some(why) = http::refusal(&answer) else {
            // It was taken, whatever became of the rest of the answer.
            return Ok(said.unwrap_or_default());
        };
        let said = self.redact(said.unwrap_or_default().trim());
        let why = if said.is_empty() || answer.status().is_redirection() {
            why
        } else {
            format!("{why}: {}", shortened(&printable(&said), MAX_SAID))
        };
        Err(Refusal {
            why,
            scope: scope(answer.status()),
            retry_after: retry_after(&answer, Timestamp::now()),
        })
    }

    fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.expose_secret(), "…")
        })
    }
}

/// The value of `Authorization` for what stands before the `@` of an address.
fn authorization(url: &Url) -> Option<String> {
    Some(match login(url)? {
        (user, Some(password)) => {
            let login = format!("{user}:{password}");
            format!("Basic {}", openssl::base64::encode_block(login.as_bytes()))
        }
        (token, None) => format!("Bearer {token}"),
    })
}

/// What of an address opens a door: long parts of its path, values of its query, its login.
fn secrets(url: &Url) -> impl Iterator<Item = String> {
    const TELLING: usize = 6;
    let path = url.path_segments().into_iter().flatten().map(str::to_owned);
    let query = url.query_pairs().map(|(_, value)| value.into_owned());
    let login = [url.username(), url.password().unwrap_or_default()].map(str::to_owned);
    let all: Vec<String> = path.chain(query).chain(login).collect();
    all.into_iter().filter(|part| part.len() >= TELLING)
}

/// In our words where the library's could repeat the address.
fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "its name does not resolve".to_owned(),
        ureq::Error::ConnectionFailed => "the connection failed".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::NativeTls(error) => {
            format!("no TLS: {}", sitewatch::tls::reason_in(&error.to_string()))
        }
        ureq::Error::ConnectProxyFailed(_) => "the proxy refused to connect to it".to_owned(),
        ureq::Error::Other(error) => error.to_string(),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => "its address cannot be used".to_owned(),
        other => other.to_string(),
    }
}

/// A request that is refused as such may be this message's fault; everything else is about the
/// service or the way to it.
fn scope(status: StatusCode) -> Scope {
    match status.as_u16() {
        400 | 405 | 406 | 409 | 411..=415 | 417 | 422 => Scope::Message,
        _ => Scope::Channel,
    }
}

/// What `Retry-After` says: seconds, or a date.
fn retry_after(answer: &ureq::http::Response<Body>, now: Timestamp) -> Option<Duration> {
    let text = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let wait: SignedDuration = at.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_and_secrets_of_addresses() {
        let url = |text: &str| Url::parse(text).expect("an address");
        let found = authorization(&url("https://us%3Aer:pass%2Bword@host/"));
        let expected = openssl::base64::encode_block(b"us:er:pass+word");
        assert_eq!(found, Some(format!("Basic {expected}")));
        assert_eq!(
            authorization(&url("https://tk_123@host/")),
            Some("Bearer tk_123".to_owned())
        );
        assert_eq!(authorization(&url("https://host/")), None);
        let hidden: Vec<String> = secrets(&url(
            "https://u:password@host/services/T0/secret-1?sig=abcdefgh",
        ))
        .collect();
        assert_eq!(hidden, ["services", "secret-1", "abcdefgh", "password"]);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().expect("a time");
        let answer = |value: &str| {
            ureq::http::Response::builder()
                .header(RETRY_AFTER, value)
                .body(Body::builder().data(""))
                .expect("an answer")
        };
        for (value, seconds) in [
            ("30", Some(30)),
            ("Sat, 31 Jan 2026 08:01:00 GMT", Some(60)),
            ("Sat, 31 Jan 2026 07:00:00 GMT", Some(0)),
            ("soon", None),
        ] {
            assert_eq!(
                retry_after(&answer(value), now),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}
