//! Telegram: a bot that writes to a chat.

use std::time::Duration;

use serde_json::{Value, json};
use sitewatch::words::shortened;

use super::http::Endpoint;
use super::{Address, Receiver, Refusal};
use crate::message::Message;

/// The longest that a message may be, in characters.
const MAX_TEXT: usize = 4_096;

const WANTS: &str = "wants telegram+https://api.telegram.org/botTOKEN?chat_id=CHAT, with &message_thread_id=TOPIC for a topic";

/// The bot and the chat.
pub(super) struct Telegram {
    endpoint: Endpoint,
    chat: String,
    topic: Option<i64>,
}

impl Telegram {
    /// Reads the chat and, if there is one, the topic.
    ///
    /// # Errors
    /// When the bot or the chat is missing.
    pub(super) fn new(address: &Address<'_>) -> Result<Self, String> {
        let mut url = address.url.clone();
        let chat = address.query("chat_id").ok_or_else(|| WANTS.to_owned())?;
        let topic = address
            .query("message_thread_id")
            .map(|topic| topic.parse().map_err(|_| WANTS.to_owned()))
            .transpose()?;
        let path = url.path().trim_end_matches('/');
        let bot = path.strip_suffix("/sendMessage").unwrap_or(path).to_owned();
        let token = bot
            .rsplit('/')
            .next()
            .and_then(|bot| bot.strip_prefix("bot"));
        let token = token.filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| WANTS.to_owned())?.to_owned();
        url.set_path(&format!("{bot}/sendMessage"));
        url.set_query(None);
        let mut endpoint = Endpoint::at(address, url);
        endpoint.hide(&token);
        Ok(Self {
            endpoint,
            chat,
            topic,
        })
    }

    fn body(&self, message: &Message) -> Value {
        // Without `parse_mode` text is taken as it is.
        let mut body = json!({
            "chat_id": self.chat,
            "text": shortened(&message.text(), MAX_TEXT),
            "link_preview_options": {"is_disabled": true},
        });
        if let Some(topic) = self.topic {
            body["message_thread_id"] = topic.into();
        }
        body
    }
}

impl Receiver for Telegram {
    fn send(&self, message: &Message) -> Result<(), Refusal> {
        let id = message.key.to_string();
        let headers = [("Idempotency-Key", id.as_str())];
        let answer = self
            .endpoint
            .post(&headers, &self.body(message).to_string())
            .map_err(|refusal| Refusal {
                retry_after: refusal.retry_after.or_else(|| wait(&refusal.why)),
                ..refusal
            })?;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        if answer["ok"] == true {
            Ok(())
        } else {
            Err(Refusal::of_channel("it answered, but not as Telegram does"))
        }
    }
}

/// What Telegram says in its answer rather than in a header: `retry after 30`.
fn wait(why: &str) -> Option<Duration> {
    let (_, after) = why.split_once("retry after ")?;
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_to_wait_is_read_from_the_answer() {
        let why = r#"429 Too Many Requests: {"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35"}"#;
        assert_eq!(wait(why), Some(Duration::from_secs(35)));
        assert_eq!(wait("400 Bad Request"), None);
    }
}
