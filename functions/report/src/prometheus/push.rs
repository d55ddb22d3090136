//! Sending metrics to a Pushgateway.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use sitewatch::http;
use sitewatch::run::Failure;
use sitewatch::words::printable;
use ureq::SendBody;
use ureq::http::header::CONTENT_LENGTH;
use url::Url;

use crate::output::Interrupted;

/// A gateway answers at once or is not there; many metrics take a while on their way.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Replaces the group's metrics by what `fill` writes. It does so twice, once to tell how long they
/// are: in memory they would have no bound.
///
/// # Errors
/// When the gateway cannot be reached or does not take them, and those of `fill`.
pub(super) fn push(
    url: &Url,
    mut fill: impl FnMut(&mut dyn Write) -> Result<(), Interrupted>,
) -> Result<(), Failure> {
    // The address may hold a password: what is told is the host alone.
    let host = url.host_str().unwrap_or_default();
    let refused = |why: String| {
        Failure::Unavailable(format!(
            "the Pushgateway at {host} did not take the metrics: {why}; check PROMETHEUS_PUSHGATEWAY_URL"
        ))
    };
    let mut length = Length(0);
    if let Err(Interrupted::Reading(failure)) = fill(&mut length) {
        return Err(failure);
    }
    let (mut from, to) =
        io::pipe().map_err(|error| refused(format!("no pipe could be made: {error}")))?;
    let (filled, answer) = std::thread::scope(|scope| {
        let answer = scope.spawn(move || {
            http::agent(TIMEOUT)
                .put(url.as_str())
                .content_type("text/plain; version=0.0.4; charset=utf-8")
                .header(CONTENT_LENGTH, length.0.to_string())
                .send(SendBody::from_reader(&mut from))
        });
        let mut to = BufWriter::new(to);
        // Cut short, the body is shorter than was said, and the gateway keeps what it had.
        let filled = fill(&mut to).and_then(|()| Ok(to.flush()?));
        drop(to);
        (filled, answer.join())
    });
    if let Err(Interrupted::Reading(failure)) = filled {
        return Err(failure);
    }
    // A pipe that nobody reads any more is a gateway's refusal, which its answer tells.
    let mut answer = answer
        .map_err(|_| Failure::InternalError("sending the metrics panicked".to_owned()))?
        .map_err(|error| refused(http::cause(&error)))?;
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
    let said = printable(said.trim());
    Err(refused(if said.is_empty() {
        why
    } else {
        format!("{why}; it says \"{said}\"")
    }))
}

/// Counts what is written.
struct Length(u64);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
