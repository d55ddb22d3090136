//! PagerDuty's Events API v2: an incident there for each of ours, or for each storm.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sitewatch::words::{printable, shortened};

use super::http::Endpoint;
use super::{Address, Manner, Receiver, Refusal};
use crate::event::{Event, Kind, Phase};
use crate::message::Message;

/// The longest summary, in characters.
const MAX_SUMMARY: usize = 1_024;

/// The path that takes events.
const ENQUEUE: &str = "/v2/enqueue";

/// The service's integration.
pub(super) struct PagerDuty {
    endpoint: Endpoint,
    routing_key: SecretString,
}

impl PagerDuty {
    /// Reads the integration's key, which stands before the `@`.
    ///
    /// # Errors
    /// When it is missing.
    pub(super) fn new(address: &Address<'_>) -> Result<Self, String> {
        let mut url = address.url.clone();
        let routing_key = url.username().to_owned();
        if routing_key.is_empty() || url.password().is_some() {
            return Err("wants pagerduty+https://INTEGRATION_KEY@events.pagerduty.com (events.eu.pagerduty.com in the EU)".to_owned());
        }
        url.set_username("").ok();
        if url.path() == "/" {
            url.set_path(ENQUEUE);
        }
        let mut endpoint = Endpoint::at(address, url);
        endpoint.hide(&routing_key);
        Ok(Self {
            endpoint,
            routing_key: routing_key.into(),
        })
    }

    fn body(&self, message: &Message) -> Value {
        let event = message.event();
        let action = match event.phase() {
            Phase::Begins => "trigger",
            Phase::GoesOn if event == Event::Acknowledged => "acknowledge",
            Phase::GoesOn => "trigger",
            Phase::Ends => "resolve",
        };
        let mut body = json!({
            "routing_key": self.routing_key.expose_secret(),
            "event_action": action,
            "dedup_key": message.thread,
        });
        if action != "trigger" {
            return body;
        }
        let notice = &message.notices[0];
        let severity = match event.kind() {
            Kind::Monitoring => "error",
            Kind::Availability if message.notices.iter().any(|notice| notice.is_down) => "critical",
            Kind::Availability => "warning",
            Kind::Certificate => "warning",
        };
        let source = match message.notices.len() {
            1 => shortened(&printable(&notice.site), MAX_SUMMARY).into_owned(),
            sites => format!("{sites} sites"),
        };
        body["payload"] = json!({
            "summary": shortened(&message.title(), MAX_SUMMARY),
            "source": source,
            "severity": severity,
            "timestamp": notice.opened_at,
            "class": event.word(),
            "custom_details": {
                "text": message.text(),
                "labels": if message.link().is_some() { json!(notice.labels) } else { json!({}) },
                "message": message.key,
            },
        });
        body["client"] = "Sitewatch".into();
        if let Some(link) = message.link() {
            body["links"] = json!([{"href": link, "text": "The site"}]);
        }
        body
    }
}

impl Receiver for PagerDuty {
    fn send(&self, message: &Message) -> Result<(), Refusal> {
        let id = message.key.to_string();
        let body = self.body(message).to_string();
        self.endpoint.post(&[("Idempotency-Key", &id)], &body)?;
        Ok(())
    }

    fn manner(&self) -> Manner {
        Manner::KeepsIncidents
    }
}
