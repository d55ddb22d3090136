//! One check: resolve, connect, TLS, request, response, body → what happened → what it means.
//!
//! The story is told in [`follow`], hop by hop, so that every hop obeys the same rules and its
//! times are summed; [`ask`] is one hop from its addresses to the head of its response. [`check`]
//! adds the retries.

mod body;
mod certificate;
mod connect;
mod event;
mod evidence;
mod exchange;
mod failure;
mod hop;
mod json;
pub(crate) mod kernel;
mod limit;
mod observation;
pub(crate) mod pattern;
mod request;
mod resolve;
mod route;
mod search;
pub(crate) mod tls;
mod trace;
mod tunnel;
mod verdict;
mod wire;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sitewatch::deny::DenyNetworks;
use sitewatch::event::{CheckEvent, Outcome, Verdict};
use sitewatch::site::Site;
use ureq_proto::client::state::RecvResponse;
use ureq_proto::client::{Call, SendRequestResult};
use ureq_proto::http;

use crate::dns::Dns;
use crate::proxy::Proxies;
use crate::schedule::Slot;
use crate::secrets::Secrets;
use body::Reading;
use connect::{ConnectError, connect};
pub(crate) use event::safe;
use evidence::{Evidence, secrets_of};
use exchange::{Exchange, Prepared, Rest};
use failure::Failure;
pub(crate) use failure::local_cause;
use hop::Hop;
use limit::within;
use observation::Observation;
use pattern::{Compiled, Patterns};
use request::Asking;
use resolve::{bare_host, port};
use tls::{TlsContexts, handshake};
use trace::{Phase, Trace};
use tunnel::open_tunnel;
use verdict::{Judgement, judge};
use wire::{Channel, Wire};

/// What all checks of a run share.
pub(crate) struct Tools {
    pub(crate) dns: Arc<Dns>,
    pub(crate) tls: TlsContexts,
    pub(crate) patterns: Patterns,
    pub(crate) deny: DenyNetworks,
    pub(crate) proxies: Proxies,
    pub(crate) secrets: Secrets,
}

/// A check that was made.
pub(crate) struct Checked {
    site: Arc<Site>,
    /// When its last attempt began.
    checked_at: Timestamp,
    attempts: u16,
    /// Why the first attempt failed, when there were several.
    first_error: Option<String>,
    seen: Observation,
    judgement: Judgement,
    /// What it received, when it failed and the site wants that to be kept.
    evidence: Option<String>,
}

impl Checked {
    /// Whether it failed in a way that an uplink of ours that is away would explain.
    pub(crate) fn is_explained_by_uplink(&self) -> bool {
        self.judgement.by_uplink
    }

    /// Whether the site answered, whatever it said.
    pub(crate) fn is_answered(&self) -> bool {
        self.seen.status.is_some()
    }

    /// The event that tells of it.
    pub(crate) fn event<'a>(&'a self, location: &'a str, slot: Option<Slot>) -> CheckEvent<'a> {
        event::event(self, location, slot)
    }
}

/// Checks a site, again if it has retries left and seems down. `None`: the site wants no event of
/// this response.
pub(crate) async fn check(site: Arc<Site>, tools: &Tools) -> Option<Checked> {
    let mut first_error = None;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let checked_at = Timestamp::now();
        let again = (attempts > 1).then(Instant::now);
        let seen = observe(&site, tools, again).await;
        let judgement = judge(&site, &seen, checked_at)?;
        let is_down = judgement.outcome.verdict() == Verdict::Down;
        if attempts > site.retries || !is_down {
            let evidence =
                seen.evidence.as_ref().filter(|_| is_down).map(|evidence| {
                    evidence.text(site.capture, &secrets_of(&site, &tools.secrets))
                });
            return Some(Checked {
                site,
                checked_at,
                attempts,
                first_error,
                seen,
                judgement,
                evidence,
            });
        }
        first_error = first_error.or(judgement.error);
        tokio::time::sleep(site.retry_delay).await;
    }
}

/// Whether one of these accepts a connection within `limit`.
pub(crate) async fn is_reachable(addresses: &[SocketAddr], limit: Duration) -> bool {
    let trace = Trace::start();
    trace.enter(Phase::Connect);
    let connected = within(&trace, limit, pin!(connect(addresses, None, &trace))).await;
    connected.is_some_and(|connected| connected.is_ok())
}

/// One attempt, as it went.
async fn observe(site: &Site, tools: &Tools, again: Option<Instant>) -> Observation {
    let trace = Trace::start();
    let mut seen = Observation::default();
    let followed = follow(site, tools, &trace, again, &mut seen);
    let failure = match within(&trace, site.timeouts.total, pin!(followed)).await {
        Some(result) => result.err(),
        None => Some(timed_out(&trace, tools).await),
    };
    let noted = trace.finish();
    seen.phases = noted.phases;
    seen.local_wait = noted.local_wait;
    seen.clock = Some(noted.clock);
    seen.remote = noted.remote;
    seen.certificate = noted.certificate;
    seen.first_to_expire = noted.first_to_expire;
    seen.failure = failure;
    seen
}

/// Hop after hop until a response is no redirect that is to be followed.
async fn follow(
    site: &Site,
    tools: &Tools,
    trace: &Trace,
    again: Option<Instant>,
    seen: &mut Observation,
) -> Result<(), Failure> {
    let local = |text| Failure::new(Outcome::Local, text);
    let mut asking = Asking::first(site).map_err(local)?;
    loop {
        let (mut exchange, head, mut rest) = ask(&asking, site, tools, trace, again).await?;
        let status = head.status().as_u16();
        seen.status = Some(status);
        seen.http_version = Some(version(head.version()));
        seen.evidence = (site.capture > 0).then(|| Evidence::of(&head));
        let followed = site.request.max_redirects > 0;
        let next = asking
            .redirected(status, head.headers())
            .filter(|_| followed);
        let Some(next) = next else {
            seen.headers_met = headers_met(site, tools, head.headers());
            let mut reading = Reading::new(site, &tools.patterns, head.headers());
            let read = match &mut rest {
                Some(rest) => exchange.body(rest, &mut reading).await,
                None => Ok(()),
            };
            let (body, beginning) = reading.finish();
            seen.body = Some(body);
            if let Some(evidence) = &mut seen.evidence {
                evidence.body = beginning;
            }
            return read;
        };
        // The redirect's own body tells nobody anything: its time ends with its head.
        drop(exchange);
        if seen.redirects == site.request.max_redirects {
            let text = format!("more than {} redirects", site.request.max_redirects);
            return Err(Failure::new(Outcome::Redirect, text));
        }
        asking = next.map_err(|text| Failure::new(Outcome::Redirect, text))?;
        seen.redirects += 1;
        seen.final_url = Some(asking.url.to_string());
    }
}

/// The time was up: the site's fault, unless this machine or what is next to it explains it.
async fn timed_out(trace: &Trace, tools: &Tools) -> Failure {
    match trace.phase() {
        Phase::Dns => resolve::unanswered(&tools.dns).await,
        Phase::Connect => connect::unanswered(&trace.asked()),
        phase => Failure::timeout(phase),
    }
}

/// Sends the request of one hop and reads the head of its response.
async fn ask<'a>(
    asking: &Asking,
    site: &'a Site,
    tools: &'a Tools,
    trace: &'a Trace,
    again: Option<Instant>,
) -> Result<(Exchange<'a>, http::Response<()>, Rest), Failure> {
    let (mut exchange, mut call) = send(asking, site, tools, trace, again).await?;
    let head = exchange.head(&mut call, site.timeouts.first_byte).await?;
    Ok((exchange, head, exchange::rest(call)?))
}

/// Connects and sends the request of one hop.
async fn send<'a>(
    asking: &Asking,
    site: &'a Site,
    tools: &'a Tools,
    trace: &'a Trace,
    again: Option<Instant>,
) -> Result<(Exchange<'a>, Call<RecvResponse>), Failure> {
    let (hop, prepared) = prepare(asking, site, tools, trace, again)?;
    // Apart, as bodies are: every check would have room for what is over before it waits.
    let channel = Box::pin(open_in_time(&hop)).await?;
    trace.enter(Phase::FirstByte);
    let mut exchange = Exchange::new(channel, trace, site.body_limit);
    exchange.write(&prepared.head).await?;
    let (sent, body) = prepared.sent()?;
    let call = match sent {
        SendRequestResult::RecvResponse(call) => call,
        SendRequestResult::SendBody(call) => Box::pin(exchange.send_body(call, body)).await?,
        SendRequestResult::Await100(call) => Box::pin(exchange.await_continue(call, body)).await?,
    };
    Ok((exchange, call))
}

/// All of a hop that can be done before it waits for anything.
fn prepare<'a>(
    asking: &Asking,
    site: &'a Site,
    tools: &'a Tools,
    trace: &'a Trace,
    again: Option<Instant>,
) -> Result<(Hop<'a>, Prepared), Failure> {
    let local = |text| Failure::new(Outcome::Local, text);
    let via = tools
        .proxies
        .in_front_of(site, &asking.url, &tools.secrets)
        .map_err(local)?;
    let (request, body) = asking
        .request(site, &tools.secrets, via.as_ref())
        .map_err(local)?;
    let hop = Hop {
        site,
        tools,
        trace,
        again,
        via,
        host: bare_host(request.uri()).to_owned(),
        port: port(request.uri()),
        secure: request.uri().scheme_str() == Some("https"),
    };
    let whole_url = (hop.via.is_some() && !hop.secure).then_some((hop.host.as_str(), hop.port));
    let prepared = Prepared::new(request, body, whole_url)?;
    Ok((hop, prepared))
}

async fn open_in_time<'a>(hop: &Hop<'a>) -> Result<Channel<'a>, Failure> {
    let Some(limit) = hop.site.timeouts.connect else {
        return open(hop).await;
    };
    match within(hop.trace, limit, pin!(open(hop))).await {
        Some(opened) => opened,
        None => Err(timed_out(hop.trace, hop.tools).await),
    }
}

/// Opens the connection of a hop: to the server, or through a proxy.
async fn open<'a>(hop: &Hop<'a>) -> Result<Channel<'a>, Failure> {
    let way = hop.way().await?;
    hop.trace.enter(Phase::Connect);
    let stream = connect(&way.peers, hop.site.request.source_address, hop.trace)
        .await
        .map_err(|error| match error {
            ConnectError::Local(_, why) => Failure::new(Outcome::Local, why),
            ConnectError::Failed(peer, error) => {
                Failure::of_io(hop.phase_of(&error), &peer.to_string(), &error)
            }
        })?;
    let mut wire = Wire::new(stream, hop.trace);
    if !hop.secure {
        return Ok(Channel::Plain(wire));
    }
    if let Some(via) = &hop.via {
        open_tunnel(&mut wire, via, &way.target, hop.port).await?;
    }
    hop.trace.enter(Phase::Tls);
    let tls = &hop.site.tls;
    let context = hop
        .tools
        .tls
        .get(tls)
        .map_err(|text| Failure::new(Outcome::Local, text))?;
    let stream = handshake(&context, tls, &hop.host, wire, hop.trace).await?;
    Ok(Channel::Tls(Box::new(stream)))
}

/// For each header that the site expects: whether it is there.
fn headers_met(site: &Site, tools: &Tools, headers: &http::HeaderMap) -> Vec<bool> {
    site.expect
        .headers
        .iter()
        .map(|(name, pattern)| {
            let compiled = tools.patterns.get(pattern);
            headers
                .get_all(name.as_str())
                .iter()
                .any(|value| matches(&compiled, value.as_bytes()))
        })
        .collect()
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
