//! Prometheus' Alertmanager, API v2: alerts that are sent again and again while they fire, as it
//! expects, and that it groups, silences and resolves itself.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sitewatch::settings::parse;
use sitewatch::words::prometheus_label;

use super::http::Endpoint;
use super::{Address, Manner, Receiver, Refusal};
use crate::event::{Kind, Phase};
use crate::message::{Message, Notice};

/// How long an alert fires without being sent again: four runs and a bit, as Prometheus has it.
const EXPIRES: Duration = Duration::from_secs(5 * 60);

/// The path that takes alerts.
const ALERTS: &str = "/api/v2/alerts";

/// Where it is.
pub(super) struct Alertmanager {
    endpoint: Endpoint,
    expires: SignedDuration,
}

impl Alertmanager {
    /// Reads `expires=`.
    ///
    /// # Errors
    /// When that is no duration.
    pub(super) fn new(address: &mut Address<'_>) -> Result<Self, String> {
        let expires = match address.options.remove("expires") {
            Some(text) => parse::positive_duration(&text)
                .map_err(|why| format!("expires= wants a duration such as 5m {why}"))?,
            None => EXPIRES,
        };
        let mut url = address.url.clone();
        let path = url.path().trim_end_matches('/');
        if !path.ends_with(ALERTS) {
            url.set_path(&format!("{path}{ALERTS}"));
        }
        Ok(Self {
            endpoint: Endpoint::at(address, url),
            expires: SignedDuration::try_from(expires).map_err(|_| "expires= is too long")?,
        })
    }

    fn alert(&self, notice: &Notice, is_test: bool, now: Timestamp) -> Value {
        let ends_at = match notice.event.phase() {
            Phase::Ends => notice.closed_at.unwrap_or(now).min(now),
            _ => now.checked_add(self.expires).unwrap_or(Timestamp::MAX),
        };
        // Labels are an alert's identity: the same ones have to end it.
        let (name, severity) = match notice.event.kind() {
            _ if is_test => ("SitewatchTest", "none"),
            Kind::Availability if notice.is_down => ("SiteDown", "critical"),
            Kind::Availability => ("SiteDegraded", "warning"),
            Kind::Certificate => ("CertificateExpires", "warning"),
            Kind::Monitoring => ("SiteNotMonitored", "warning"),
        };
        let mut labels: Map<String, Value> = notice
            .labels
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (prometheus_label(name), value.as_str().into()))
            .collect();
        labels.insert("alertname".to_owned(), name.into());
        labels.insert("severity".to_owned(), severity.into());
        labels.insert("site".to_owned(), notice.site.as_str().into());
        let one = Message {
            key: notice.key,
            thread: notice.key,
            decided_at: now,
            is_test,
            notices: vec![notice.clone()],
        };
        json!({
            "labels": labels,
            "annotations": {
                "summary": one.title(),
                "description": one.lines().join("\n"),
                "incident": notice.incident.to_string(),
            },
            "startsAt": notice.opened_at,
            "endsAt": ends_at.max(notice.opened_at),
            "generatorURL": notice.url,
        })
    }
}

impl Receiver for Alertmanager {
    fn send(&self, message: &Message) -> Result<(), Refusal> {
        let now = Timestamp::now();
        let alerts: Vec<Value> = message
            .notices
            .iter()
            .map(|notice| self.alert(notice, message.is_test, now))
            .collect();
        let id = message.key.to_string();
        let body = Value::from(alerts).to_string();
        self.endpoint.post(&[("Idempotency-Key", &id)], &body)?;
        Ok(())
    }

    fn manner(&self) -> Manner {
        Manner::IsReminded
    }
}
