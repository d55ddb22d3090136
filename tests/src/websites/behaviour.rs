//! What a website does with a request.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::{Page, Request};

/// An answer written by the test itself; the connection is closed after it.
pub type Answer = dyn Fn(&Request, &mut dyn Write) -> io::Result<()> + Send + Sync;

/// How a website behaves, for every request.
pub enum Behaviour {
    /// Answers with a page.
    Page(Page),
    /// Answers with a page after a while.
    Slow {
        /// The time between the request and the first byte.
        delay: Duration,
        /// The page.
        page: Page,
    },
    /// Answers byte by byte.
    Drip {
        /// The time before each byte.
        every: Duration,
        /// The page; its head drips as well.
        page: Page,
    },
    /// Accepts connections and stays silent for ever.
    NeverAnswers,
    /// Refuses connections: nobody listens on the port.
    Refuses,
    /// Accepts connections and resets them at once, before a TLS handshake as well.
    Resets,
    /// Reads the request and closes the connection in good order.
    ClosesWithoutAnswer,
    /// Redirects.
    Redirect {
        /// Where the last redirect leads.
        to: String,
        /// How many redirects there are until then, at least one; those before the last lead to this
        /// website.
        hops: u32,
    },
    /// Redirects to itself, for ever.
    RedirectLoop,
    /// Answers with something that is not HTTP.
    Garbage,
    /// Answers with a head that never ends.
    HugeHeaders,
    /// Answers with a page that never ends.
    HugeBody,
    /// Answers with a compressed page that never ends, a thousand times larger than its transfer.
    GzipBomb,
    /// Promises more than this page holds, and closes the connection in good order after it.
    TruncatedBody(Page),
    /// What the test writes.
    Custom(Box<Answer>),
}

impl Behaviour {
    /// What the test writes, as a closure.
    pub fn custom(
        answer: impl Fn(&Request, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::Custom(Box::new(answer))
    }
}
