//! One hop of one attempt: what resolver, connector and transport need to know, and the rules that
//! every connection obeys.

use std::net::IpAddr;
use std::sync::Arc;
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
    /// The URL's host, without brackets.
    pub(super) host: String,
    /// The URL's port.
    pub(super) port: u16,
    /// Whether the URL is https.
    pub(super) secure: bool,
}

impl Hop {
    /// The addresses and the port to connect to, with what must not be reached left out.
    pub(super) fn peer(&self) -> Result<(Vec<IpAddr>, u16), Error> {
        let Some(via) = &self.via else {
            return Ok((self.allowed(self.addresses(&self.host)?)?, self.port));
        };
        // A proxy would reach for us what we must not reach: the target is judged by the addresses
        // it has from here. The operator's own proxy may well be in a private network.
        if !self.tools.deny.is_empty() {
            self.allowed(self.addresses(&self.host)?)?;
            self.trace.skip();
        }
        let addresses = self.addresses(&via.host)?;
        let addresses = if via.trusted {
            addresses
        } else {
            self.allowed(addresses)?
        };
        Ok((addresses, via.port))
    }

    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        let request = &self.site.request;
        let found = addresses(
            host,
            request.resolve.get(&host.to_ascii_lowercase()).copied(),
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

    fn allowed(&self, mut addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, Error> {
        let first = addresses.first().copied();
        addresses.retain(|address| !self.tools.deny.denies(*address));
        match (addresses.is_empty(), first) {
            (true, Some(address)) => {
                self.trace.fail(Failure::new(
                    Outcome::Denied,
                    format!("PROBE_DENY_NETWORKS forbids {address}: not checked"),
                ));
                Err(Error::ConnectionFailed)
            }
            _ => Ok(addresses),
        }
    }

    /// Notes a timeout of the phase and gives ureq its error; `late`: the peer had done its part.
    pub(super) fn timed_out(&self, phase: Phase, late: bool) -> Error {
        self.trace.fail(Failure::timeout(phase, late));
        Error::Timeout(ureq::Timeout::Global)
    }
}
