//! What is asked of a site, and by which way.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::share;
use crate::site::fields::{Fields, secret_text, short};
use crate::site::{AddressFamily, Auth, Proxy, Request, SiteDefaults, Text};

/// Reads it. `credentials` are those of the URL.
pub(super) fn request(
    fields: &mut Fields,
    defaults: &SiteDefaults,
    credentials: Option<Auth>,
) -> Arc<Request> {
    let base = &defaults.request;
    let mut request = Request::clone(base);
    if let Some(method) = fields.text("method") {
        let method = method.to_ascii_uppercase();
        if !is_token(&method) || method == "CONNECT" {
            fields.problem(
                "method",
                format!("is {method:?}; wants GET, HEAD, POST or another method of HTTP"),
            );
        }
        request.method = method;
    }
    if let Some(headers) = fields.map("headers", |name, value| {
        header_name(name)?;
        let text = secret_text(value)?;
        match &text {
            Text::Literal(value) if value.chars().any(|c| c.is_control() && c != '\t') => {
                Err("contains a control character".to_owned())
            }
            _ => Ok(text),
        }
    }) {
        request.headers.extend(headers);
    }
    request.body = fields.secret_text("body").or(request.body);
    request.auth = auth(fields, credentials).or(request.auth);
    request.user_agent = fields.text("user_agent").or(request.user_agent);
    if request
        .user_agent
        .as_ref()
        .is_some_and(|text| text.chars().any(char::is_control))
    {
        fields.problem("user_agent", "contains a control character");
    }
    if let Some(proxy) = fields.take("proxy", |value| proxy(&value)) {
        request.proxy = proxy;
    }
    if let Some(list) = fields.map("resolve", |_, value| {
        value
            .as_str()
            .and_then(|text| text.parse::<IpAddr>().ok())
            .ok_or_else(|| format!("is {}; wants an IP address", short(value)))
    }) {
        request.resolve = list
            .into_iter()
            .map(|(host, address)| (host.to_ascii_lowercase(), address))
            .collect();
    }
    if let Some(family) = fields.take("address_family", |value| match value.as_str() {
        Some("any") => Ok(AddressFamily::Any),
        Some("ipv4" | "4") => Ok(AddressFamily::V4),
        Some("ipv6" | "6") => Ok(AddressFamily::V6),
        _ => Err(format!("is {}; wants any, ipv4 or ipv6", short(&value))),
    }) {
        request.address_family = family;
    }
    if let Some(address) = fields.take("source_address", |value| {
        value
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("is {}; wants an IP address of this machine", short(&value)))
    }) {
        request.source_address = Some(address);
    }
    request.compression = fields.boolean("compression").unwrap_or(request.compression);
    request.max_redirects = fields
        .count("max_redirects", 50)
        .unwrap_or(request.max_redirects);
    share(request, base)
}

/// The credentials that the site names, those of its URL among them.
fn auth(fields: &mut Fields, credentials: Option<Auth>) -> Option<Auth> {
    let basic = fields.map("basic_auth", |_, value| secret_text(value));
    let bearer = fields.secret_text("bearer_token");
    let named = usize::from(credentials.is_some())
        + usize::from(basic.is_some())
        + usize::from(bearer.is_some());
    if named > 1 {
        fields.problem("basic_auth", "is one of several credentials; keep one of basic_auth, bearer_token and those in the URL");
    }
    let basic = basic.and_then(|list| {
        let find = |name: &str| {
            list.iter()
                .find(|(key, _)| key == name)
                .map(|(_, text)| text.clone())
        };
        match (find("username"), find("password"), list.len()) {
            (Some(username), Some(password), 2) => Some(Auth::Basic { username, password }),
            _ => {
                fields.problem("basic_auth", r#"wants {"username": …, "password": …}"#);
                None
            }
        }
    });
    credentials.or(basic).or(bearer.map(Auth::Bearer))
}

/// Whether a header of a request may be called so.
pub(super) fn header_name(name: &str) -> Result<(), String> {
    if !is_token(name) {
        return Err("is no name of a header".to_owned());
    }
    // The library below counts the body itself; a second opinion would break the request.
    if ["content-length", "transfer-encoding", "connection"]
        .contains(&name.to_ascii_lowercase().as_str())
    {
        return Err("is set by the probe itself".to_owned());
    }
    Ok(())
}

/// Whether it is a token of HTTP (RFC 9110, section 5.6.2), as methods and names of headers are.
fn is_token(text: &str) -> bool {
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(is_of_token)
}

fn proxy(value: &Value) -> Result<Proxy, String> {
    match value.as_str() {
        Some("none") => return Ok(Proxy::None),
        Some("environment") => return Ok(Proxy::Environment),
        _ => {}
    }
    let text = secret_text(value)?;
    if let Text::Literal(literal) = &text {
        proxy_url(literal)?;
    }
    Ok(Proxy::Through(text))
}

/// Checks the URL of a proxy.
fn proxy_url(text: &str) -> Result<(), String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
        _ => Err("is no proxy that is spoken to here; wants http://[user:password@]host[:port], none or environment".to_owned()),
    }
}
