//! Why a peer cannot be reached, as far as this machine's own routes and neighbours tell.
//!
//! `connect` reports the same errors for a missing route of ours, for a gateway of ours that is
//! gone and for a router far away that knows no path. The kernel's routing tables tell them apart.
//! They are asked through rtnetlink(7), and only after a connection has failed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

// The numbers of linux/netlink.h, linux/rtnetlink.h and linux/neighbour.h.
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
/// Attributes: the destination of a route or the address of a neighbour, the interface, the gateway.
const DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
/// States of a neighbour that has been asked for its hardware address and has not answered.
const NUD_INCOMPLETE: u16 = 0x01;
const NUD_FAILED: u16 = 0x20;
/// The lengths of nlmsghdr, and of rtmsg and ndmsg, which are the same.
const HEADER: usize = 16;
const BODY: usize = 12;

/// What on this machine or next to it keeps `address` from being reached; `None`: nothing, or it
/// cannot be told.
///
/// A host on a network of ours that does not answer is no obstacle: then the site itself is gone.
pub(super) fn obstacle(address: IpAddr) -> Option<String> {
    let route = match ask(RTM_GETROUTE, address, 0)? {
        Reply::Refused => return Some(format!("this machine has no route to {address}")),
        Reply::Found(kind, route) if kind == RTM_NEWROUTE => route,
        Reply::Found(..) => return None,
    };
    let gateway = ip(attribute(&route, RTA_GATEWAY)?)?;
    let interface = attribute(&route, RTA_OIF)?.try_into().ok();
    let interface = u32::from_ne_bytes(interface?);
    match ask(RTM_GETNEIGH, gateway, interface)? {
        Reply::Found(kind, neighbour) if kind == RTM_NEWNEIGH => {
            let state = neighbour.get(8..10)?.try_into().ok()?;
            let state = u16::from_ne_bytes(state);
            (state & (NUD_INCOMPLETE | NUD_FAILED) != 0)
                .then(|| format!("the gateway {gateway} does not answer this machine"))
        }
        _ => None,
    }
}

enum Reply {
    /// There is nothing of the kind.
    Refused,
    /// The type of the message, and what follows its header.
    Found(u16, Vec<u8>),
}

/// Asks for the route to an address, or for the neighbour with that address on an interface.
fn ask(kind: u16, address: IpAddr, interface: u32) -> Option<Reply> {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let family = match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let length = HEADER + BODY + 4 + octets.len();
    let mut message = Vec::with_capacity(length);
    message.extend(u32::try_from(length).ok()?.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and port: there is one answer on this socket.
    message.extend([0; 8]);
    let mut body = [0; BODY];
    *body.first_mut()? = u8::try_from(family.as_raw()).ok()?;
    if kind == RTM_GETROUTE {
        *body.get_mut(1)? = u8::try_from(octets.len() * 8).ok()?;
    } else {
        body.get_mut(4..8)?
            .copy_from_slice(&interface.to_ne_bytes());
    }
    message.extend(body);
    message.extend(u16::try_from(4 + octets.len()).ok()?.to_ne_bytes());
    message.extend(DST.to_ne_bytes());
    message.extend(octets);
    reply(&exchange(&message).ok()?)
}

fn exchange(message: &[u8]) -> Result<Vec<u8>, Errno> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, message, SendFlags::empty(), &kernel)?;
    let mut answer = vec![0; 4096];
    // The kernel has answered by now: without a dump it does so before `sendto` returns.
    let (length, _) = recv(&socket, &mut answer[..], RecvFlags::DONTWAIT)?;
    answer.truncate(length);
    Ok(answer)
}

fn reply(answer: &[u8]) -> Option<Reply> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let rest = answer.get(HEADER..)?;
    if kind != NLMSG_ERROR {
        return Some(Reply::Found(kind, rest.to_vec()));
    }
    let errno = i32::from_ne_bytes(rest.get(..4)?.try_into().ok()?);
    let errno = Errno::from_raw_os_error(errno.checked_neg()?);
    // No route, and routes that say "unreachable", "prohibit" and "blackhole".
    let refusals = [
        Errno::NETUNREACH,
        Errno::HOSTUNREACH,
        Errno::NETDOWN,
        Errno::ACCESS,
        Errno::INVAL,
    ];
    refusals.contains(&errno).then_some(Reply::Refused)
}

/// The value of an attribute behind the fixed part of a message.
fn attribute(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = message.get(BODY..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        if kind == wanted {
            return rest.get(4..length);
        }
        // Attributes begin at multiples of four bytes.
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets)
        .map(|octets| Ipv4Addr::from(octets).into())
        .or_else(|_| <[u8; 16]>::try_from(octets).map(|octets| Ipv6Addr::from(octets).into()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_way_to_itself() {
        assert_eq!(obstacle([127, 0, 0, 1].into()), None);
    }

    #[test]
    fn attributes_are_found_behind_others() {
        let mut message = vec![0; BODY];
        message.extend(5_u16.to_ne_bytes());
        message.extend(9_u16.to_ne_bytes());
        message.extend([7, 0, 0, 0]);
        message.extend(8_u16.to_ne_bytes());
        message.extend(RTA_GATEWAY.to_ne_bytes());
        message.extend([192, 0, 2, 1]);
        let gateway = attribute(&message, RTA_GATEWAY).and_then(ip);
        assert_eq!(gateway, Some([192, 0, 2, 1].into()));
        assert_eq!(attribute(&message, RTA_OIF), None);
    }
}
