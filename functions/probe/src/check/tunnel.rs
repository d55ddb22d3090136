//! `CONNECT`: a way through a proxy to a server that is spoken to with TLS.

use std::io;

use sitewatch::event::Outcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::failure::Failure;
use super::wire::Wire;
use crate::proxy::Via;

/// A proxy's answer is a line and a few headers.
const MAX_HEAD: usize = 16 * 1024;

/// Asks the proxy for a way to `host:port`; an IPv6 address comes in brackets.
pub(super) async fn open_tunnel(
    wire: &mut Wire<'_>,
    via: &Via,
    host: &str,
    port: u16,
) -> Result<(), Failure> {
    let authorization = via
        .authorization
        .as_ref()
        .map(|value| format!("Proxy-Authorization: {value}\r\n"))
        .unwrap_or_default();
    let request =
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization}\r\n");
    wire.write_all(request.as_bytes())
        .await
        .map_err(|error| failed(&error))?;
    let head = read_head(wire).await?;
    let status = head
        .split(|byte| *byte == b' ')
        .nth(1)
        .and_then(|status| std::str::from_utf8(status).ok())
        .and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(status) => Err(tunnel_error(format!(
            "the proxy answered {status} to CONNECT"
        ))),
        None => Err(tunnel_error("the proxy's answer to CONNECT is not HTTP")),
    }
}

/// The proxy's answer; what follows it is the server's and is read again.
async fn read_head(wire: &mut Wire<'_>) -> Result<Vec<u8>, Failure> {
    const END: &[u8] = b"\r\n\r\n";
    let mut head = Vec::with_capacity(1_024);
    loop {
        if let Some(at) = memchr::memmem::find(&head, END) {
            wire.unread(head.split_off(at + END.len()));
            return Ok(head);
        }
        if head.len() > MAX_HEAD {
            return Err(tunnel_error("the proxy's answer to CONNECT has no end"));
        }
        match wire.read_buf(&mut head).await {
            Ok(0) => return Err(failed(&io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
}

fn failed(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => tunnel_error("the proxy closed the connection"),
        _ => tunnel_error(format!("the proxy failed: {error}")),
    }
}

fn tunnel_error(text: impl Into<String>) -> Failure {
    Failure::new(Outcome::Connect, text)
}
