//! A record in a response of the `kafka` crate.

use kafka::client::fetch::Message;

/// A record in a response of the crate.
pub(crate) struct Record<'a> {
    pub(super) partition: i32,
    pub(super) message: &'a Message<'a>,
}

impl Record<'_> {
    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }

    pub(crate) fn offset(&self) -> i64 {
        self.message.offset
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        some_bytes(self.message.key)
    }

    pub(crate) fn payload(&self) -> Option<&[u8]> {
        some_bytes(self.message.value)
    }

    /// None: the protocol of this client has no headers.
    pub(crate) fn header(&self, _: usize) -> Option<(&str, Option<&[u8]>)> {
        None
    }

    /// None: the protocol of this client has no timestamps.
    pub(crate) fn timestamp_ms(&self) -> Option<i64> {
        None
    }
}

fn some_bytes(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}
