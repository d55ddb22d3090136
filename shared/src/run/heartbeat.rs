//! Pings for a dead man's switch: a service that raises an alarm when a run does not report.

use std::thread::JoinHandle;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

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

    /// Pings `URL` or `URL/fail`, after the ping of the start has ended.
    pub(super) fn end(self, success: bool) {
        if let Some(start) = self.start
            && start.join().is_err()
        {
            log::warn!("the heartbeat's thread ended by a defect of ours");
        }
        if let Some(url) = &self.url {
            ping(url, if success { "" } else { "/fail" });
        }
    }
}

fn ping(url: &SecretString, suffix: &str) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .user_agent(concat!("sitewatch/", env!("CARGO_PKG_VERSION")))
        .tls_config(
            TlsConfig::builder()
                .provider(TlsProvider::NativeTls)
                .root_certs(RootCerts::PlatformVerifier)
                .build(),
        )
        .build()
        .into();
    let address = format!("{}{suffix}", url.expose_secret().trim_end_matches('/'));
    if let Err(error) = agent.get(address).call() {
        // Never the address: who knows it can report success in our name.
        log::warn!("the heartbeat was not taken (HEARTBEAT_URL{suffix}): {error}");
    }
}
