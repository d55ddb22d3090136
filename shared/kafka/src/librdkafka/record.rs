//! A record in librdkafka's memory.

use std::panic::{self, AssertUnwindSafe};

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

/// Stands for a header whose name is not UTF-8.
const UNREADABLE: &str = "(a name that is not UTF-8)";

/// A record in librdkafka's memory.
pub(crate) struct Record<'a>(pub(super) BorrowedMessage<'a>);

impl Record<'_> {
    pub(crate) fn partition(&self) -> i32 {
        self.0.partition()
    }

    pub(crate) fn offset(&self) -> i64 {
        self.0.offset()
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    pub(crate) fn payload(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    pub(crate) fn header(&self, index: usize) -> Option<(&str, Option<&[u8]>)> {
        let headers = self.0.headers()?;
        // rdkafka panics over a name that is not UTF-8, which any producer may write. The hook
        // would tell of an internal error.
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| {}));
        let header = panic::catch_unwind(AssertUnwindSafe(|| headers.try_get(index)));
        panic::set_hook(hook);
        match header {
            Ok(header) => header.map(|header| (header.key, header.value)),
            Err(_) => Some((UNREADABLE, None)),
        }
    }

    pub(crate) fn timestamp_ms(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }
}
