//! Decoding: a message becomes a row, or a dead letter with the reason.

mod dead_letter;
mod row;
mod window;

pub(crate) use dead_letter::DeadLetter;
pub(crate) use row::{Certificate, Location, Row, Site};
pub(crate) use window::Window;

use jiff::Timestamp;
use sitewatch::event::{CheckEvent, DecodeError};

use row::Known;

/// Makes rows of events, and remembers what they say of sites and locations.
pub(crate) struct Decoder {
    window: Window,
    known: Known,
}

impl Decoder {
    /// One that has met nothing yet, and believes times of `window`.
    pub(crate) fn new(window: Window) -> Self {
        Self {
            window,
            known: Known::default(),
        }
    }

    /// The row of a message's value, and about how much memory it takes: its texts, and what it is
    /// the first to say of its site.
    ///
    /// # Errors
    /// Why the value is no event, or one that cannot be true.
    pub(crate) fn decode(&mut self, value: Option<&[u8]>) -> Result<(Row, usize), String> {
        let decoded = match value {
            Some(value) => CheckEvent::decode(value),
            None => Err(DecodeError::Empty),
        };
        let event = decoded.map_err(|error| error.to_string())?;
        match self.window.refuse(event.checked_at, Timestamp::now) {
            None => Ok(self.known.row(event)),
            Some(reason) => Err(reason),
        }
    }
}
