//! One JSON object → one [`Site`], or everything that is wrong with it.

mod expect;
mod request;
mod tls;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use url::Url;

use self::expect::expect;
use self::request::request;
use self::tls::tls;
use super::fields::Fields;
use super::list::default_name;
use super::{
    Agree, Auth, Confirm, MaintenanceWindow, Recover, Site, SiteDefaults, Text, Timeouts,
    VerdictRule,
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
    let labels = labels(&mut fields);
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
    let retries = fields
        .count("retries", u16::MAX)
        .unwrap_or(defaults.retries);
    let most = defaults.limits.retries;
    at_most(&mut fields, "retries", retries, most, "CHECK_MAX_RETRIES");
    let retry_delay = timeout(&mut fields, "retry_delay", Duration::ZERO, defaults)
        .unwrap_or(defaults.retry_delay);
    let most = defaults.body_limit;
    let body_limit = fields.size("body_limit").unwrap_or(most);
    at_most(
        &mut fields,
        "body_limit",
        body_limit,
        most,
        "CHECK_MAX_BODY",
    );
    // What a page says reaches whoever reads events: that is the operator's choice.
    let most = defaults.capture;
    let capture = fields.size("capture").map_or(most, |size| size as usize);
    at_most(&mut fields, "capture", capture, most, "CHECK_CAPTURE");
    let verdict = verdict(&mut fields, &defaults.verdict);
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

fn labels(fields: &mut Fields) -> BTreeMap<String, String> {
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
    labels
}

/// A number that the operator limits by a variable.
fn at_most<T: PartialOrd + Display + Copy>(
    fields: &mut Fields,
    name: &str,
    value: T,
    most: T,
    variable: &str,
) {
    if value > most {
        fields.problem(name, format!("is {value}; at most {most} ({variable})"));
    }
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

fn verdict(fields: &mut Fields, usual: &VerdictRule) -> VerdictRule {
    VerdictRule {
        confirm: fields
            .word("confirm", Confirm::parse, r#"a number such as 3, or "3/5""#)
            .unwrap_or(usual.confirm),
        recover: fields
            .word("recover", Recover::parse, "a number such as 2")
            .unwrap_or(usual.recover),
        agree: fields
            .word(
                "agree",
                Agree::parse,
                r#""any", "majority", "all" or a number such as 2"#,
            )
            .unwrap_or(usual.agree),
    }
}

/// One allocation for all sites that change nothing.
fn share<T: PartialEq>(value: T, base: &Arc<T>) -> Arc<T> {
    if value == **base {
        base.clone()
    } else {
        Arc::new(value)
    }
}
