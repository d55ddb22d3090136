//! What is sent: one or more notices under one key, and how they read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sitewatch::units::lasting;
use sitewatch::words::{printable, shortened};
use uuid::Uuid;

use crate::event::{Event, Phase};

/// The most sites that a message names one by one; of more it says how many they are.
pub(crate) const MAX_LINES: usize = 20;

/// The longest that a title and a line about one of several sites may be, in characters.
const MAX_LINE: usize = 180;

/// The same in a message about one site.
const MAX_ONLY_LINE: usize = 600;

/// What happened to one site, as it was known when that was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// What happened.
    pub(crate) event: Event,
    /// The incident's number, for people.
    pub(crate) incident: i64,
    /// What a receiver that keeps incidents knows it by.
    pub(crate) key: Uuid,
    /// The site's name.
    pub(crate) site: String,
    /// What is requested of it, without credentials.
    pub(crate) url: String,
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// When the incident began.
    pub(crate) opened_at: Timestamp,
    /// When it ended; `None`: it goes on.
    pub(crate) closed_at: Option<Timestamp>,
    /// How the first check of it ended, in one word; `None`: it is not about checks.
    pub(crate) outcome: Option<String>,
    /// What that check found, for people; `None`: nothing was said.
    pub(crate) error: Option<String>,
    /// Outages in it; of a certificate: thresholds passed.
    pub(crate) times: i32,
    /// Whether the site was down, and not only degraded; rows of before have none, and were.
    #[serde(default = "yes")]
    pub(crate) is_down: bool,
    /// When the certificate expires; `None`: it is not about one.
    pub(crate) certificate_not_after: Option<Timestamp>,
    /// Who looks after it; `None`: nobody, or not known who.
    pub(crate) acknowledged_by: Option<String>,
}

fn yes() -> bool {
    true
}

/// What one channel is told at once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// The idempotency key: the same for every attempt.
    pub(crate) key: Uuid,
    /// What a receiver that keeps incidents is told it under.
    pub(crate) thread: Uuid,
    /// When it was decided.
    pub(crate) decided_at: Timestamp,
    /// Whether it only tries whether the channel works.
    pub(crate) is_test: bool,
    /// At least one.
    pub(crate) notices: Vec<Notice>,
}

impl Message {
    /// What happened. Where a channel takes mixed notices, the first one's.
    pub(crate) fn event(&self) -> Event {
        self.notices[0].event
    }

    /// One line.
    pub(crate) fn title(&self) -> String {
        let test = if self.is_test { "TEST: " } else { "" };
        let text = match self.notices.as_slice() {
            [notice] => notice.title(self.decided_at),
            notices => format!("{}: {} sites", heading(self.event(), false), notices.len()),
        };
        format!("{test}{}", shortened(&printable(&text), MAX_LINE))
    }

    /// The lines below the title.
    pub(crate) fn lines(&self) -> Vec<String> {
        let most = if self.notices.len() == 1 {
            MAX_ONLY_LINE
        } else {
            MAX_LINE
        };
        let mut lines = match self.notices.as_slice() {
            [notice] => notice.lines(),
            notices => {
                let mut lines: Vec<String> =
                    notices.iter().take(MAX_LINES).map(Notice::line).collect();
                if notices.len() > MAX_LINES {
                    lines.push(format!("and {} more", notices.len() - MAX_LINES));
                }
                lines
            }
        };
        if self.is_test {
            lines.push("This is a test of Sitewatch's notify; nothing happened.".to_owned());
        }
        lines
            .iter()
            .map(|line| shortened(&printable(line), most).into_owned())
            .collect()
    }

    /// Title and lines.
    pub(crate) fn text(&self) -> String {
        let mut text = self.title();
        for line in self.lines() {
            text.push('\n');
            text.push_str(&line);
        }
        text
    }

    /// The site's address, when it is about one site.
    pub(crate) fn link(&self) -> Option<&str> {
        match self.notices.as_slice() {
            [notice] => Some(&notice.url),
            _ => None,
        }
    }

    /// A message that tries whether a channel works.
    pub(crate) fn test(now: Timestamp) -> Self {
        let key = Uuid::now_v7();
        Self {
            key,
            thread: key,
            decided_at: now,
            is_test: true,
            notices: vec![Notice {
                event: Event::Down,
                incident: 0,
                key,
                site: "sitewatch-test".to_owned(),
                url: "https://sitewatch-test.example/".to_owned(),
                labels: BTreeMap::new(),
                opened_at: now,
                closed_at: None,
                outcome: Some("status".to_owned()),
                error: Some("status 500, expected 200-399".to_owned()),
                times: 1,
                is_down: true,
                certificate_not_after: None,
                acknowledged_by: None,
            }],
        }
    }
}

impl Notice {
    fn title(&self, decided_at: Timestamp) -> String {
        let heading = heading(self.event, self.is_flapping());
        let site = &self.site;
        match self.event {
            Event::Up | Event::Resumed => match self.lasted() {
                Some(lasted) => format!("{heading}: {site}, after {lasted}"),
                None => format!("{heading}: {site}"),
            },
            Event::Reminder => {
                let so_far = elapsed(self.opened_at, decided_at);
                format!("{heading}: {site}, for {so_far}")
            }
            Event::Certificate => match self.certificate_not_after {
                Some(not_after) if not_after > decided_at => {
                    format!("{heading}: {site}, in {}", days(decided_at, not_after))
                }
                _ => format!("{heading}: {site}, it has expired"),
            },
            _ => format!("{heading}: {site}"),
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.url.clone()];
        match self.event.phase() {
            Phase::Ends => lines.push(format!(
                "from {} to {}",
                moment(self.opened_at),
                self.closed_at.map_or_else(|| "now".to_owned(), moment)
            )),
            _ => match self.certificate_not_after {
                Some(not_after) => lines.push(format!("expires {}", moment(not_after))),
                None => lines.push(format!("since {}", moment(self.opened_at))),
            },
        }
        if let Some(outcome) = &self.outcome {
            lines.push(match &self.error {
                Some(error) => format!("{outcome}: {error}"),
                None => outcome.clone(),
            });
        }
        if self.event == Event::Degraded {
            lines.push("down from fewer locations than have to agree".to_owned());
        }
        if self.is_flapping() {
            lines.push(format!("{} outages in a row", self.times));
        }
        if self.event == Event::Acknowledged {
            let who = self.acknowledged_by.as_deref().unwrap_or("somebody");
            lines.push(format!("{who} looks after it"));
        }
        lines.push(format!("incident {}", self.incident));
        lines
    }

    /// One line of a message about several.
    fn line(&self) -> String {
        let mut line = format!("{} {}", self.site, self.url);
        if self.event.phase() == Phase::Ends
            && let Some(lasted) = self.lasted()
        {
            line.push_str(&format!(" after {lasted}"));
        } else if let Some(error) = self.error.as_ref().or(self.outcome.as_ref()) {
            line.push_str(&format!(" {error}"));
        }
        line.push_str(&format!(" (incident {})", self.incident));
        line
    }

    fn is_flapping(&self) -> bool {
        self.times > 1 && matches!(self.event, Event::Down | Event::Degraded | Event::Up)
    }

    fn lasted(&self) -> Option<String> {
        Some(elapsed(self.opened_at, self.closed_at?))
    }
}

/// What a title begins with.
fn heading(event: Event, is_flapping: bool) -> &'static str {
    match event {
        Event::Down | Event::Degraded if is_flapping => "FLAPPING",
        Event::Down => "DOWN",
        Event::Degraded => "DEGRADED",
        Event::Up => "UP",
        Event::Certificate => "CERTIFICATE EXPIRES",
        Event::CertificateRenewed => "CERTIFICATE RENEWED",
        Event::MonitoringStopped => "NOT MONITORED",
        Event::Resumed => "MONITORED AGAIN",
        Event::Reminder => "STILL DOWN",
        Event::Acknowledged => "ACKNOWLEDGED",
    }
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn elapsed(from: Timestamp, to: Timestamp) -> String {
    lasting(to.duration_since(from).as_secs())
}

fn days(from: Timestamp, to: Timestamp) -> String {
    let days = to.duration_since(from).as_hours() / 24;
    match days {
        ..1 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        _ => format!("{days} days"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message about so many sites.
    pub(crate) fn about(event: Event, sites: usize) -> Message {
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().expect("a time");
        let mut message = Message::test(now);
        message.is_test = false;
        message.key = Uuid::from_u128(7);
        message.thread = Uuid::from_u128(9);
        let notice = Notice {
            event,
            incident: 12,
            key: Uuid::from_u128(9),
            site: "shop <&> *1*".to_owned(),
            closed_at: (event.phase() == Phase::Ends)
                .then(|| now + jiff::SignedDuration::from_secs(754)),
            labels: [("team".to_owned(), "web".to_owned())].into(),
            certificate_not_after: (event == Event::Certificate)
                .then(|| now + jiff::SignedDuration::from_hours(24 * 13 + 1)),
            ..message.notices[0].clone()
        };
        message.notices = vec![notice; sites];
        message
    }

    #[test]
    fn a_message_reads_well() {
        for (event, title) in [
            (Event::Down, "DOWN: shop <&> *1*"),
            (Event::Up, "UP: shop <&> *1*, after 12 min"),
            (
                Event::Certificate,
                "CERTIFICATE EXPIRES: shop <&> *1*, in 13 days",
            ),
            (Event::MonitoringStopped, "NOT MONITORED: shop <&> *1*"),
            (Event::Reminder, "STILL DOWN: shop <&> *1*, for 0 s"),
        ] {
            assert_eq!(about(event, 1).title(), title);
        }
        assert_eq!(
            about(Event::Down, 1).lines(),
            [
                "https://sitewatch-test.example/",
                "since 2026-01-31 08:00:00 UTC",
                "status: status 500, expected 200-399",
                "incident 12",
            ]
        );
        let mut flapping = about(Event::Down, 1);
        flapping.notices[0].times = 2;
        assert_eq!(flapping.title(), "FLAPPING: shop <&> *1*");
    }

    #[test]
    fn a_storm_is_cut_and_hostile_text_is_shown() {
        let storm = about(Event::Down, 1_000);
        assert_eq!(storm.title(), "DOWN: 1000 sites");
        let lines = storm.lines();
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert_eq!(lines[MAX_LINES], "and 980 more");
        assert!(storm.text().chars().count() < 4_096);
        let mut hostile = about(Event::Down, 1);
        hostile.notices[0].site = format!("a\r\nBcc: x\u{202e}{}", "é".repeat(5_000));
        assert!(
            hostile
                .title()
                .starts_with("DOWN: a\\u{d}\\u{a}Bcc: x\\u{202e}é")
        );
        assert_eq!(hostile.title().chars().count(), MAX_LINE);
    }
}
