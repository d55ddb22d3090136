//! From when until when a certificate holds.

use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The time a certificate is good for.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// The first moment.
    pub starts: SystemTime,
    /// The last moment; certificates keep whole seconds.
    pub ends: SystemTime,
}

impl Validity {
    /// From yesterday, so that clocks need not agree, until `days` from now.
    pub fn days(days: u32) -> Self {
        let now = SystemTime::now();
        Self {
            starts: now - DAY,
            ends: now + DAY * days,
        }
    }

    /// Over since yesterday.
    pub fn expired() -> Self {
        let now = SystemTime::now();
        Self {
            starts: now - DAY * 30,
            ends: now - DAY,
        }
    }

    /// Begins tomorrow.
    pub fn not_yet() -> Self {
        let now = SystemTime::now();
        Self {
            starts: now + DAY,
            ends: now + DAY * 30,
        }
    }
}
