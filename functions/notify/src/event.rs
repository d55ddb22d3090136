//! What is told: a closed list of words, which stand in addresses, rows and messages.

use serde::{Deserialize, Serialize};

/// Something that happened to a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// It is down; told a second time when it flaps.
    Down,
    /// Fewer locations find it down than have to agree; likewise.
    Degraded,
    /// It is up again.
    Up,
    /// Its certificate expires in few days.
    Certificate,
    /// That certificate was renewed.
    CertificateRenewed,
    /// It is not checked any more.
    MonitoringStopped,
    /// It is checked again.
    Resumed,
    /// It is still down.
    Reminder,
    /// Somebody looks after it.
    Acknowledged,
}

/// What an incident is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Down or degraded.
    Availability,
    /// A certificate that expires soon.
    Certificate,
    /// Not checked any more.
    Monitoring,
}

/// What an event means for its incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The incident begins, or gets worse.
    Begins,
    /// It goes on.
    GoesOn,
    /// It is over.
    Ends,
}

impl Event {
    /// Every event.
    pub(crate) const ALL: [Self; 9] = [
        Self::Down,
        Self::Degraded,
        Self::Up,
        Self::Certificate,
        Self::CertificateRenewed,
        Self::MonitoringStopped,
        Self::Resumed,
        Self::Reminder,
        Self::Acknowledged,
    ];

    /// As it is written everywhere.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Degraded => "degraded",
            Self::Up => "up",
            Self::Certificate => "certificate",
            Self::CertificateRenewed => "certificate_renewed",
            Self::MonitoringStopped => "monitoring_stopped",
            Self::Resumed => "resumed",
            Self::Reminder => "reminder",
            Self::Acknowledged => "acknowledged",
        }
    }

    /// The event that is written so.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.word() == word)
    }

    /// What it means for its incident.
    pub(crate) fn phase(self) -> Phase {
        match self {
            Self::Down | Self::Degraded | Self::Certificate | Self::MonitoringStopped => {
                Phase::Begins
            }
            Self::Reminder | Self::Acknowledged => Phase::GoesOn,
            Self::Up | Self::CertificateRenewed | Self::Resumed => Phase::Ends,
        }
    }

    /// What its incident is about.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Down | Self::Degraded | Self::Up | Self::Reminder | Self::Acknowledged => {
                Kind::Availability
            }
            Self::Certificate | Self::CertificateRenewed => Kind::Certificate,
            Self::MonitoringStopped | Self::Resumed => Kind::Monitoring,
        }
    }
}

impl Kind {
    /// As `notified_incidents.kind` has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::Certificate => "certificate",
            Self::Monitoring => "monitoring",
        }
    }

    /// The kind that is written so.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Availability, Self::Certificate, Self::Monitoring]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}
