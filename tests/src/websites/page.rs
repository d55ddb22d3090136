//! A page as it goes over the wire.

/// A status, headers and a body. `Content-Length` is added.
#[derive(Clone, Debug)]
#[must_use]
pub struct Page {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Page {
    /// Status 200 and a body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body)
    }

    /// Any status and a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The whole answer to anything but `HEAD`, for whoever writes it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.answer(false)
    }

    /// The whole answer, with a `Content-Length` that is right.
    pub(super) fn answer(&self, to_head: bool) -> Vec<u8> {
        self.write(self.body.len(), to_head)
    }

    /// The whole answer, with a `Content-Length` that is too long.
    pub(super) fn truncated_answer(&self) -> Vec<u8> {
        const MISSING: usize = 100;
        self.write(self.body.len() + MISSING, false)
    }

    fn write(&self, length: usize, to_head: bool) -> Vec<u8> {
        let mut answer = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            answer += &format!("{name}: {value}\r\n");
        }
        // These have no body, and so no length.
        let has_body = self.status >= 200 && self.status != 204 && self.status != 304;
        if has_body {
            answer += &format!("Content-Length: {length}\r\n");
        }
        answer += "\r\n";
        let mut answer = answer.into_bytes();
        if has_body && !to_head {
            answer.extend(&self.body);
        }
        answer
    }
}

/// The words behind a status are for people; clients read the number.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
