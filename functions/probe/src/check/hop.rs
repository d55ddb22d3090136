//! One hop of one attempt: whom it connects to, and the rules that every connection obeys.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sitewatch::event::Outcome;
use sitewatch::site::Site;

use super::Tools;
use super::failure::Failure;
use super::resolve::{addresses, bracketed};
use super::trace::{Phase, Trace};
use crate::proxy::Via;

/// Addresses tried of a host: enough for any service that is served from several places.
const MAX_ADDRESSES: usize = 8;

/// One request to one server.
pub(super) struct Hop<'a> {
    pub(super) site: &'a Site,
    pub(super) tools: &'a Tools,
    pub(super) trace: &'a Trace,
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

/// Where a hop connects to.
pub(super) struct Way {
    /// In the order in which they should be tried; never empty.
    pub(super) peers: Vec<SocketAddr>,
    /// What a proxy is to connect to, an IPv6 address in brackets: the address that was judged, if
    /// one had to be, since the proxy's own look-up might find another.
    pub(super) target: String,
}

impl Hop<'_> {
    /// The way to the server, on which every address is allowed.
    pub(super) async fn way(&self) -> Result<Way, Failure> {
        let (addresses, port, judged) = self.peer().await?;
        let peers = addresses.into_iter().take(MAX_ADDRESSES);
        let target = judged.map_or_else(|| self.host.clone(), |address| address.to_string());
        Ok(Way {
            peers: peers
                .map(|address| SocketAddr::new(address, port))
                .collect(),
            target: bracketed(&target),
        })
    }

    /// Addresses and port to connect to, and the address behind a proxy, if that had to be judged.
    async fn peer(&self) -> Result<(Vec<IpAddr>, u16, Option<IpAddr>), Failure> {
        let own = |host: &str| {
            let resolve = &self.site.request.resolve;
            resolve.get(&host.to_ascii_lowercase()).copied()
        };
        let Some(via) = &self.via else {
            let addresses = self.addresses(&self.host, own(&self.host)).await?;
            return Ok((self.allowed(addresses)?, self.port, None));
        };
        // A proxy would reach for us what we must not reach: the target is judged by the addresses
        // that its name has, whatever the site says it has. That is what a proxy would find as well.
        let mut judged = None;
        if !self.tools.deny.is_empty() {
            let target = self.allowed(self.addresses(&self.host, None).await?)?;
            judged = target.first().copied();
        }
        // The operator's own proxy may well be in a private network, and is nowhere else than its
        // name says: its password goes there.
        let addresses = if via.trusted {
            self.addresses(&via.host, None).await?
        } else {
            self.allowed(self.addresses(&via.host, own(&via.host)).await?)?
        };
        Ok((addresses, via.port, judged))
    }

    async fn addresses(
        &self,
        host: &str,
        overridden: Option<IpAddr>,
    ) -> Result<Vec<IpAddr>, Failure> {
        let request = &self.site.request;
        addresses(
            host,
            overridden,
            request.address_family,
            &self.tools.dns,
            self.again,
            self.trace,
        )
        .await
    }

    /// The phase in which an error of connecting happened. A server that refuses does so at once;
    /// one that resets had let us in, and we may learn of both in the same moment.
    pub(super) fn phase_of(&self, error: &io::Error) -> Phase {
        match error.kind() {
            io::ErrorKind::ConnectionReset if !self.secure => Phase::FirstByte,
            io::ErrorKind::ConnectionReset if self.via.is_none() => Phase::Tls,
            _ => Phase::Connect,
        }
    }

    /// The addresses, if none of them is denied.
    fn allowed(&self, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, Failure> {
        if let Some(address) = self.tools.deny.denied(addresses.iter().copied()) {
            return Err(Failure::new(
                Outcome::Denied,
                format!("PROBE_DENY_NETWORKS forbids {address}: not checked"),
            ));
        }
        Ok(addresses)
    }
}
