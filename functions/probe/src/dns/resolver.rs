//! The resolver, its thread, and what it is asked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{Name as Root, RecordType};
use sitewatch::site::AddressFamily;
use tokio::runtime::Handle;

use super::{ALIVE, Found, MIN_TTL, UNANSWERED};
use crate::check::local_cause;

/// How long to wait for IPv6 once IPv4 has answered (RFC 8305, section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// How long to wait for IPv4 once IPv6 has answered: who has IPv4 alone, as most containers, can
/// do nothing without.
const LATE_V4: Duration = Duration::from_secs(2);
/// How long a name that does not exist is believed not to exist, within a run.
const NEGATIVE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Service {
    pub(super) runtime: Handle,
    pub(super) resolver: Arc<TokioResolver>,
}

/// Starts the resolver of this machine.
pub(super) fn start() -> Result<Service, String> {
    serve(|| {
        TokioResolver::builder_tokio()
            .map_err(|error| {
                let why = error.to_string();
                let why = why.strip_prefix("io error: ").unwrap_or(&why);
                format!("/etc/resolv.conf cannot be used: {why}")
            })?
            .build()
            .map_err(|error| format!("the resolver cannot be started: {error}"))
    })
}

/// Serves a resolver from a thread of its own: it outlives the threads of checks.
pub(super) fn serve(
    resolver: impl FnOnce() -> Result<TokioResolver, String>,
) -> Result<Service, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the resolver cannot be started: {error}"))?;
    let handle = runtime.handle().clone();
    let entered = runtime.enter();
    let resolver = resolver();
    drop(entered);
    let resolver = match resolver {
        Ok(resolver) => resolver,
        Err(why) => {
            // A runtime may not wait for its end on a thread of another.
            runtime.shutdown_background();
            return Err(why);
        }
    };
    // Ends with the process: it holds nothing that must be put in order.
    std::thread::Builder::new()
        .name("dns".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))
        .map_err(|error| format!("the resolver cannot be started: {error}"))?;
    Ok(Service {
        runtime: handle,
        resolver: Arc::new(resolver),
    })
}

/// What every name server knows, the root: [`Found::Nothing`] means that one answers.
pub(super) async fn ask_for_root(resolver: &TokioResolver) -> (Found, Duration) {
    // What is remembered of an earlier answer says nothing of now.
    resolver.clear_lookup_cache(Root::root(), RecordType::NS);
    let asked = resolver.lookup(Root::root(), RecordType::NS);
    match tokio::time::timeout(ALIVE, asked).await {
        Ok(Err(error)) if is_silence(&error) => (Found::Silence("".into()), UNANSWERED),
        Ok(_) => (Found::Nothing("".into()), MIN_TTL),
        Err(_) => (Found::Silence("".into()), UNANSWERED),
    }
}

type Looked = Result<(Vec<IpAddr>, Instant), NetError>;

/// The addresses of a name, and for how long they may be believed.
pub(super) async fn resolve(
    resolver: &TokioResolver,
    host: &str,
    family: AddressFamily,
) -> (Found, Duration) {
    let v4 = look_up(resolver, host, RecordType::A);
    let v6 = look_up(resolver, host, RecordType::AAAA);
    let (v6, v4) = match family {
        AddressFamily::V4 => (None, Some(v4.await)),
        AddressFamily::V6 => (Some(v6.await), None),
        AddressFamily::Any => {
            tokio::pin!(v4, v6);
            tokio::select! {
                first = &mut v6 => match first {
                    Ok(_) => (Some(first), tokio::time::timeout(LATE_V4, v4).await.ok()),
                    Err(_) => (Some(first), Some(v4.await)),
                },
                first = &mut v4 => match first {
                    Ok(_) => (tokio::time::timeout(RESOLUTION_DELAY, v6).await.ok(), Some(first)),
                    Err(_) => (Some(v6.await), Some(first)),
                },
            }
        }
    };
    let half = family == AddressFamily::Any && (v6.is_none() || v4.is_none());
    let (found, good_for) = together(v6, v4);
    // The next check asks again for the family that was late.
    (found, if half { MIN_TTL } else { good_for })
}

async fn look_up(resolver: &TokioResolver, host: &str, record: RecordType) -> Looked {
    let found = resolver.lookup(host, record).await?;
    let good_until = found.valid_until();
    let addresses = found
        .answers()
        .iter()
        .filter_map(|record| record.data.ip_addr())
        .collect();
    Ok((addresses, good_until))
}

fn together(v6: Option<Looked>, v4: Option<Looked>) -> (Found, Duration) {
    let mut addresses = Vec::new();
    let mut good_until: Option<Instant> = None;
    let mut nothing = None;
    for looked in [v6, v4].into_iter().flatten() {
        match looked {
            Ok((some, until)) => {
                addresses.extend(some);
                good_until = Some(good_until.map_or(until, |other| other.min(until)));
            }
            // Not having one family is no error; a server that does not answer is the better reason.
            Err(why) if why.is_no_records_found() || why.is_nx_domain() => {
                nothing.get_or_insert((no_address(), NEGATIVE));
            }
            Err(why) => nothing = Some((no_answer(&why), UNANSWERED)),
        }
    }
    if addresses.is_empty() {
        return nothing.unwrap_or_else(|| (no_address(), NEGATIVE));
    }
    let good_for = good_until.map_or(MIN_TTL, |until| {
        until.saturating_duration_since(Instant::now())
    });
    (Found::Addresses(addresses.into()), good_for)
}

fn no_address() -> Found {
    Found::Nothing("the host has no address".into())
}

fn no_answer(why: &NetError) -> Found {
    let text = format!("no name server could answer: {why}").into();
    match why {
        NetError::Io(error) => match local_cause(error) {
            Some(cause) => {
                Found::NotAsked(format!("no name server could be asked: {cause}").into())
            }
            None => Found::Silence(text),
        },
        why if is_silence(why) => Found::Silence(text),
        // One that refuses or fails for this name does answer.
        _ => Found::Nothing(text),
    }
}

/// Whether an error means that no name server answered anything.
fn is_silence(why: &NetError) -> bool {
    matches!(
        why,
        NetError::Io(_) | NetError::Timeout | NetError::NoConnections | NetError::Busy
    )
}
