//! Networks that must not be reached: `PROBE_DENY_NETWORKS`, `NOTIFY_DENY_NETWORKS`.
//!
//! Addresses may be written by people who are not trusted, and a host name may change its address
//! between two look-ups; so the address itself is judged, just before connecting. A name with several
//! addresses is judged by all of them: which one it leads to next time is for its owner to choose.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Networks that must not be reached; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DenyNetworks(Vec<IpNet>);

/// The word for all of [`GROUPS`]: what the registries of special addresses do not call globally
/// reachable, and what is reachable from some networks only.
const NON_PUBLIC: &str = "non-public";

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
            "fd20:ce::254/128",
            "fd00:c1::a9fe:a9fe/128",
        ],
    ),
    (
        "special",
        &[
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            // What is translated to IPv4: wholly (SIIT), and by networks of their own (NAT64).
            "::ffff:0:0:0/96",
            "64:ff9b:1::/48",
            "100::/64",
            "100:0:0:1::/64",
            // Protocols' own: Teredo (2001::/32), ORCHIDv2 (2001:20::/28) and their neighbours.
            "2001::/23",
            "2001:db8::/32",
            "3fff::/20",
            "5f00::/16",
            "ff00::/8",
        ],
    ),
];

impl DenyNetworks {
    /// Reads names of groups and CIDRs separated by commas or spaces.
    ///
    /// # Errors
    /// Which part is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut networks = Vec::new();
        for part in text
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|part| !part.is_empty())
        {
            let all = NON_PUBLIC.eq_ignore_ascii_case(part);
            let mut groups = GROUPS
                .iter()
                .filter(|(name, _)| all || name.eq_ignore_ascii_case(part))
                .flat_map(|(_, group)| *group)
                .peekable();
            if groups.peek().is_none() {
                networks.push(parse_network(part)?);
            }
            for network in groups {
                networks.push(parse_network(network)?);
            }
        }
        Ok(Self(networks))
    }

    /// The first of these addresses that must not be reached; `None`: all may be.
    pub fn denied(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Option<IpAddr> {
        addresses.into_iter().find(|address| self.denies(*address))
    }

    fn denies(&self, address: IpAddr) -> bool {
        if self.0.is_empty() {
            return false;
        }
        self.contains(address)
            || embedded(address)
                .into_iter()
                .flatten()
                .any(|inner| self.contains(inner.into()))
    }

    /// Whether no address is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{text:?} is none of these"))
}

/// The IPv4 addresses that an IPv6 address leads to: mapped, compatible, translated (SIIT), NAT64,
/// 6to4, and of Teredo the server's and the client's.
fn embedded(address: IpAddr) -> [Option<Ipv4Addr>; 2] {
    let IpAddr::V6(v6) = address else {
        return [None, None];
    };
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => [v4(high, low), None],
        [0, 0, 0, 0, 0, 0, high, low]
            if v6 != Ipv6Addr::LOCALHOST && v6 != Ipv6Addr::UNSPECIFIED =>
        {
            [v4(high, low), None]
        }
        // The client's is sent inverted (RFC 4380, section 4).
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            [v4(server_high, server_low), v4(!high, !low)]
        }
        _ => [None, None],
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
    fn non_public_is_all_of_them() {
        let deny = DenyNetworks::parse("non-public").unwrap();
        for (_, group) in GROUPS {
            for network in *group {
                let network: IpNet = network.parse().unwrap();
                assert!(deny.denies(network.addr()), "{network}");
            }
        }
        for address in [
            "168.63.129.16",
            "192.88.99.1",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001:20::1",
            "::ffff:0:a00:1",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::",
            // Teredo, of a server or a client that is not public.
            "2001:0:a00:1::",
            "2001:0:808:808:0:0:f5ff:fffe",
        ] {
            assert!(deny.denies(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert!(!deny.denies(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn teredo_is_judged_by_what_it_embeds() {
        let deny = DenyNetworks::parse("10.0.0.0/8").unwrap();
        for (address, denied) in [
            ("2001:0:a00:1::", true),
            ("2001:0:808:808:0:0:f5ff:fffe", true),
            ("2001:0:808:808:0:0:f7f7:f7f7", false),
            ("::ffff:0:a00:1", true),
        ] {
            assert_eq!(deny.denies(address.parse().unwrap()), denied, "{address}");
        }
    }

    #[test]
    fn nothing_is_denied_unless_asked_for() {
        assert!(!DenyNetworks::default().denies("127.0.0.1".parse().unwrap()));
        let error = DenyNetworks::parse("private, privat").unwrap_err();
        assert_eq!(error, "\"privat\" is none of these");
    }
}
