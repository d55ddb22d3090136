//! Which times a check can have been made at.
//!
//! A clock gone wrong, or a stranger, would otherwise make partitions for days that no retention
//! reaches, and a state that no later check ever replaces.

use jiff::{SignedDuration, Timestamp};

/// How far a probe's clock may be ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// How long a check may have waited, in a spool or on the topic: longer than any topic is kept.
const BACK_DAYS: i64 = 400;

/// The times that are believed during a run.
pub(crate) struct Window {
    from: Timestamp,
    to: Timestamp,
}

impl Window {
    /// What is believed at this moment.
    pub(crate) fn around(now: Timestamp) -> Self {
        Self {
            from: now - SignedDuration::from_hours(24 * BACK_DAYS),
            to: now + AHEAD,
        }
    }

    /// Why a check cannot have been made then, if it cannot.
    pub(crate) fn refuse(&self, checked_at: Timestamp) -> Option<String> {
        if checked_at > self.to {
            Some(format!(
                "checked_at: {checked_at} is more than a day ahead of this machine's clock"
            ))
        } else if checked_at < self.from {
            Some(format!(
                "checked_at: {checked_at} is more than {BACK_DAYS} days ago"
            ))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ahead_and_400_days_back_are_believed() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let window = Window::around(now);
        for (time, believed) in [
            ("2026-11-22T12:00:00Z", true),
            ("2026-11-22T12:00:00.000001Z", false),
            ("2025-10-17T12:00:00Z", true),
            ("2025-10-17T11:59:59Z", false),
            ("-009999-01-02T01:59:59Z", false),
            ("9999-12-30T22:00:00Z", false),
        ] {
            let refusal = window.refuse(time.parse().unwrap());
            assert_eq!(refusal.is_none(), believed, "{time}: {refusal:?}");
        }
    }
}
