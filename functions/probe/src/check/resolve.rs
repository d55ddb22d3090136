//! The addresses of a host: overrides, addresses as hosts, then DNS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use sitewatch::event::Outcome;
use sitewatch::site::AddressFamily;
use ureq_proto::http::Uri;

use super::failure::Failure;
use super::trace::{Phase, Trace};
use crate::dns::{Dns, Found};

/// Finds the addresses of a host in the order in which they should be tried; never empty.
pub(super) async fn addresses(
    host: &str,
    overridden: Option<IpAddr>,
    family: AddressFamily,
    dns: &Dns,
    again: Option<Instant>,
    trace: &Trace,
) -> Result<Vec<IpAddr>, Failure> {
    let all: Vec<IpAddr> = if let Some(address) = overridden.or_else(|| host.parse().ok()) {
        vec![address]
    } else if is_localhost(host) {
        // RFC 6761: never a question for a name server.
        vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]
    } else {
        trace.enter(Phase::Dns);
        let answer = dns.look_up(host, family, again).await;
        match answer.took {
            Some(took) => trace.took(took),
            // Another check made it, which says what it took.
            None => trace.leave_out(),
        }
        match answer.found {
            Found::Addresses(addresses) => addresses.to_vec(),
            Found::Nothing(why) => return Err(Failure::new(Outcome::Dns, &*why)),
            Found::NotAsked(why) => return Err(Failure::new(Outcome::Local, &*why)),
            Found::Silence(why) if dns.answers().await => {
                return Err(Failure::new(Outcome::Dns, &*why));
            }
            Found::Silence(_) => return Err(no_server_answers()),
        }
    };
    let wanted = in_order(all, family);
    if wanted.is_empty() {
        let family = if family == AddressFamily::V4 {
            "IPv4"
        } else {
            "IPv6"
        };
        return Err(Failure::new(
            Outcome::Dns,
            format!("the host has no {family} address"),
        ));
    }
    Ok(wanted)
}

/// No answer to a look-up in time: whose fault it is takes a moment more.
pub(super) async fn unanswered(dns: &Dns) -> Failure {
    if dns.answers().await {
        Failure::timeout(Phase::Dns)
    } else {
        no_server_answers()
    }
}

fn no_server_answers() -> Failure {
    Failure::new(
        Outcome::Local,
        "no name server answers this machine, whatever it is asked for",
    )
}

fn is_localhost(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost")
}

/// IPv6 and IPv4 in turn, IPv6 first (RFC 8305, section 4).
fn in_order(addresses: Vec<IpAddr>, family: AddressFamily) -> Vec<IpAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    match family {
        AddressFamily::V4 => v4,
        AddressFamily::V6 => v6,
        AddressFamily::Any => {
            let mut ordered = Vec::with_capacity(v6.len() + v4.len());
            let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
            loop {
                let before = ordered.len();
                ordered.extend(v6.next());
                ordered.extend(v4.next());
                if ordered.len() == before {
                    return ordered;
                }
            }
        }
    }
}

/// The host without the brackets of an IPv6 address.
pub(super) fn bare_host(uri: &Uri) -> &str {
    uri.host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']')
}

/// The host as a URL has it: an IPv6 address in brackets.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

pub(super) fn port(uri: &Uri) -> u16 {
    uri.port_u16()
        .unwrap_or(if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let all: Vec<IpAddr> = ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
            .map(|text| text.parse().unwrap())
            .into();
        let text = |family| {
            in_order(all.clone(), family)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(text(AddressFamily::Any), "2001:db8::1 192.0.2.1 192.0.2.2");
        assert_eq!(text(AddressFamily::V4), "192.0.2.1 192.0.2.2");
        assert_eq!(text(AddressFamily::V6), "2001:db8::1");
    }

    #[test]
    fn hosts_lose_their_brackets_and_find_their_ports() {
        let uri: Uri = "https://[2001:db8::1]/".parse().unwrap();
        assert_eq!((bare_host(&uri), port(&uri)), ("2001:db8::1", 443));
        assert_eq!(port(&"http://a.example:8080/".parse().unwrap()), 8080);
        assert!(
            is_localhost("LocalHost")
                && is_localhost("a.localhost")
                && !is_localhost("localhost.example")
        );
    }
}
