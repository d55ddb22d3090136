//! What a failed check received: the beginning of the last response, without what is secret.

use secrecy::{ExposeSecret as _, SecretString};
use sitewatch::site::{Auth, Site, Text};
use sitewatch::words::{printable, shortened};
use ureq_proto::http::header::{LOCATION, REFRESH};
use ureq_proto::http::{HeaderName, HeaderValue, Response, Version};

use crate::secrets::Secrets;

/// The most that is kept of a head, in characters: no more than servers and browsers agree on.
const MAX_HEAD: usize = 8 * 1024;

/// What is kept of a body beyond what is shown, in bytes: a secret that begins within it and ends
/// behind it is found all the same.
const MARGIN: usize = 1024;

/// The shortest secret that is looked for: what is shorter is part of any page.
const MIN_SECRET: usize = 4;

/// In the place of what is not shown.
const REMOVED: &str = "[removed]";

/// Parts of the names of headers that hold what lets somebody in.
const SECRET_NAMES: &[&str] = &[
    "cookie",
    "auth",
    "token",
    "secret",
    "session",
    "password",
    "key",
    "signature",
    "nonce",
    "csrf",
    "xsrf",
];

/// A response, kept until it is known whether the check failed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Evidence {
    head: String,
    /// The beginning of the body, decompressed.
    pub(super) body: Vec<u8>,
}

impl Evidence {
    /// The head; the body follows.
    pub(super) fn of(response: &Response<()>) -> Self {
        let version = match response.version() {
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        };
        let mut head = format!("HTTP/{version} {}\n", response.status().as_u16());
        for (name, value) in response.headers() {
            head.push_str(&format!("{name}: {}\n", shown(name, value)));
            if head.len() > MAX_HEAD {
                break;
            }
        }
        Self {
            head: shortened(&head, MAX_HEAD).into_owned(),
            body: Vec::new(),
        }
    }

    /// How much of a body is kept of which `capture` bytes are to be shown.
    pub(super) fn room(capture: usize) -> usize {
        match capture {
            0 => 0,
            some => some + MARGIN,
        }
    }

    /// Head and body, of which `capture` characters at most, without these secrets.
    pub(super) fn text(&self, capture: usize, secrets: &[SecretString]) -> String {
        let body = without(String::from_utf8_lossy(&self.body).into_owned(), secrets);
        let head = without(self.head.clone(), secrets);
        let mut text = lines(&head);
        if !body.is_empty() {
            text.push_str("\n\n");
            text.push_str(&shortened(&lines(&body), capture));
        }
        text
    }
}

/// What a header's value shows of itself.
fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    if SECRET_NAMES.iter().any(|part| name.as_str().contains(part)) {
        return REMOVED.to_owned();
    }
    let text = String::from_utf8_lossy(value.as_bytes());
    // Redirects carry tickets in their query, and passwords before an @.
    if [LOCATION, REFRESH].contains(name) {
        let path = text.split(['?', '#']).next().unwrap_or_default();
        return match path.rsplit_once('@') {
            Some((_, after)) => format!("{REMOVED}@{after}"),
            None if path.len() < text.len() => format!("{path}?{REMOVED}"),
            None => path.to_owned(),
        };
    }
    text.into_owned()
}

fn without(mut text: String, secrets: &[SecretString]) -> String {
    for secret in secrets {
        let secret = secret.expose_secret();
        if secret.len() >= MIN_SECRET && text.contains(secret) {
            text = text.replace(secret, REMOVED);
        }
    }
    text
}

/// The lines, each without anything that a terminal or a page would obey.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n")
}

/// What a site is asked with that an answer must not show: a page may well repeat its request.
pub(super) fn secrets_of(site: &Site, secrets: &Secrets) -> Vec<SecretString> {
    let request = &site.request;
    let of_auth: Vec<&Text> = match &request.auth {
        None => Vec::new(),
        Some(Auth::Bearer(token)) => vec![token],
        Some(Auth::Basic { username, password }) => vec![username, password],
    };
    let of_headers = request.headers.iter().filter_map(|(name, text)| {
        let name = name.to_ascii_lowercase();
        let is_secret = SECRET_NAMES.iter().any(|part| name.contains(part));
        (is_secret || is_elsewhere(text)).then_some(text)
    });
    let of_body = request.body.iter().filter(|text| is_elsewhere(text));
    let texts = of_auth.into_iter().chain(of_headers).chain(of_body);
    // What is not found was not sent.
    let mut found: Vec<SecretString> = texts.filter_map(|text| secrets.find(text).ok()).collect();
    if let [username, password] = found.as_slice()
        && matches!(request.auth, Some(Auth::Basic { .. }))
    {
        let login = format!("{}:{}", username.expose_secret(), password.expose_secret());
        found.push(openssl::base64::encode_block(login.as_bytes()).into());
    }
    // What contains another one goes first.
    found.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
    found
}

/// Whether a text is kept where secrets are.
fn is_elsewhere(text: &Text) -> bool {
    !matches!(text, Text::Literal(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&str, &str)]) -> Response<()> {
        let mut response = Response::builder().status(503);
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            response = response.header(*name, value);
        }
        response.body(()).unwrap()
    }

    #[test]
    fn a_head_shows_no_cookie_no_ticket_and_no_password() {
        let evidence = Evidence::of(&response(&[
            ("Server", "nginx"),
            ("Set-Cookie", "id=hush-1"),
            ("X-Api-Key", "hush-2"),
            ("WWW-Authenticate", "Digest nonce=hush-3"),
            ("Location", "https://me:hush-4@a.example/?ticket=hush-5"),
            ("X-Custom", "\u{202e} fine"),
        ]));
        assert_eq!(
            evidence.text(100, &[]),
            "HTTP/1.1 503\nserver: nginx\nset-cookie: [removed]\nx-api-key: [removed]\n\
             www-authenticate: [removed]\nlocation: [removed]@a.example/\nx-custom: \\u{202e} fine"
        );
    }

    #[test]
    fn a_body_shows_no_secret_even_where_it_is_cut() {
        let mut evidence = Evidence::of(&response(&[]));
        evidence.body = b"<p>who: hush-hush\r\nand hush-hush".to_vec();
        let secrets = ["hush-hush".to_owned().into(), "a".to_owned().into()];
        assert_eq!(
            evidence.text(16, &secrets),
            "HTTP/1.1 503\n\n<p>who: [remove…"
        );
        assert_eq!(
            evidence.text(100, &secrets),
            "HTTP/1.1 503\n\n<p>who: [removed]\nand [removed]"
        );
    }

    #[test]
    fn a_long_head_is_cut() {
        let long = "x".repeat(3_000);
        let headers: Vec<(String, &str)> = (0..9)
            .map(|number| (format!("x-{number}"), long.as_str()))
            .collect();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let text = Evidence::of(&response(&headers)).text(0, &[]);
        assert_eq!(text.chars().count(), MAX_HEAD);
    }
}
