//! An incident as it is told: what is kept of it, and what is to be told now.

use jiff::Timestamp;
use uuid::Uuid;

use super::{MAX_REMINDERS, Rules};
use crate::event::{Event, Kind};
use crate::read::Outage;

/// An incident. Fields are those of `notified_incidents`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Incident {
    /// `None`: not stored yet.
    pub(crate) id: Option<i64>,
    pub(crate) key: Uuid,
    pub(crate) website: i32,
    pub(crate) kind: Kind,
    pub(crate) opened_at: Timestamp,
    pub(crate) last_opened_at: Timestamp,
    pub(crate) last_closed_at: Option<Timestamp>,
    pub(crate) closed_at: Option<Timestamp>,
    pub(crate) times: i32,
    pub(crate) reminders: i32,
    pub(crate) reminded_at: Option<Timestamp>,
    pub(crate) acknowledged_at: Option<Timestamp>,
    pub(crate) acknowledged_by: Option<String>,
    pub(crate) is_told: bool,
    pub(crate) is_down: bool,
    /// How the first check of the latest outage ended, and what it found.
    pub(crate) outcome: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) certificate_not_after: Option<Timestamp>,
    /// What is to be told now, in order.
    pub(crate) tell: Vec<Told>,
    /// Whether it has to be stored.
    pub(crate) must_be_stored: bool,
}

/// Something to be told of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) event: Event,
    /// Which one of its event, from 1.
    pub(crate) number: i32,
    /// When the incident was over by then; `None`: it went on.
    pub(crate) closed_at: Option<Timestamp>,
    /// How often it had happened by then.
    pub(crate) times: i32,
    /// Whether it was down by then, and not only degraded.
    pub(crate) is_down: bool,
}

impl Incident {
    /// One that begins.
    pub(super) fn new(website: i32, kind: Kind, opened_at: Timestamp, is_told: bool) -> Self {
        Self {
            id: None,
            key: Uuid::now_v7(),
            website,
            kind,
            opened_at,
            last_opened_at: opened_at,
            last_closed_at: None,
            closed_at: None,
            times: 1,
            reminders: 0,
            reminded_at: None,
            acknowledged_at: None,
            acknowledged_by: None,
            is_told,
            is_down: true,
            outcome: None,
            error: None,
            certificate_not_after: None,
            tell: Vec::new(),
            must_be_stored: true,
        }
    }

    /// Whether its end was not decided yet.
    pub(crate) fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }

    /// Whether there is something to be stored or told.
    pub(crate) fn is_changed(&self) -> bool {
        self.must_be_stored || !self.tell.is_empty()
    }

    /// Has something told, unless it is not to be told at all.
    pub(super) fn tell(&mut self, event: Event, number: i32) {
        self.must_be_stored = true;
        if self.is_told {
            self.tell.push(Told {
                event,
                number,
                closed_at: self.closed_at,
                times: self.times,
                is_down: self.is_down,
            });
        }
    }

    /// Ends it.
    pub(super) fn close(&mut self, at: Timestamp, event: Event, number: i32) {
        let at = at.max(self.last_opened_at);
        self.last_closed_at = Some(at);
        self.closed_at = Some(at);
        self.tell(event, number);
    }

    /// Reminds of it when that is due, and tells that somebody looks after it. `outage`: what is
    /// seen of it now; `None`: nothing is.
    pub(super) fn remind_and_acknowledge(&mut self, rules: &Rules<'_>, outage: Option<&Outage>) {
        if !self.is_open() || self.kind != Kind::Availability {
            return;
        }
        if self.acknowledged_at.is_some() {
            if self.is_told {
                // Told once; how often it is decided does not matter.
                self.tell.push(Told {
                    event: Event::Acknowledged,
                    number: 1,
                    closed_at: None,
                    times: self.times,
                    is_down: self.is_down,
                });
            }
            return;
        }
        let (Some(remind), Some(outage)) = (rules.telling.remind, outage) else {
            return;
        };
        let before = self.reminded_at.unwrap_or(self.opened_at);
        let is_due = rules.now.duration_since(before) >= remind;
        // What is not seen to be down any more, in maintenance for instance, is not reminded of.
        let goes_on = outage.closed_at.is_none() && outage.last_down_at > before;
        if self.is_told && is_due && goes_on && self.reminders < MAX_REMINDERS {
            self.reminders += 1;
            self.reminded_at = Some(rules.now);
            self.tell(Event::Reminder, self.reminders);
        }
    }
}
