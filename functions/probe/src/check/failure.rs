//! Why an attempt came to no answer.

use std::io;

use sitewatch::event::Outcome;

use super::trace::Phase;

/// Why an attempt came to no answer, in the terms of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) outcome: Outcome,
    /// For people; made safe to show when it becomes part of an event.
    pub(crate) text: String,
    /// The phase whose time was up; `None`: none.
    timeout: Option<Phase>,
}

impl Failure {
    pub(crate) fn new(outcome: Outcome, text: impl Into<String>) -> Self {
        Self {
            outcome,
            text: text.into(),
            timeout: None,
        }
    }

    /// An error of the system while talking to `whom` in a phase.
    pub(crate) fn of_io(phase: Phase, whom: &str, error: &io::Error) -> Self {
        if let Some(text) = local_cause(error) {
            return Self::new(Outcome::Local, text);
        }
        let outcome = match phase {
            Phase::Dns => Outcome::Dns,
            Phase::Connect => Outcome::Connect,
            Phase::Tls => Outcome::Tls,
            Phase::FirstByte | Phase::Body => Outcome::Protocol,
        };
        let what = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                "connection reset".to_owned()
            }
            io::ErrorKind::ConnectionAborted => "connection aborted".to_owned(),
            io::ErrorKind::HostUnreachable => "no route to the host".to_owned(),
            io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
            io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
            _ => error.to_string(),
        };
        let text = match phase {
            Phase::Dns => what,
            Phase::Connect => format!("{what} by {whom}"),
            Phase::Tls => format!("{what} during the TLS handshake"),
            Phase::FirstByte => format!("{what} before the response was complete"),
            Phase::Body => format!("{what} before the body was complete"),
        };
        let text = text
            .replace("no route to the host by", "no route to")
            .replace("network unreachable by", "network unreachable:");
        Self::new(outcome, text)
    }

    /// Whether an uplink of ours that is away would explain it: no byte of a response had come.
    pub(crate) fn is_explained_by_uplink(&self) -> bool {
        match self.outcome {
            Outcome::Dns | Outcome::Connect => true,
            Outcome::Timeout => self.timeout.is_some_and(|phase| phase != Phase::Body),
            _ => false,
        }
    }

    /// What is not HTTP in what a server said.
    pub(crate) fn of_http(error: &ureq_proto::Error) -> Self {
        let text = match error {
            // The limit is ureq-proto's.
            ureq_proto::Error::HttpParseTooManyHeaders => {
                "the response has more than 128 headers".to_owned()
            }
            error => format!("not a valid HTTP response: {error}"),
        };
        Self::new(Outcome::Protocol, text)
    }

    /// The time was up in a phase.
    pub(crate) fn timeout(phase: Phase) -> Self {
        let timeout = Self::new(
            Outcome::Timeout,
            match phase {
                Phase::Dns => "no answer from a name server in time",
                Phase::Connect => "no connection in time",
                Phase::Tls => "no end of the TLS handshake in time",
                Phase::FirstByte => "no response in time",
                Phase::Body => "the body was not complete in time",
            },
        );
        Self {
            timeout: Some(phase),
            ..timeout
        }
    }
}

/// What an error says about this machine rather than about the site.
pub(crate) fn local_cause(error: &io::Error) -> Option<String> {
    // From errno(3); the numbers are the kernel's, the same on every Linux we build for except the
    // last two, which `ErrorKind` covers.
    const EAFNOSUPPORT: i32 = 97;
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    match error.raw_os_error() {
        Some(EMFILE) => Some("no file descriptors left: raise `ulimit -n` or lower CHECK_CONCURRENCY".to_owned()),
        Some(ENFILE) => Some("the system has no file descriptors left".to_owned()),
        Some(EAFNOSUPPORT) => Some("this machine does not speak this address's protocol (IPv4 or IPv6)".to_owned()),
        Some(ENOMEM | ENOBUFS) => Some(format!("no memory left: {error}")),
        _ => match error.kind() {
            io::ErrorKind::AddrNotAvailable => Some(
                "no local address or port for the connection: see source_address, or check fewer sites at once"
                    .to_owned(),
            ),
            io::ErrorKind::AddrInUse => Some("no free local port for the connection".to_owned()),
            io::ErrorKind::PermissionDenied => Some(format!("this machine forbids the connection: {error}")),
            io::ErrorKind::OutOfMemory => Some("no memory left".to_owned()),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_lack_is_not_the_sites_fault() {
        for errno in [12, 23, 24, 105] {
            let failure = Failure::of_io(
                Phase::Connect,
                "192.0.2.1:80",
                &io::Error::from_raw_os_error(errno),
            );
            assert_eq!(failure.outcome, Outcome::Local, "{errno}");
        }
    }

    #[test]
    fn texts_name_the_phase() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(
            Failure::of_io(Phase::Connect, "192.0.2.1:80", &refused).text,
            "connection refused by 192.0.2.1:80"
        );
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(
            Failure::of_io(Phase::Tls, "", &reset),
            Failure::new(Outcome::Tls, "connection reset during the TLS handshake")
        );
        assert_eq!(
            Failure::of_io(Phase::Body, "", &reset).outcome,
            Outcome::Protocol
        );
    }
}
