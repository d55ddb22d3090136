//! One JSON object → one [`Site`], or everything that is wrong with it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use url::Url;

use super::fields::{Fields, pattern, secret_text, short};
use super::list::default_name;
use super::{
    AddressFamily, Agree, Auth, CaFile, Confirm, Expect, MaintenanceWindow, Pattern, Proxy,
    Recover, Request, Site, SiteDefaults, StatusSet, Text, Timeouts, Tls, TlsVersion, VerdictRule,
};
use crate::event::{MAX_LABEL, MAX_LABELS, MAX_NAME, MAX_URL};
use crate::words::is_blank;

/// Every field there is, in the order of documentation.
pub(super) const FIELDS: &[&str] = &[
    "name",
    "url",
    "enabled",
    "interval",
    "labels",
    "maintenance",
    "method",
    "headers",
    "body",
    "basic_auth",
    "bearer_token",
    "user_agent",
    "proxy",
    "resolve",
    "address_family",
    "source_address",
    "compression",
    "max_redirects",
    "tls_verify",
    "tls_ca_file",
    "tls_cert_file",
    "tls_key_file",
    "tls_server_name",
    "tls_min_version",
    "certificate_min_days",
    "status",
    "skip_status",
    "regex",
    "regex_not",
    "json",
    "header_regex",
    "min_body_size",
    "max_body_size",
    "max_response_time",
    "timeout",
    "connect_timeout",
    "first_byte_timeout",
    "retries",
    "retry_delay",
    "body_limit",
    "capture",
    "confirm",
    "recover",
    "agree",
];

/// Patterns and JSON pointers of a site at most: each is looked for in every byte of its pages.
const MAX_PATTERNS: usize = 32;
/// Memory for the patterns of a site when they are compiled: twice what a single one may take.
const MAX_COMPILED: usize = 2 * Pattern::MAX_COMPILED;
/// What the event and the tables hold, with room to spare.
pub(crate) const MAX_BODY: u64 = 1 << 30;
const MAX_INTERVAL: Duration = Duration::from_secs(366 * 86_400);

/// Reads a site. On failure: fields and what is wrong with each.
pub(super) fn site(
    object: Map<String, Value>,
    defaults: &SiteDefaults,
) -> Result<Site, Vec<(String, String)>> {
    let mut fields = Fields::new(object);
    let (url, credentials) = url(&mut fields);
    let name = name(&mut fields, url.as_ref());
    let enabled = fields.boolean("enabled").unwrap_or(true);
    let interval = bounded(
        &mut fields,
        "interval",
        Duration::from_secs(1),
        MAX_INTERVAL,
    )
    .unwrap_or(defaults.interval);
    let labels = fields.labels();
    if labels.len() > MAX_LABELS {
        fields.problem(
            "labels",
            format!("are {}; at most {MAX_LABELS}", labels.len()),
        );
    }
    for (key, value) in &labels {
        if key.is_empty() || key.chars().count() > MAX_LABEL || value.chars().count() > MAX_LABEL {
            fields.problem(
                "labels",
                format!("has a name or value that is empty or longer than {MAX_LABEL} characters"),
            );
        }
        if key.chars().chain(value.chars()).any(char::is_control) {
            fields.problem("labels", "has a control character");
        }
    }
    let maintenance = fields
        .take("maintenance", |value| match value {
            Value::Array(list) => list.iter().map(MaintenanceWindow::parse).collect(),
            one => MaintenanceWindow::parse(&one).map(|window| vec![window]),
        })
        .unwrap_or_default();
    let request = request(&mut fields, defaults, credentials);
    let tls = tls(&mut fields, defaults);
    let expect = expect(&mut fields, defaults);
    let shortest = Duration::from_millis(1);
    let timeouts = Timeouts {
        total: timeout(&mut fields, "timeout", shortest, defaults)
            .unwrap_or(defaults.timeouts.total),
        connect: timeout(&mut fields, "connect_timeout", shortest, defaults)
            .or(defaults.timeouts.connect),
        first_byte: timeout(&mut fields, "first_byte_timeout", shortest, defaults)
            .or(defaults.timeouts.first_byte),
    };
    let most = defaults.limits.retries;
    let retries = fields
        .count("retries", u16::MAX)
        .unwrap_or(defaults.retries);
    if retries > most {
        fields.problem(
            "retries",
            format!("is {retries}; at most {most} (CHECK_MAX_RETRIES)"),
        );
    }
    let retry_delay = timeout(&mut fields, "retry_delay", Duration::ZERO, defaults)
        .unwrap_or(defaults.retry_delay);
    let most = defaults.body_limit;
    let body_limit = fields.size("body_limit").unwrap_or(most);
    if body_limit > most {
        fields.problem(
            "body_limit",
            format!("is {body_limit}; at most {most} (CHECK_MAX_BODY)"),
        );
    }
    // What a page says reaches whoever reads events: that is the operator's choice.
    let most = defaults.capture;
    let capture = fields.size("capture").map_or(most, |size| size as usize);
    if capture > most {
        fields.problem(
            "capture",
            format!("is {capture}; at most {most} (CHECK_CAPTURE)"),
        );
    }
    let verdict = VerdictRule {
        confirm: fields
            .word("confirm", Confirm::parse, r#"a number such as 3, or "3/5""#)
            .unwrap_or(defaults.verdict.confirm),
        recover: fields
            .word("recover", Recover::parse, "a number such as 2")
            .unwrap_or(defaults.verdict.recover),
        agree: fields
            .word(
                "agree",
                Agree::parse,
                r#""any", "majority", "all" or a number such as 2"#,
            )
            .unwrap_or(defaults.verdict.agree),
    };
    // No body would ever be found too large, or too small.
    for (name, size) in [
        ("min_body_size", expect.min_body_size),
        ("max_body_size", expect.max_body_size),
    ] {
        if let Some(size) = size.filter(|size| *size > body_limit) {
            fields.problem(
                name,
                format!(
                    "is {size}, but no more than {body_limit} bytes are read of a body (body_limit, CHECK_MAX_BODY)"
                ),
            );
        }
    }

    let problems = fields.finish(FIELDS);
    match (url, problems.is_empty()) {
        (Some(url), true) => Ok(Site {
            name,
            url,
            enabled,
            interval,
            timeouts,
            retries,
            retry_delay,
            body_limit,
            capture,
            request,
            tls,
            expect,
            verdict,
            labels,
            maintenance,
        }),
        _ => Err(problems),
    }
}

/// The URL without its credentials, and those: what is not in the URL cannot be shown with it.
fn url(fields: &mut Fields) -> (Option<Url>, Option<Auth>) {
    let Some(text) = fields.text("url") else {
        if !fields.has_problem("url") {
            fields.problem("url", "is missing");
        }
        return (None, None);
    };
    let mut url = match Url::parse(text.trim()) {
        Ok(url) => url,
        Err(error) => {
            // The text may hold a password that a mistake elsewhere kept from being recognised.
            let shown = if text.contains('@') {
                String::new()
            } else {
                format!("is {text:?}, ")
            };
            fields.problem(
                "url",
                format!("{shown}which is no URL: {error}; wants one such as https://example.org/"),
            );
            return (None, None);
        }
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        fields.problem(
            "url",
            format!("has the scheme {:?}; wants http or https", url.scheme()),
        );
        return (None, None);
    }
    let auth = (!url.username().is_empty() || url.password().is_some()).then(|| Auth::Basic {
        username: Text::Literal(decode(url.username())),
        password: Text::Literal(decode(url.password().unwrap_or_default())),
    });
    url.set_fragment(None);
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        fields.problem("url", "cannot hold user name and password; use basic_auth");
    }
    if url.as_str().len() > MAX_URL {
        fields.problem(
            "url",
            format!("is {} bytes long, at most {MAX_URL}", url.as_str().len()),
        );
    }
    (Some(url), auth)
}

/// `%40` → `@`, as in the URL's user name and password.
fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn name(fields: &mut Fields, url: Option<&Url>) -> String {
    let Some(name) = fields.text("name") else {
        return url.map(default_name).unwrap_or_default();
    };
    if name.trim().is_empty() {
        fields.problem("name", "is empty");
    } else if is_blank(&name) {
        fields.problem("name", "has nothing that can be seen");
    } else if name.chars().count() > MAX_NAME {
        fields.problem("name", format!("is longer than {MAX_NAME} characters"));
    } else if name.chars().any(char::is_control) {
        fields.problem("name", "contains a control character");
    }
    name
}

/// A duration that the operator limits.
fn timeout(
    fields: &mut Fields,
    name: &str,
    least: Duration,
    defaults: &SiteDefaults,
) -> Option<Duration> {
    let most = defaults.limits.timeout;
    let value = fields.duration(name)?;
    if (least..=most).contains(&value) {
        return Some(value);
    }
    fields.problem(
        name,
        format!("is {value:?}; wants {least:?} to {most:?} (CHECK_MAX_TIMEOUT)"),
    );
    None
}

fn bounded(fields: &mut Fields, name: &str, least: Duration, most: Duration) -> Option<Duration> {
    let value = fields.duration(name)?;
    if (least..=most).contains(&value) {
        return Some(value);
    }
    fields.problem(name, format!("is {value:?}; wants {least:?} to {most:?}"));
    None
}

fn request(
    fields: &mut Fields,
    defaults: &SiteDefaults,
    credentials: Option<Auth>,
) -> Arc<Request> {
    let base = &defaults.request;
    let mut request = Request::clone(base);
    if let Some(method) = fields.text("method") {
        let method = method.to_ascii_uppercase();
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if method.is_empty() || !method.chars().all(token) || method == "CONNECT" {
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
    request.auth = credentials
        .or(basic)
        .or(bearer.map(Auth::Bearer))
        .or(request.auth);
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

/// One allocation for all sites that change nothing.
fn share<T: PartialEq>(value: T, base: &Arc<T>) -> Arc<T> {
    if value == **base {
        base.clone()
    } else {
        Arc::new(value)
    }
}

fn header_name(name: &str) -> Result<(), String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
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

fn tls(fields: &mut Fields, defaults: &SiteDefaults) -> Arc<Tls> {
    let base = &defaults.tls;
    let mut tls = Tls::clone(base);
    if let Some(verify) = fields.boolean("tls_verify") {
        tls.accept_invalid = !verify;
    }
    tls.ca_file = fields
        .path("tls_ca_file")
        .map(CaFile::OfSite)
        .or(tls.ca_file);
    match (fields.path("tls_cert_file"), fields.path("tls_key_file")) {
        (Some(certificate), Some(key)) => tls.client = Some((certificate, key)),
        (None, None) => {}
        (Some(_), None) => fields.problem("tls_key_file", "is missing beside tls_cert_file"),
        (None, Some(_)) => fields.problem("tls_cert_file", "is missing beside tls_key_file"),
    }
    tls.server_name = fields.text("tls_server_name").or(tls.server_name);
    if let Some(version) = fields.take("tls_min_version", |value| match value.as_str() {
        Some("1.0") => Ok(TlsVersion::V1_0),
        Some("1.1") => Ok(TlsVersion::V1_1),
        Some("1.2") => Ok(TlsVersion::V1_2),
        Some("1.3") => Ok(TlsVersion::V1_3),
        _ => Err(format!(
            "is {}; wants \"1.0\", \"1.1\", \"1.2\" or \"1.3\"",
            short(&value)
        )),
    }) {
        tls.min_version = Some(version);
    }
    tls.certificate_min_days = fields
        .count("certificate_min_days", 3_650)
        .or(tls.certificate_min_days);
    share(tls, base)
}

fn expect(fields: &mut Fields, defaults: &SiteDefaults) -> Expect {
    let expect = Expect {
        status: fields
            .status("status")
            .unwrap_or_else(|| defaults.status.clone()),
        skip_status: fields.status("skip_status").unwrap_or_else(StatusSet::none),
        regex: fields.pattern("regex"),
        regex_not: fields.patterns("regex_not"),
        json: fields
            .map("json", |pointer, value| {
                if pointer.is_empty() || pointer.starts_with('/') {
                    Ok(value.clone())
                } else {
                    Err("is no JSON pointer; wants one such as /status/db".to_owned())
                }
            })
            .unwrap_or_default(),
        headers: fields
            .map("header_regex", |name, value| {
                header_name(name).or_else(|why| {
                    if why.contains("itself") {
                        Ok(())
                    } else {
                        Err(why)
                    }
                })?;
                pattern(value)
            })
            .unwrap_or_default()
            .into_iter()
            .map(|(name, pattern)| (name.to_ascii_lowercase(), pattern))
            .collect(),
        min_body_size: fields.size("min_body_size"),
        max_body_size: fields.size("max_body_size"),
        max_response_time: fields
            .duration("max_response_time")
            .or(defaults.max_response_time),
    };
    limit_patterns(fields, &expect);
    if let (Some(least), Some(most)) = (expect.min_body_size, expect.max_body_size)
        && least > most
    {
        fields.problem(
            "min_body_size",
            format!("is {least}, more than max_body_size, {most}"),
        );
    }
    expect
}

/// Whoever writes a site must not make its check arbitrarily slow or large.
fn limit_patterns(fields: &mut Fields, expect: &Expect) {
    let headers = expect.headers.iter().map(|(_, pattern)| pattern);
    let all = || {
        expect
            .regex
            .iter()
            .chain(&expect.regex_not)
            .chain(headers.clone())
    };
    for (field, count) in [("regex_not", all().count()), ("json", expect.json.len())] {
        if count > MAX_PATTERNS {
            fields.problem(
                field,
                format!("makes {count} of its kind in all; at most {MAX_PATTERNS}"),
            );
        }
    }
    // Two are within the limit because each is within its own, and so need not be compiled here.
    if (3..=MAX_PATTERNS).contains(&all().count()) {
        let compiled: usize = all().map(|pattern| pattern.compiled_size()).sum();
        if compiled > MAX_COMPILED {
            fields.problem(
                "regex_not",
                format!(
                    "and the other patterns need {} KiB when compiled; at most {}",
                    compiled >> 10,
                    MAX_COMPILED >> 10
                ),
            );
        }
    }
}
