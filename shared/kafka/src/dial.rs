//! Connecting to a broker ourselves, within a time limit.

use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The least that a step may take, so that an overrun deadline does not become no limit at all.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

/// Connects to the first of the broker's addresses that answers.
pub(super) fn connect(broker: &str, until: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in broker.to_socket_addrs()? {
        let left = until
            .saturating_duration_since(Instant::now())
            .max(MIN_TIMEOUT);
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                let left = until
                    .saturating_duration_since(Instant::now())
                    .max(MIN_TIMEOUT);
                stream.set_read_timeout(Some(left))?;
                stream.set_write_timeout(Some(left))?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The name in `host:port`, without the brackets of an IPv6 address.
pub(super) fn host(broker: &str) -> &str {
    let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_a_certificate_would_name() {
        assert_eq!(host("kafka.example.com:9092"), "kafka.example.com");
        assert_eq!(host("[::1]:9092"), "::1");
    }
}
