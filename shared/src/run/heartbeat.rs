//! Pings for a dead man's switch: a service that raises an alarm when a run does not report.

use std::thread::JoinHandle;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::Exit;
use crate::http;

/// What stands at the end of the address of a service that takes exit codes.
const CODE: &str = "/{code}";

/// A ping must never hold up the work it tells of.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The switch's address, and the ping of the start while it is under way.
pub(super) struct Heartbeat {
    url: Option<SecretString>,
    start: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Pings `URL/start`, beside the work.
    pub(super) fn start(url: Option<SecretString>) -> Self {
        let start = url
            .clone()
            .map(|url| std::thread::spawn(move || ping(&url, "/start")));
        Self { url, start }
    }

    /// Pings `URL` or `URL/fail`, or `URL/75` where the service takes exit codes, after the ping of the
    /// start has ended.
    pub(super) fn end(self, exit: Exit) {
        if let Some(start) = self.start
            && start.join().is_err()
        {
            log::warn!("the heartbeat's thread panicked");
        }
        if let Some(url) = &self.url {
            if url.expose_secret().ends_with(CODE) {
                ping(url, &format!("/{}", exit.code()));
            } else {
                ping(url, if exit == Exit::Done { "" } else { "/fail" });
            }
        }
    }
}

fn ping(url: &SecretString, suffix: &str) {
    let url = url.expose_secret().trim_end_matches(CODE);
    let address = format!("{}{suffix}", url.trim_end_matches('/'));
    let why = match http::agent(TIMEOUT).get(address).call() {
        Ok(answer) => http::refusal(&answer),
        Err(error) => Some(http::cause(&error)),
    };
    if let Some(why) = why {
        let asked = match suffix {
            "" => String::new(),
            suffix => format!(", of which {suffix} was asked"),
        };
        // Never the address: who knows it can report success in our name.
        log::warn!("the heartbeat was not taken: {why}; check HEARTBEAT_URL{asked}");
    }
}
