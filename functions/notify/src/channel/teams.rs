//! Microsoft Teams: a workflow that posts the Adaptive Card it is sent.

use serde_json::{Value, json};

use super::http::Endpoint;
use super::{Address, Receiver, Refusal};
use crate::event::Phase;
use crate::message::Message;

/// Where it is.
pub(super) struct Teams(Endpoint);

impl Teams {
    pub(super) fn new(address: &Address<'_>) -> Self {
        Self(Endpoint::new(address))
    }
}

impl Receiver for Teams {
    fn send(&self, message: &Message) -> Result<(), Refusal> {
        let id = message.key.to_string();
        self.0
            .post(&[("Idempotency-Key", &id)], &body(message).to_string())?;
        Ok(())
    }
}

fn body(message: &Message) -> Value {
    let colour = match message.event().phase() {
        Phase::Begins => "Attention",
        Phase::GoesOn => "Warning",
        Phase::Ends => "Good",
    };
    // Runs of text are shown as they are; a TextBlock would read them as Markdown.
    let run = |text: &str, style: Value| {
        let mut run = json!({"type": "TextRun", "text": text});
        if let (Some(run), Value::Object(style)) = (run.as_object_mut(), style) {
            run.extend(style);
        }
        json!({"type": "RichTextBlock", "inlines": [run]})
    };
    let title = json!({"weight": "Bolder", "size": "Medium", "color": colour});
    let mut blocks = vec![run(&message.title(), title)];
    blocks.extend(message.lines().iter().map(|line| run(line, json!({}))));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": message.title(),
        "msteams": {"width": "Full"},
        "body": blocks,
    });
    if let Some(link) = message.link() {
        card["actions"] =
            json!([{"type": "Action.OpenUrl", "title": "Open the site", "url": link}]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::message::tests::about;

    #[test]
    fn a_storm_fits_into_a_card() {
        const MOST: usize = 28 * 1024;
        let mut storm = about(Event::Down, 10_000);
        for notice in &mut storm.notices {
            notice.error = Some("x".repeat(2_000));
        }
        assert!(body(&storm).to_string().len() < MOST);
    }
}
