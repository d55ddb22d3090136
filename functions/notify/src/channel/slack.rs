//! Slack's incoming webhooks, which Mattermost, Rocket.Chat and Discord (its address with `/slack`
//! at the end) take as well.

use serde_json::json;

use super::http::Endpoint;
use super::{Address, Receiver, Refusal};
use crate::event::Phase;
use crate::message::Message;

/// Where it is.
pub(super) struct Slack(Endpoint);

impl Slack {
    pub(super) fn new(address: &Address<'_>) -> Self {
        Self(Endpoint::new(address))
    }
}

impl Receiver for Slack {
    fn send(&self, message: &Message) -> Result<(), Refusal> {
        let id = message.key.to_string();
        self.0.post(&[("Idempotency-Key", &id)], &body(message))?;
        Ok(())
    }
}

fn body(message: &Message) -> String {
    let title = escaped(&message.title());
    let text = escaped(&message.lines().join("\n"));
    let colour = match message.event().phase() {
        Phase::Begins => "#d92d20",
        Phase::GoesOn => "#dc8a00",
        Phase::Ends => "#17803d",
    };
    json!({
        "text": title,
        "mrkdwn": false,
        "attachments": [{
            "color": colour,
            "fallback": title,
            "text": text,
            "mrkdwn_in": [],
        }],
    })
    .to_string()
}

/// The three characters that Slack reads as markup; `<!channel>` would call everybody.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::message::tests::about;

    #[test]
    fn nobody_is_called_by_a_sites_name() {
        let mut message = about(Event::Down, 1);
        message.notices[0].site = "<!channel>".to_owned();
        let body = body(&message);
        assert!(body.contains("DOWN: &lt;!channel&gt;"), "{body}");
        assert!(!body.contains('<'), "{body}");
    }
}
