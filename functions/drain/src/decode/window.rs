//! Which times a check can have been made at.
//!
//! A clock gone wrong, or a stranger, would otherwise make partitions for days that no retention
//! reaches, and a state that no later check replaces before its time has come.

use jiff::{SignedDuration, Timestamp};
use postgres::Client;
use sitewatch::postgres::{begin, explain};
use sitewatch::run::Failure;
use sitewatch::settings::DatabaseSettings;

/// How far a probe's clock may be ahead: what Kerberos allows clocks to differ by, and more than any
/// that is kept right does. The schema's `clock_skew()` is the same for those who read.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// How long a check may have waited, in a spool or on the topic: longer than any topic is kept.
const BACK_DAYS: i64 = 400;

/// The times that are believed at a moment of the run.
pub(crate) struct Window {
    /// How far PostgreSQL's clock is ahead of ours; zero when it is behind.
    ahead: SignedDuration,
    from: Timestamp,
    to: Timestamp,
}

impl Window {
    /// Asks PostgreSQL's clock. The later of both counts: one that is behind must not make dead
    /// letters of good events.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn read(client: &mut Client, settings: &DatabaseSettings) -> Result<Self, Failure> {
        let mut ask = || begin(client, settings)?.query_typed_one("select clock_timestamp()", &[]);
        let theirs: Timestamp = ask()
            .map_err(|error| explain("reading PostgreSQL's clock", &error))?
            .get(0);
        let ours = Timestamp::now();
        Ok(Self::new(theirs.duration_since(ours), ours))
    }

    fn new(ahead: SignedDuration, ours: Timestamp) -> Self {
        let mut window = Self {
            ahead: ahead.max(SignedDuration::ZERO),
            from: ours,
            to: ours,
        };
        window.move_to(ours);
        window
    }

    fn move_to(&mut self, ours: Timestamp) {
        let later = |time: Timestamp, by| time.checked_add(by).unwrap_or(Timestamp::MAX);
        let now = later(ours, self.ahead);
        self.from = now - SignedDuration::from_hours(24 * BACK_DAYS);
        self.to = later(now, SKEW);
    }

    /// Why a check cannot have been made then, if it cannot; `clock` is ours.
    pub(crate) fn refuse(
        &mut self,
        checked_at: Timestamp,
        clock: impl FnOnce() -> Timestamp,
    ) -> Option<String> {
        if checked_at > self.to {
            // A run can be long: only what is ahead is worth a look at the clock.
            self.move_to(clock());
        }
        if checked_at > self.to {
            Some(format!(
                "checked_at: {checked_at} is more than {} minutes ahead of now; once its time has come, DRAIN_REPLAY_DEAD_LETTERS=true records it",
                SKEW.as_mins()
            ))
        } else if checked_at < self.from {
            Some(format!(
                "checked_at: {checked_at} is more than {BACK_DAYS} days ago"
            ))
        } else {
            None
        }
    }

    /// By our clock alone.
    #[cfg(test)]
    pub(crate) fn ours() -> Self {
        Self::new(SignedDuration::ZERO, Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn minutes_ahead_and_400_days_back_are_believed() {
        let now = time("2026-11-21T12:00:00Z");
        let mut window = Window::new(SignedDuration::from_hours(-1), now);
        for (checked_at, believed) in [
            ("2026-11-21T12:05:00Z", true),
            ("2026-11-21T12:05:00.000001Z", false),
            ("2025-10-17T12:00:00Z", true),
            ("2025-10-17T11:59:59Z", false),
            ("-009999-01-02T01:59:59Z", false),
            ("9999-12-30T22:00:00Z", false),
        ] {
            let refusal = window.refuse(time(checked_at), || now);
            assert_eq!(refusal.is_none(), believed, "{checked_at}: {refusal:?}");
        }
    }

    #[test]
    fn the_later_clock_counts_and_both_go_on() {
        let now = time("2026-11-21T12:00:00Z");
        let mut window = Window::new(SignedDuration::from_hours(3), now);
        assert!(
            window
                .refuse(time("2026-11-21T15:05:00Z"), || now)
                .is_none()
        );
        assert!(
            window
                .refuse(time("2026-11-21T15:06:00Z"), || now)
                .is_some()
        );
        let later = now + SignedDuration::from_mins(1);
        assert!(
            window
                .refuse(time("2026-11-21T15:06:00Z"), || later)
                .is_none()
        );
    }

    #[test]
    fn a_clock_at_the_end_of_time_does_not_break_off() {
        let mut window = Window::new(SignedDuration::MAX, Timestamp::MAX);
        assert!(window.refuse(Timestamp::MAX, || Timestamp::MAX).is_none());
    }
}
