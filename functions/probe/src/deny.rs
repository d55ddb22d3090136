//! Networks that checks must not reach: `PROBE_DENY_NETWORKS`.
//!
//! A site list may come from people who are not trusted, and a host name may change its address
//! between two look-ups; so the address itself is judged, just before connecting, on every hop.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// Networks that must not be reached; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DenyNetworks(Vec<IpNet>);

/// Groups by name, from the registries of special addresses (RFC 6890 and its successors).
const GROUPS: &[(&str, &[&str])] = &[
    (
        "loopback",
        &["127.0.0.0/8", "::1/128", "0.0.0.0/8", "::/128"],
    ),
    (
        "private",
        &[
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "fc00::/7",
            "fec0::/10",
        ],
    ),
    ("link-local", &["169.254.0.0/16", "fe80::/10"]),
    // Where clouds tell a machine its secrets. Most lie in link-local; these do not.
    (
        "metadata",
        &[
            "169.254.169.254/32",
            "100.100.100.200/32",
            "192.0.0.192/32",
            "168.63.129.16/32",
            "fd00:ec2::254/128",
        ],
    ),
    (
        "special",
        &[
            "192.0.0.0/24",
            "192.0.2.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "ff00::/8",
            "2001:db8::/32",
        ],
    ),
];

impl DenyNetworks {
    /// Reads names of groups and CIDRs separated by commas or spaces.
    ///
    /// # Errors
    /// Which part is neither.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut networks = Vec::new();
        for part in text
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|part| !part.is_empty())
        {
            if let Some((_, group)) = GROUPS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(part))
            {
                for network in *group {
                    networks.push(parse_network(network)?);
                }
            } else {
                networks.push(parse_network(part)?);
            }
        }
        Ok(Self(networks))
    }

    /// Whether an address must not be reached.
    pub(crate) fn denies(&self, address: IpAddr) -> bool {
        if self.0.is_empty() {
            return false;
        }
        self.contains(address) || embedded(address).is_some_and(|inner| self.contains(inner))
    }

    /// Whether any address is denied at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| {
            let groups: Vec<_> = GROUPS.iter().map(|(name, _)| *name).collect();
            format!(
                "{text:?} is neither a network such as 10.0.0.0/8 nor one of {}",
                groups.join(", ")
            )
        })
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, NAT64 and 6to4.
fn embedded(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = address else {
        return None;
    };
    let s = v6.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Some(IpAddr::from([a, b, c, d]))
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low]
            if v6 != Ipv6Addr::LOCALHOST && v6 != Ipv6Addr::UNSPECIFIED =>
        {
            v4(high, low)
        }
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_networks_and_addresses() {
        let deny =
            DenyNetworks::parse("loopback, private link-local,metadata 203.0.113.7,2001:db8::/32")
                .unwrap();
        for address in [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "fe80::1",
            "fd00::1",
            "203.0.113.7",
            "2001:db8::1",
            "100.64.0.1",
            "0.0.0.0",
            "::ffff:10.0.0.1",
            "::ffff:7f00:1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "::127.0.0.1",
        ] {
            assert!(deny.denies(address.parse().unwrap()), "{address}");
        }
        for address in [
            "192.0.2.1",
            "203.0.113.8",
            "172.32.0.1",
            "2606:4700::1",
            "::ffff:192.0.2.1",
        ] {
            assert!(!deny.denies(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn nothing_is_denied_unless_asked_for() {
        assert!(!DenyNetworks::default().denies("127.0.0.1".parse().unwrap()));
        assert!(
            DenyNetworks::parse("privat")
                .unwrap_err()
                .contains("neither a network")
        );
    }
}
