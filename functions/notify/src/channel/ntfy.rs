//! ntfy: a topic that telephones and desktops listen to.

use serde_json::{Value, json};

use super::http::Endpoint;
use super::{Address, Receiver, Refusal};
use crate::event::{Event, Phase};
use crate::message::Message;

/// The longest text, in bytes of JSON. ntfy makes an attachment of what has more than 4,095 bytes,
/// which a server without room for attachments refuses, and takes 8,192 bytes of JSON in all.
const MAX_BYTES: usize = 4_000;

/// The server and the topic.
pub(super) struct Ntfy {
    endpoint: Endpoint,
    topic: String,
}

impl Ntfy {
    /// Reads the topic, the last part of the path.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn new(address: &Address<'_>) -> Result<Self, String> {
        let mut url = address.url.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        let (base, topic) = path.rsplit_once('/').unwrap_or_default();
        if topic.is_empty() {
            return Err("wants ntfy+https://ntfy.sh/TOPIC, with user:password@ or TOKEN@ before the host where the topic asks for it".to_owned());
        }
        // JSON goes to the server itself, which reads the topic there.
        url.set_path(base);
        Ok(Self {
            endpoint: Endpoint::at(address, url),
            topic: topic.to_owned(),
        })
    }

    fn body(&self, message: &Message) -> Value {
        let event = message.event();
        let (priority, tag) = match event.phase() {
            Phase::Begins if event == Event::Down => (5, "rotating_light"),
            Phase::Begins => (4, "warning"),
            Phase::GoesOn => (3, "hourglass"),
            Phase::Ends => (3, "white_check_mark"),
        };
        let mut body = json!({
            "topic": self.topic,
            "title": message.title(),
            "message": text(message),
            "priority": priority,
            "tags": [tag],
        });
        if let Some(link) = message.link() {
            body["click"] = link.into();
        }
        body
    }
}

impl Receiver for Ntfy {
    fn send(&self, message: &Message) -> Result<(), Refusal> {
        let id = message.key.to_string();
        let body = self.body(message).to_string();
        self.endpoint.post(&[("Idempotency-Key", &id)], &body)?;
        Ok(())
    }
}

/// The lines below the title, cut to what ntfy takes.
fn text(message: &Message) -> String {
    let text = message.lines().join("\n");
    let mut bytes = 0;
    let mut cut: String = text
        .chars()
        .take_while(|c| {
            bytes += match c {
                '"' | '\\' | '\n' => 2,
                c => c.len_utf8(),
            };
            bytes <= MAX_BYTES
        })
        .collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::about;

    #[test]
    fn a_storm_fits_into_what_ntfy_takes() {
        for site in ["\u{1f4a5}", "\""] {
            let mut storm = about(Event::Down, 10_000);
            for notice in &mut storm.notices {
                notice.site = site.repeat(500);
            }
            let text = text(&storm);
            assert!(text.ends_with('…'));
            assert!(text.len() < 4_096, "{}", text.len());
            let as_json = json!(text).to_string();
            assert!(as_json.len() < 5_000, "{}", as_json.len());
        }
        let one = about(Event::Down, 1);
        assert_eq!(text(&one), one.lines().join("\n"));
    }
}
