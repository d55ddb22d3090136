//! One hop of one attempt: what resolver, connector and transport need to know, and the rules that
//! every connection obeys.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use sitewatch::event::Outcome;
use sitewatch::site::Site;
use ureq::Error;

use super::Tools;
use super::failure::Failure;
use super::interrupt::Interrupt;
use super::resolve::addresses;
use super::trace::{Phase, Trace};
use crate::proxy::Via;

/// One request to one server. ureq's parts must own what they use, hence the shared pointers.
pub(super) struct Hop {
    pub(super) site: Arc<Site>,
    pub(super) tools: Arc<Tools>,
    pub(super) trace: Arc<Trace>,
    pub(super) interrupt: Arc<Interrupt>,
    /// When the whole attempt must be over.
    pub(super) deadline: Instant,
    /// When the attempt began, if it is not the check's first.
    pub(super) again: Option<Instant>,
    /// The proxy in front of the server; `None`: spoken to directly.
    pub(super) via: Option<Via>,
    /// The address behind the proxy that was judged; not set: none had to be.
    pub(super) judged: OnceLock<Option<IpAddr>>,
    /// The URL's host, without brackets.
    pub(super) host: String,
    /// The URL's port.
    pub(super) port: u16,
    /// The longest line of the request's head.
    pub(super) line: usize,
    /// Whether the URL is https.
    pub(super) secure: bool,
}

impl Hop {
    /// The addresses and the port to connect to, all of them allowed.
    pub(super) fn peer(&self) -> Result<(Vec<IpAddr>, u16), Error> {
        let own = |host: &str| {
            let resolve = &self.site.request.resolve;
            resolve.get(&host.to_ascii_lowercase()).copied()
        };
        let Some(via) = &self.via else {
            let addresses = self.addresses(&self.host, own(&self.host))?;
            return Ok((self.allowed(addresses)?, self.port));
        };
        // A proxy would reach for us what we must not reach: the target is judged by the addresses
        // that its name has, whatever the site says it has. That is what a proxy would find as well.
        if !self.tools.deny.is_empty() {
            let target = self.allowed(self.addresses(&self.host, None)?)?;
            self.trace.skip();
            self.judged.set(target.first().copied()).ok();
        }
        // The operator's own proxy may well be in a private network, and is nowhere else than its
        // name says: its password goes there.
        let addresses = if via.trusted {
            self.addresses(&via.host, None)?
        } else {
            self.allowed(self.addresses(&via.host, own(&via.host))?)?
        };
        Ok((addresses, via.port))
    }

    /// What a proxy is to connect to: the address that was judged, if one had to be. The proxy's own
    /// look-up might find another.
    pub(super) fn target(&self) -> String {
        let judged = self.judged.get().copied().flatten();
        let host = judged.map_or_else(|| self.host.clone(), |address| address.to_string());
        if host.contains(':') {
            return format!("[{host}]");
        }
        host
    }

    fn addresses(&self, host: &str, overridden: Option<IpAddr>) -> Result<Vec<IpAddr>, Error> {
        let request = &self.site.request;
        let found = addresses(
            host,
            overridden,
            request.address_family,
            &self.tools.dns,
            self.deadline,
            self.again,
            &self.trace,
        );
        // A look-up that the end of the run cut says nothing of anybody.
        if found.is_err() && self.tools.dns.is_stopping() {
            self.interrupt.interrupt();
        }
        found
    }

    /// The addresses, if none of them is denied: which one a name with several would lead to next
    /// time is for whoever owns it to choose.
    fn allowed(&self, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, Error> {
        let denied = addresses
            .iter()
            .find(|address| self.tools.deny.denies(**address));
        if let Some(address) = denied {
            self.trace.fail(Failure::new(
                Outcome::Denied,
                format!("PROBE_DENY_NETWORKS forbids {address}: not checked"),
            ));
            return Err(Error::ConnectionFailed);
        }
        Ok(addresses)
    }

    /// Notes a timeout of the phase and gives ureq its error; `late`: the peer had done its part.
    pub(super) fn timed_out(&self, phase: Phase, late: bool) -> Error {
        self.trace.fail(Failure::timeout(phase, late));
        Error::Timeout(ureq::Timeout::Global)
    }
}
