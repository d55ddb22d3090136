//! A webhook of whoever wants it: signed as Standard Webhooks are, so that libraries for that verify
//! it. The body is described by `webhook.schema.json`, beside this file; a template replaces it.

use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use secrecy::{ExposeSecret as _, SecretSlice};
use serde::Serialize;
use uuid::Uuid;

use super::http::Endpoint;
use super::template::Template;
use super::{Address, Receiver, Refusal};
use crate::event::Event;
use crate::message::{Message, Notice};

/// The version of the body.
const VERSION: u16 = 1;

/// The most incidents in one body; `incidents_total` says how many there are.
const MAX_INCIDENTS: usize = 500;

/// What a webhook is sent.
///
/// Within version 1 fields are only ever added. `key` is the same in every attempt at the same
/// message, and stands in the header `webhook-id` as well: what came before may be passed over.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(title = "Webhook"))]
pub(super) struct Body<'a> {
    /// Version of this format: 1.
    v: u16,
    /// Identity of the message.
    key: Uuid,
    /// What happened.
    event: Event,
    /// Whether this only tries whether the webhook works.
    test: bool,
    /// When it was decided: RFC 3339, UTC.
    #[cfg_attr(test, schemars(with = "String"))]
    decided_at: Timestamp,
    /// One line for people.
    title: String,
    /// The same with more lines.
    text: String,
    /// How many incidents the message is about.
    incidents_total: usize,
    /// These incidents, at most 500 of them.
    incidents: Vec<Incident<'a>>,
}

/// An incident, as it was known when the message was decided.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Incident<'a> {
    /// Its number, for people and for NOTIFY_ACKNOWLEDGE.
    id: i64,
    /// Its identity, the same in all messages about it.
    key: Uuid,
    /// Name of the site.
    site: &'a str,
    /// What is requested of it, without credentials.
    url: &'a str,
    /// Labels of the site.
    labels: &'a std::collections::BTreeMap<String, String>,
    /// When it began: RFC 3339, UTC.
    #[cfg_attr(test, schemars(with = "String"))]
    opened_at: Timestamp,
    /// When it ended; null: it goes on.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    closed_at: Option<Timestamp>,
    /// How its first check ended, in one word; null: it is not about checks.
    outcome: Option<&'a str>,
    /// What that check found, for people; null: nothing was said.
    error: Option<&'a str>,
    /// Outages in it; of a certificate: thresholds passed.
    times: i32,
    /// When the certificate expires; null: it is not about one.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    certificate_not_after: Option<Timestamp>,
    /// Who looks after it; null: nobody, or not known who.
    acknowledged_by: Option<&'a str>,
}

/// Where it is, and what signs it.
pub(super) struct Webhook {
    endpoint: Endpoint,
    secret: Option<SecretSlice<u8>>,
    template: Option<Template>,
}

impl Webhook {
    /// Reads `secret=` and `template=`.
    ///
    /// # Errors
    /// What is wrong with either.
    pub(super) fn new(address: &mut Address<'_>) -> Result<Self, String> {
        let mut endpoint = Endpoint::new(address);
        let secret = address
            .options
            .remove("secret")
            .map(|text| {
                endpoint.hide(&text);
                key(&text)
            })
            .transpose()?;
        let template = address
            .options
            .remove("template")
            .map(|path| {
                let sample = body(&Message::test(Timestamp::now()));
                Template::read(&path, &sample)
            })
            .transpose()?;
        Ok(Self {
            endpoint,
            secret,
            template,
        })
    }
}

impl Receiver for Webhook {
    fn send(&self, message: &Message) -> Result<(), Refusal> {
        let mut text = body(message);
        if let Some(template) = &self.template {
            text = template.fill(&text).map_err(Refusal::of_message)?;
        }
        let id = message.key.to_string();
        let timestamp = Timestamp::now().as_second().to_string();
        let mut headers = vec![
            ("webhook-id", id.as_str()),
            ("webhook-timestamp", timestamp.as_str()),
            ("Idempotency-Key", id.as_str()),
        ];
        let signature = self
            .secret
            .as_ref()
            .map(|secret| sign(secret.expose_secret(), &id, &timestamp, &text))
            .transpose()
            .map_err(|error| Refusal::of_message(format!("it cannot be signed: {error}")))?;
        if let Some(signature) = &signature {
            headers.push(("webhook-signature", signature));
        }
        self.endpoint.post(&headers, &text)?;
        Ok(())
    }
}

fn body(message: &Message) -> String {
    let body = Body {
        v: VERSION,
        key: message.key,
        event: message.event(),
        test: message.is_test,
        decided_at: message.decided_at,
        title: message.title(),
        text: message.text(),
        incidents_total: message.notices.len(),
        incidents: message
            .notices
            .iter()
            .take(MAX_INCIDENTS)
            .map(incident)
            .collect(),
    };
    serde_json::to_string(&body).expect("text, numbers and times can be written as JSON")
}

fn incident(notice: &Notice) -> Incident<'_> {
    Incident {
        id: notice.incident,
        key: notice.key,
        site: &notice.site,
        url: &notice.url,
        labels: &notice.labels,
        opened_at: notice.opened_at,
        closed_at: notice.closed_at,
        outcome: notice.outcome.as_deref(),
        error: notice.error.as_deref(),
        times: notice.times,
        certificate_not_after: notice.certificate_not_after,
        acknowledged_by: notice.acknowledged_by.as_deref(),
    }
}

/// `whsec_` and Base64, as Standard Webhooks writes a secret; any other text stands for its bytes.
fn key(text: &str) -> Result<SecretSlice<u8>, String> {
    const WANTS: &str = "secret= wants 16 bytes or more, as text or as whsec_ and Base64";
    let bytes = match text.strip_prefix("whsec_") {
        Some(encoded) => openssl::base64::decode_block(encoded).map_err(|_| WANTS.to_owned())?,
        None => text.as_bytes().to_vec(),
    };
    if bytes.len() < 16 {
        return Err(WANTS.to_owned());
    }
    Ok(bytes.into())
}

fn sign(
    secret: &[u8],
    id: &str,
    timestamp: &str,
    body: &str,
) -> Result<String, openssl::error::ErrorStack> {
    let key = PKey::hmac(secret)?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
    for part in [id, ".", timestamp, ".", body] {
        signer.update(part.as_bytes())?;
    }
    let signature = openssl::base64::encode_block(&signer.sign_to_vec()?);
    Ok(format!("v1,{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::about;

    #[test]
    fn the_schema_beside_this_file_is_that_of_the_body() {
        let generated = serde_json::to_string_pretty(&schemars::schema_for!(Body<'_>))
            .expect("a schema is JSON");
        let kept = include_str!("webhook.schema.json");
        assert_eq!(kept.trim_end(), generated, "keep this:\n{generated}");
    }

    /// The example of the specification.
    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        let secret = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let signature = sign(
            secret.expose_secret(),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            "{\"test\": 2432232314}",
        );
        assert_eq!(
            signature.expect("signed"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        for short in ["whsec_AAAA", "whsec_!", "short"] {
            assert!(key(short).is_err(), "{short}");
        }
    }

    #[test]
    fn a_storm_is_cut() {
        let text = body(&about(Event::Down, 2_000));
        let body: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(body["incidents_total"], 2_000);
        assert_eq!(body["incidents"].as_array().map(Vec::len), Some(500));
    }
}
