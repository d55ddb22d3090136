//! `CONNECT`: a way through a proxy to a server that is spoken to with TLS.

use std::io::{self, Read, Write};

use super::stream::Timed;
use crate::proxy::Via;

/// A proxy's answer is a line and a few headers.
const MAX_HEAD: usize = 16 * 1024;

/// Why the proxy does not let us through.
pub(super) enum Untunnelled {
    /// The time was up.
    Timeout,
    /// Anything else, for people.
    Failed(String),
}

/// Asks the proxy for a way to `host:port`; an IPv6 address comes in brackets.
pub(super) fn open_tunnel(
    stream: &mut Timed,
    via: &Via,
    host: &str,
    port: u16,
) -> Result<(), Untunnelled> {
    let authorization = via
        .authorization
        .as_ref()
        .map(|value| format!("Proxy-Authorization: {value}\r\n"))
        .unwrap_or_default();
    let request =
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization}\r\n");
    stream
        .write_all(request.as_bytes())
        .map_err(|error| untunnelled(&error))?;
    let head = read_head(stream)?;
    let status = head
        .split(|byte| *byte == b' ')
        .nth(1)
        .and_then(|status| std::str::from_utf8(status).ok())
        .and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(status) => Err(Untunnelled::Failed(format!(
            "the proxy answered {status} to CONNECT"
        ))),
        None => Err(Untunnelled::Failed(
            "the proxy's answer to CONNECT is not HTTP".to_owned(),
        )),
    }
}

/// Byte by byte: what follows the head is the server's and must stay in the socket.
fn read_head(stream: &mut Timed) -> Result<Vec<u8>, Untunnelled> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(0) => return Err(untunnelled(&io::ErrorKind::UnexpectedEof.into())),
            Ok(_) if head.len() < MAX_HEAD => head.extend(byte),
            Ok(_) => {
                return Err(Untunnelled::Failed(
                    "the proxy's answer to CONNECT has no end".to_owned(),
                ));
            }
            Err(error) => return Err(untunnelled(&error)),
        }
    }
    Ok(head)
}

fn untunnelled(error: &io::Error) -> Untunnelled {
    match error.kind() {
        io::ErrorKind::TimedOut => Untunnelled::Timeout,
        io::ErrorKind::UnexpectedEof => {
            Untunnelled::Failed("the proxy closed the connection".to_owned())
        }
        _ => Untunnelled::Failed(format!("the proxy failed: {error}")),
    }
}
