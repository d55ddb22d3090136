//! Results as JSON lines on standard output: the same events as on the topic, without any Kafka.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use sitewatch::event::CheckEvent;

use super::Delivered;

/// Standard output. A line at a time: who reads along sees results as they come.
#[derive(Default)]
pub(crate) struct Stdout(Mutex<Delivered>);

impl Stdout {
    pub(super) fn publish(&self, event: &CheckEvent<'_>) {
        let mut line = event.to_json();
        line.push(b'\n');
        let mut delivered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::io::stdout().write_all(&line) {
            Ok(()) => delivered.published += 1,
            Err(error) => {
                delivered
                    .trouble
                    .get_or_insert(format!("standard output cannot be written: {error}"));
            }
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .trouble
            .is_some()
    }

    pub(super) fn finish(&self) -> Delivered {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
