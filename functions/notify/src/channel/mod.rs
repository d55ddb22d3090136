//! The channels: a file for each service that a message can be sent to.
//!
//! A receiver turns a message into what its service expects and says what became of it. It knows
//! neither the database nor who is told what.

mod address;
mod alertmanager;
mod email;
mod http;
mod network;
mod ntfy;
mod pagerduty;
mod slack;
mod teams;
mod telegram;
mod template;
mod webhook;

pub(crate) use address::{Address, decoded};
pub(crate) use network::Network;

use std::time::Duration;

use crate::event::Event;
use crate::message::Message;

/// The most notices in one message to a receiver that takes any number of them at once.
pub(crate) const MAX_BATCH: usize = 500;

/// What sends messages to a service.
pub(crate) trait Receiver: Send + Sync {
    /// Sends one. It has been taken when this returns `Ok`.
    ///
    /// # Errors
    /// Why it was not taken, without any secret.
    fn send(&self, message: &Message) -> Result<(), Refusal>;

    /// What the service does with messages.
    fn manner(&self) -> Manner {
        Manner::Tells
    }
}

/// What a service does with what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Passes it on to people.
    Tells,
    /// Keeps incidents, and knows each by its key: whoever is told of one's beginning must be told
    /// of its end.
    KeepsIncidents,
    /// Likewise, but only while it is told again and again; takes any number at once and groups them
    /// itself.
    IsReminded,
}

impl Manner {
    /// Whether messages of this event are of use.
    pub(crate) fn takes(self, event: Event) -> bool {
        self != Self::IsReminded || !matches!(event, Event::Reminder | Event::Acknowledged)
    }
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// For people, to follow the channel's name.
    pub(crate) why: String,
    /// What else would be refused now.
    pub(crate) scope: Scope,
    /// When the service wants to be asked again; `None`: it did not say.
    pub(crate) retry_after: Option<Duration>,
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// This message; the next one may pass.
    Message,
    /// The channel: it is away, busy, or does not let us in.
    Channel,
}

impl Refusal {
    fn of_message(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            scope: Scope::Message,
            retry_after: None,
        }
    }

    fn of_channel(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            scope: Scope::Channel,
            retry_after: None,
        }
    }
}

/// The kinds of channel, as addresses begin with them.
pub(crate) const KINDS: [&str; 9] = [
    "webhook",
    "alertmanager",
    "pagerduty",
    "slack",
    "teams",
    "telegram",
    "ntfy",
    "smtp",
    "smtps",
];

/// The names that options of receivers have in a fragment.
pub(crate) const OPTIONS: [&str; 3] = ["secret", "template", "expires"];

/// The receiver at an address.
///
/// # Errors
/// What is wrong with it, without any secret.
pub(crate) fn receiver(address: &mut Address<'_>) -> Result<Box<dyn Receiver>, String> {
    Ok(match address.kind {
        "webhook" => Box::new(webhook::Webhook::new(address)?),
        "alertmanager" => Box::new(alertmanager::Alertmanager::new(address)?),
        "pagerduty" => Box::new(pagerduty::PagerDuty::new(address)?),
        "slack" => Box::new(slack::Slack::new(address)),
        "teams" => Box::new(teams::Teams::new(address)),
        "telegram" => Box::new(telegram::Telegram::new(address)?),
        "ntfy" => Box::new(ntfy::Ntfy::new(address)?),
        "smtp" | "smtps" => Box::new(email::Email::new(address)?),
        other => return Err(format!("{other:?} is no kind of channel")),
    })
}
