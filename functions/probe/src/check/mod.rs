//! One check: resolve, connect, TLS, request, response, body → what happened → what it means.
//!
//! The story is told in [`follow`]: redirects are followed here, hop by hop, so that every hop
//! obeys the same rules and its times are summed. [`check`] adds the retries.

mod body;
mod buffers;
mod certificate;
pub(crate) mod clock;
mod connect;
mod event;
mod failure;
mod hop;
pub(crate) mod interrupt;
mod json;
mod observation;
pub(crate) mod pattern;
mod request;
mod resolve;
mod route;
mod search;
mod stream;
pub(crate) mod tls;
mod trace;
mod tunnel;
mod verdict;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sitewatch::event::{CheckEvent, Outcome, Verdict};
use sitewatch::site::{Secrets, Site};
use ureq::Agent;
use ureq::config::Config;
use ureq::http;

use crate::deny::DenyNetworks;
use crate::dns::Dns;
use crate::pace::Step;
use crate::proxy::Proxies;
use clock::Clock;
pub(crate) use event::safe;
use failure::Failure;
pub(crate) use failure::local_cause;
use hop::Hop;
use interrupt::Interrupt;
use observation::Observation;
use pattern::{Compiled, Patterns};
use request::Asking;
use resolve::{HopResolver, bare_host, port};
use tls::TlsContexts;
use trace::{Phase, Trace};
use verdict::judge;
use wire::HopConnector;

/// What all checks of a run share.
pub(crate) struct Tools {
    pub(crate) dns: Arc<Dns>,
    pub(crate) tls: TlsContexts,
    pub(crate) patterns: Patterns,
    pub(crate) deny: DenyNetworks,
    pub(crate) proxies: Proxies,
    pub(crate) secrets: Secrets,
    pub(crate) location: String,
}

/// What belongs to the worker that makes a check.
pub(crate) struct Worker {
    pub(crate) clock: Arc<Clock>,
    pub(crate) interrupt: Arc<Interrupt>,
    pub(crate) step: Arc<Step>,
}

/// What came of a check.
pub(crate) struct Checked<'a> {
    pub(crate) event: CheckEvent<'a>,
    /// Whether it failed in a way that an uplink of ours that is away would explain.
    pub(crate) by_uplink: bool,
}

/// Checks a site, again if it has retries left and seems down. `None`: the site wants no event of
/// this response, or the run ended in the middle.
pub(crate) fn check<'a>(
    site: &'a Arc<Site>,
    tools: &'a Arc<Tools>,
    worker: &Worker,
) -> Option<Checked<'a>> {
    let mut first_error = None;
    for attempt in 1..=site.retries + 1 {
        let checked_at = Timestamp::now();
        let again = (attempt > 1).then(Instant::now);
        let seen = observe(site, tools, worker, again);
        // Whatever was seen: a body that ends with the connection looks complete when we cut it.
        if worker.interrupt.interrupted() {
            return None;
        }
        let judgement = judge(site, &seen, checked_at)?;
        let is_last = attempt > site.retries || judgement.outcome.verdict() != Verdict::Down;
        if is_last {
            let by_uplink = judgement.by_uplink;
            let event = event::event(
                site,
                &tools.location,
                checked_at,
                attempt,
                first_error,
                seen,
                judgement,
            );
            return Some(Checked { event, by_uplink });
        }
        first_error = first_error.or(judgement.error);
        if !wait(site.retry_delay, &worker.interrupt) {
            return None;
        }
    }
    None
}

/// Whether one of these accepts a connection before `deadline`.
pub(crate) fn is_reachable(addresses: &[SocketAddr], deadline: Instant) -> bool {
    let interrupt = Interrupt::default();
    connect::connect(addresses, None, deadline, &|| Duration::ZERO, &interrupt).is_ok()
}

/// Waits before the next attempt; false when the run ends.
fn wait(delay: Duration, interrupt: &Interrupt) -> bool {
    const SLICE: Duration = Duration::from_millis(100);
    let until = Instant::now() + delay;
    loop {
        if interrupt.interrupted() {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(SLICE));
    }
}

/// One attempt, as it went. Never inlined, like the event: what the caller makes of it would lie on
/// the stack below thousands of waiting checks.
#[inline(never)]
fn observe(
    site: &Arc<Site>,
    tools: &Arc<Tools>,
    worker: &Worker,
    again: Option<Instant>,
) -> Observation {
    let trace = Arc::new(Trace::start(
        Arc::clone(&worker.clock),
        Arc::clone(&worker.step),
    ));
    let deadline = Instant::now() + site.timeouts.total;
    let mut seen = Observation::default();
    let failure = follow(site, tools, worker, &trace, deadline, again, &mut seen).err();
    let noted = trace.take();
    seen.phases = noted.phases;
    seen.local_wait = worker.clock.knows_waiting().then_some(noted.local_wait);
    seen.remote = noted.remote;
    seen.certificate = noted.certificate;
    seen.failure = noted.failure.or(failure);
    seen
}

/// Hop after hop until a response is no redirect that is to be followed.
fn follow(
    site: &Arc<Site>,
    tools: &Arc<Tools>,
    worker: &Worker,
    trace: &Arc<Trace>,
    deadline: Instant,
    again: Option<Instant>,
    seen: &mut Observation,
) -> Result<(), Failure> {
    let local = |text| Failure::new(Outcome::Local, text);
    let mut asking = Asking::first(site).map_err(local)?;
    loop {
        let response = ask(&asking, site, tools, worker, trace, deadline, again)?;
        let status = response.status().as_u16();
        seen.status = Some(status);
        seen.http_version = Some(version(response.version()));
        let followed = site.request.max_redirects > 0;
        match asking
            .redirected(status, response.headers())
            .filter(|_| followed)
        {
            Some(next) => {
                // The redirect's own body tells nobody anything: its time ends with its head.
                drop(response);
                trace.end(Phase::Body);
                if seen.redirects == site.request.max_redirects {
                    let text = format!("more than {} redirects", site.request.max_redirects);
                    return Err(Failure::new(Outcome::Redirect, text));
                }
                asking = next.map_err(|text| Failure::new(Outcome::Redirect, text))?;
                seen.redirects += 1;
                seen.final_url = Some(asking.url.to_string());
            }
            None => return read_response(site, tools, trace, response, seen),
        }
    }
}

/// Sends the request of one hop and reads the head of its response.
fn ask(
    asking: &Asking,
    site: &Arc<Site>,
    tools: &Arc<Tools>,
    worker: &Worker,
    trace: &Arc<Trace>,
    deadline: Instant,
    again: Option<Instant>,
) -> Result<http::Response<ureq::Body>, Failure> {
    let local = |text| Failure::new(Outcome::Local, text);
    let via = tools
        .proxies
        .in_front_of(site, &asking.url, &tools.secrets)
        .map_err(local)?;
    let (request, body) = asking
        .request(site, &tools.secrets, via.as_ref())
        .map_err(local)?;
    let line = longest_line(asking.url.as_str(), &request);
    if line > MAX_LINE {
        let text = format!("a header of the request is {line} bytes long; at most {MAX_LINE}");
        return Err(local(text));
    }
    let hop = Arc::new(Hop {
        site: Arc::clone(site),
        tools: Arc::clone(tools),
        trace: Arc::clone(trace),
        interrupt: Arc::clone(&worker.interrupt),
        deadline,
        again,
        via,
        judged: OnceLock::new(),
        line,
        host: bare_host(request.uri()).to_owned(),
        port: port(request.uri()),
        secure: request.uri().scheme_str() == Some("https"),
    });
    let agent = Agent::with_parts(
        CONFIG.clone(),
        HopConnector(Arc::clone(&hop)),
        HopResolver(hop),
    );
    let response = match body {
        Some(body) => agent.run(request.map(|()| body)),
        None => agent.run(request),
    };
    response.map_err(|error| {
        let now = trace.read(|noted| noted.now);
        if let Some(phase) = now {
            trace.end(phase);
        }
        let phase = now.unwrap_or(Phase::Connect);
        Failure::of_ureq(phase, &error)
    })
}

/// What ureq must leave to us: redirects, timeouts (the transport keeps them), statuses, headers.
static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .allow_non_standard_methods(true)
        .max_response_header_size(MAX_HEAD)
        .build()
});

/// The longest head of a response that is read, in bytes: what browsers read.
const MAX_HEAD: usize = 256 * 1024;
/// The longest line of a request's head: servers take 8 to 64 KiB.
const MAX_LINE: usize = 64 * 1024;

/// The length of the longest line in the head of a request, its end included.
fn longest_line(url: &str, request: &http::Request<()>) -> usize {
    // The version, spaces, the end of the line.
    let first = url.len() + request.method().as_str().len() + 16;
    let headers = request.headers().iter();
    headers
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .fold(first, usize::max)
}

fn read_response(
    site: &Site,
    tools: &Tools,
    trace: &Trace,
    response: http::Response<ureq::Body>,
    seen: &mut Observation,
) -> Result<(), Failure> {
    let (head, body) = response.into_parts();
    seen.headers_met = site
        .expect
        .headers
        .iter()
        .map(|(name, pattern)| {
            let compiled = tools.patterns.get(pattern);
            head.headers
                .get_all(name.as_str())
                .iter()
                .any(|value| matches(&compiled, value.as_bytes()))
        })
        .collect();
    let (body, failure) = body::read(
        site,
        &tools.patterns,
        &head.headers,
        body.into_with_config().reader(),
    );
    trace.end(Phase::Body);
    seen.body = Some(body);
    failure.map_or(Ok(()), Err)
}

fn matches(compiled: &Arc<Compiled>, value: &[u8]) -> bool {
    let mut search = search::Search::new(Arc::clone(compiled));
    search.feed(value);
    search.finish(value)
}

fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_09 => "0.9",
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2",
        http::Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
