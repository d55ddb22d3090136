//! Whether it is our uplink that is away, not the sites: `PROBE_CANARIES`.
//!
//! One check cannot tell a dead site from a dead uplink. So a check that failed in a way that an
//! uplink would explain waits until the canaries have been asked: hosts that the operator trusts to
//! be there. While one of them answers, the failure is the site's. When none does, and most of the
//! latest checks failed like it, the check is recorded as unknown.
//!
//! Every other result is published at once, and so is every result when there are no canaries. What
//! waits is bounded by `CHECK_CONCURRENCY`, and ends in ten seconds or with the run.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sitewatch::event::{CheckEvent, MAX_ERROR, Outcome, Verdict};
use sitewatch::site::{AddressFamily, Site, SiteDefaults, parse_list};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::check::{Tools, check, is_reachable, safe};
use crate::dns::Found;

/// How long a canary may take: a lost packet is sent again after one second, and after three.
const TIMEOUT: Duration = Duration::from_millis(3_500);
/// When no canary answers, they are asked once more after this: a moment's loss is no incident.
const AGAIN: Duration = Duration::from_secs(1);
/// How long it is believed that a canary answered. As short as a round can afford: an uplink that
/// goes away within it makes sites of this time down.
const ALIVE: Duration = Duration::from_secs(1);
/// How long it is believed that none did, before they are asked again.
const DEAD: Duration = Duration::from_secs(5);
/// The latest checks of which most must have failed so: enough to see past single failures, few
/// enough that an uplink which goes away in the middle of a round is seen soon.
const LATEST: usize = 16;

/// Something that is there whenever our uplink is.
#[derive(Debug)]
pub(crate) enum Canary {
    /// It accepts connections.
    Address { host: String, port: u16 },
    /// It answers requests, whatever the status.
    Page(Arc<Site>),
}

/// Reads canaries separated by commas or spaces: `host:port` or URLs.
///
/// # Errors
/// Which of them is neither.
pub(crate) fn parse(text: &str, defaults: &SiteDefaults) -> Result<Vec<Canary>, String> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .map(|part| {
            if part.contains("://") {
                page(part, defaults)
            } else {
                address(part).ok_or_else(|| format!("{part:?} is neither host:port nor a URL"))
            }
        })
        .collect()
}

fn page(url: &str, defaults: &SiteDefaults) -> Result<Canary, String> {
    let mut defaults = defaults.clone();
    defaults.timeouts.total = TIMEOUT;
    defaults.retries = 0;
    let sites = parse_list(url, &defaults).map_err(|problems| problems.to_string())?;
    let site = sites.into_iter().next().ok_or("no URL")?;
    Ok(Canary::Page(site))
}

fn address(text: &str) -> Option<Canary> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty()).then(|| Canary::Address {
        host: host.to_owned(),
        port,
    })
}

/// The canaries of a run and what is known of them.
pub(crate) struct Canaries {
    all: Arc<[Canary]>,
    tools: Arc<Tools>,
    state: Mutex<State>,
    /// How often the state has changed in a way that those who wait should look at.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Of the latest checks, whether each failed in a way that an uplink would explain.
    latest: VecDeque<bool>,
    is_asking: bool,
    /// Whether the run is to end: nobody waits any more.
    is_ending: bool,
    /// When the canaries were asked last, and whether one answered.
    answer: Option<(Instant, bool)>,
}

impl State {
    fn note(&mut self, failed: bool) {
        if self.latest.len() == LATEST {
            self.latest.pop_front();
        }
        self.latest.push_back(failed);
    }

    fn most_failed(&self) -> bool {
        let failed = self.latest.iter().filter(|failed| **failed).count();
        failed * 2 > self.latest.len()
    }

    /// Whether a canary answers, as far as that is known now.
    fn known(&self) -> Option<bool> {
        let (asked, alive) = self.answer?;
        let good_for = if alive { ALIVE } else { DEAD };
        (asked.elapsed() < good_for).then_some(alive)
    }
}

impl Canaries {
    /// `tools` are the canaries' own: the operator chose them, so nothing denies them.
    pub(crate) fn new(all: Vec<Canary>, tools: Tools) -> Arc<Self> {
        Arc::new(Self {
            all: all.into(),
            tools: Arc::new(tools),
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    /// The event to record for a check, once it is known whose fault its failure is; `by_uplink`:
    /// a missing uplink would explain it.
    pub(crate) async fn settle<'a>(
        self: &Arc<Self>,
        event: CheckEvent<'a>,
        by_uplink: bool,
    ) -> CheckEvent<'a> {
        if self.all.is_empty() || event.outcome.verdict() == Verdict::Unknown {
            return event;
        }
        self.state.lock().note(by_uplink);
        if !by_uplink {
            return event;
        }
        let mut changes = self.changed.subscribe();
        let why = loop {
            if let Some(known) = self.known_or_ask() {
                match known {
                    Known::Alive => return event,
                    Known::Dead => break "no canary (PROBE_CANARIES) answers",
                    Known::Never => {
                        break "the run ended before a canary (PROBE_CANARIES) had answered";
                    }
                }
            }
            // The sender is ours, so it is there.
            if changes.changed().await.is_err() {
                return event;
            }
        };
        if !self.state.lock().most_failed() {
            return event;
        }
        unknown(event, why)
    }

    /// The run is to end: what waits is settled by what is known.
    pub(crate) fn end(&self) {
        self.state.lock().is_ending = true;
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// What is known; `None`: they are being asked.
    fn known_or_ask(self: &Arc<Self>) -> Option<Known> {
        let mut state = self.state.lock();
        match state.known() {
            Some(true) => return Some(Known::Alive),
            Some(false) => return Some(Known::Dead),
            None if state.is_ending => return Some(Known::Never),
            None => {}
        }
        if !state.is_asking {
            state.is_asking = true;
            // On this thread, which lives as long as the check that waits for the answer.
            tokio::task::spawn_local(Arc::clone(self).ask());
        }
        None
    }

    async fn ask(self: Arc<Self>) {
        let alive = self.one_answers().await || {
            tokio::time::sleep(AGAIN).await;
            self.one_answers().await
        };
        if !alive {
            log::warn!("no canary (PROBE_CANARIES) answers: this machine's uplink may be away");
        }
        let mut state = self.state.lock();
        state.answer = Some((Instant::now(), alive));
        state.is_asking = false;
        drop(state);
        self.changed.send_modify(|changes| *changes += 1);
    }

    async fn one_answers(&self) -> bool {
        let mut asking = JoinSet::new();
        for index in 0..self.all.len() {
            let (all, tools) = (Arc::clone(&self.all), Arc::clone(&self.tools));
            asking.spawn_local(async move {
                match all.get(index) {
                    Some(canary) => is_alive(canary, &tools).await,
                    None => false,
                }
            });
        }
        while let Some(answer) = asking.join_next().await {
            if answer.is_ok_and(|alive| alive) {
                return true;
            }
        }
        false
    }
}

/// What is known of the canaries.
enum Known {
    Alive,
    Dead,
    /// Nothing, and it will not be: the run is to end.
    Never,
}

async fn is_alive(canary: &Canary, tools: &Tools) -> bool {
    match canary {
        Canary::Address { host, port } => {
            let asking = async {
                let addresses = match host.parse() {
                    Ok(address) => vec![address],
                    Err(_) => {
                        let again = Some(Instant::now());
                        let answer = tools.dns.look_up(host, AddressFamily::Any, again).await;
                        match answer.found {
                            Found::Addresses(addresses) => addresses.to_vec(),
                            _ => return false,
                        }
                    }
                };
                let addresses: Vec<_> = addresses
                    .into_iter()
                    .map(|address| SocketAddr::new(address, *port))
                    .collect();
                is_reachable(&addresses, TIMEOUT).await
            };
            tokio::time::timeout(TIMEOUT, asking)
                .await
                .is_ok_and(|alive| alive)
        }
        Canary::Page(site) => check(Arc::clone(site), tools)
            .await
            .is_some_and(|checked| checked.is_answered()),
    }
}

fn unknown<'a>(event: CheckEvent<'a>, why: &str) -> CheckEvent<'a> {
    let error = event.error.as_deref().unwrap_or_default();
    let error = format!("{why}, so this may be our uplink: {error}");
    CheckEvent {
        up: None,
        outcome: Outcome::Local,
        error: Some(safe(&error, MAX_ERROR).into()),
        ..event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canaries_are_addresses_and_urls() {
        let defaults = SiteDefaults::default();
        let canaries = parse(
            "192.0.2.1:53, [2001:db8::1]:443 https://a.example/ b.example:80",
            &defaults,
        );
        let shown: Vec<_> = canaries
            .unwrap()
            .iter()
            .map(|canary| match canary {
                Canary::Address { host, port } => format!("{host} {port}"),
                Canary::Page(site) => site.url.to_string(),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "192.0.2.1 53",
                "2001:db8::1 443",
                "https://a.example/",
                "b.example 80"
            ]
        );
        for wrong in [
            "a.example",
            "2001:db8::1:443",
            "a.example:0",
            ":53",
            "ftp://a.example/",
        ] {
            assert!(parse(wrong, &defaults).is_err(), "{wrong}");
        }
    }

    #[test]
    fn most_of_the_latest_is_more_than_half() {
        let mut state = State::default();
        state.note(true);
        assert!(state.most_failed(), "one of one");
        state.note(false);
        assert!(!state.most_failed(), "one of two");
        for _ in 0..1_000 {
            state.note(false);
        }
        for _ in 0..=LATEST / 2 {
            assert!(!state.most_failed());
            state.note(true);
        }
        assert!(state.most_failed(), "whatever was before them");
    }
}
