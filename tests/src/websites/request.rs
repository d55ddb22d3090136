//! A request as a website read it.

use std::io::{self, BufRead, Read};

/// No client of ours sends more; whoever does is not listened to.
const MAX_HEAD: u64 = 64 * 1024;
const MAX_BODY: u64 = 1024 * 1024;

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD`, ….
    pub method: String,
    /// The path and query, as they were sent.
    pub target: String,
    /// The headers in order, names as they were sent.
    pub headers: Vec<(String, String)>,
    /// The body, when a `Content-Length` announced one.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Reads one request; nothing when the client has closed the connection before it was whole.
    pub(super) fn read(stream: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = stream.by_ref().take(MAX_HEAD);
        let first = line(&mut head)?;
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Ok(None);
        };
        let mut request = Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let line = line(&mut head)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let header = (name.to_owned(), value.trim().to_owned());
            request.headers.push(header);
        }
        let length: u64 = request
            .header("Content-Length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        let length = length.min(MAX_BODY);
        let read = stream.take(length).read_to_end(&mut request.body)?;
        Ok((read as u64 == length).then_some(request))
    }
}

/// A line without its end; empty at the end of the head and of the connection.
fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    stream.read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}
