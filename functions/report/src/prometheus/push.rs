//! Sending metrics to a Pushgateway.

use std::time::Duration;

use sitewatch::http;
use sitewatch::run::Failure;
use sitewatch::words::printable;
use url::Url;

/// A gateway answers at once or is not there.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Replaces the group's metrics by these.
///
/// # Errors
/// When the gateway cannot be reached or does not take them.
pub(super) fn push(url: &Url, text: &str) -> Result<(), Failure> {
    // The address may hold a password: what is told is the host alone.
    let place = url.host_str().unwrap_or_default();
    let refused = |why: String| {
        Failure::Unavailable(format!(
            "the Pushgateway at {place} did not take the metrics: {why}; check PROMETHEUS_PUSHGATEWAY_URL"
        ))
    };
    let mut answer = http::agent(TIMEOUT)
        .put(url.as_str())
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .send(text)
        .map_err(|error| refused(error.to_string()))?;
    let Some(why) = http::refusal(&answer) else {
        return Ok(());
    };
    let said: String = answer
        .body_mut()
        .with_config()
        .limit(4_096)
        .read_to_string()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect();
    Err(refused(
        format!("{why} {}", printable(&said)).trim_end().to_owned(),
    ))
}
