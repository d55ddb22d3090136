//! `CheckEvent`: one check, as it travels through Kafka. The one place that knows the JSON.
//!
//! The format is flat so that a sink connector can use it without a transformation, and versioned:
//! within version 1 fields are only ever added, so a reader ignores names it does not know and
//! refuses a version it does not know. `event.schema.json`, beside this file, is generated from
//! [`CheckEvent`]; a test fails when the two differ. `asyncapi.json` describes the topic to others, and
//! README.md tells people of it.

mod decode;
mod outcome;
mod timestamp;

pub use decode::{
    DecodeError, EARLIEST, MAX_ERROR, MAX_EVENT, MAX_EVIDENCE, MAX_LABEL, MAX_LABELS, MAX_LOCATION,
    MAX_NAME, MAX_URL, MAX_VERSION,
};
pub use outcome::{Outcome, Verdict};

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The version of the format that this release writes and reads.
pub const VERSION: u16 = 1;

/// What CloudEvents calls the type of an event of this version.
pub const TYPE: &str = "io.github.sitewatch.check.v1";

/// The `$id` of the format's JSON Schema. Another version of the format is another file.
pub const SCHEMA: &str = concat!(
    env!("CARGO_PKG_REPOSITORY"),
    "/raw/main/shared/src/event/event.schema.json"
);

/// The result of one check of one site.
///
/// As JSON it has at most 1,048,576 bytes. Lengths of fields are in characters; `url` also has at
/// most 8,192 bytes. Durations are microseconds between what was sent to the site and what arrived
/// from it, and null when the phase did not happen. What the probe itself took in between is left
/// out. Over redirects the phases are sums, so that they always add up to the total.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("$id" = SCHEMA))]
pub struct CheckEvent<'a> {
    /// Version of this format: 1.
    pub v: u16,
    /// Identity of the check (UUID version 7, so it sorts by time). A repeated event repeats it.
    pub id: Uuid,
    /// Name of the site; also the key of the Kafka message.
    #[schemars(length(min = 1, max = MAX_NAME))]
    #[serde(borrow)]
    pub site: Cow<'a, str>,
    /// What was asked for, without user name and password.
    #[schemars(length(min = 1, max = MAX_URL))]
    #[serde(borrow)]
    pub url: Cow<'a, str>,
    /// Where the probe ran (`PROBE_LOCATION`).
    #[schemars(length(min = 1, max = MAX_LOCATION))]
    #[serde(borrow)]
    pub location: Cow<'a, str>,
    /// When the check began: RFC 3339, UTC, microseconds.
    #[serde(with = "timestamp")]
    #[schemars(with = "Timestamp")]
    pub checked_at: Timestamp,
    /// The slot that the check was made for: RFC 3339, UTC, whole milliseconds. Two checks of a site
    /// from a location for one slot are one too many. Null when the probe was told no `PROBE_PERIOD`, for
    /// slots more than 49 days apart, and from probes before this field.
    #[serde(default, with = "timestamp::optional")]
    #[schemars(with = "Option<Timestamp>")]
    pub scheduled_at: Option<Timestamp>,
    /// How far apart the site's slots are, in milliseconds. Null as `scheduled_at` is.
    #[serde(default)]
    pub interval_ms: Option<u32>,
    /// true: as expected; false: not as expected; null: the check itself could not be made.
    pub up: Option<bool>,
    /// How the check ended, in one word.
    pub outcome: Outcome,
    /// What went wrong, for people; at most 500 characters, no secrets, no control characters.
    /// Null when nothing did.
    #[schemars(length(max = MAX_ERROR))]
    #[serde(borrow)]
    pub error: Option<Cow<'a, str>>,
    /// Status of the last response; null when none arrived.
    pub status: Option<u16>,
    /// Address (without port) of the peer of the last connection; null when there was none.
    pub remote_addr: Option<std::net::IpAddr>,
    /// Version in the last response's status line, such as `1.1`; null when none arrived.
    #[schemars(length(max = MAX_VERSION))]
    #[serde(borrow)]
    pub http_version: Option<Cow<'a, str>>,
    /// Looking up the host name. Null for an address, or when another check had just looked it up.
    pub dns_us: Option<u32>,
    /// Making the TCP connection, and the way through a proxy.
    pub connect_us: Option<u32>,
    /// The TLS handshake, without our own part of the cryptography.
    pub tls_us: Option<u32>,
    /// From the request's sending to the arrival of the first byte of the response's head.
    pub first_byte_us: Option<u32>,
    /// From the first byte to the arrival of the last that was read of the body.
    pub body_us: Option<u32>,
    /// The whole check, from before the look-up to after the body, without waiting of our own.
    pub total_us: u32,
    /// What the check took beyond that: waiting for a CPU of ours, our part of the
    /// cryptography, searching the body. Not part of the site's response time.
    #[serde(default)]
    pub local_wait_us: Option<u32>,
    /// The clock that told when the site's bytes arrived. `kernel`: the operating system's, as each
    /// packet came in, however late the probe read it. `monotonic`: the probe's own when it read
    /// them, at least once in this check. Null from probes before this field.
    #[schemars(length(max = MAX_VERSION))]
    #[serde(borrow, default)]
    pub clock: Option<Cow<'a, str>>,
    /// Bytes of the body read, decompressed; null when no body was read.
    pub body_bytes: Option<u64>,
    /// Whether the site's regular expression was found; null when it has none or no body came.
    pub body_match: Option<bool>,
    /// When the peer's certificate expires: RFC 3339, UTC. Null without TLS.
    #[serde(default, with = "timestamp::optional")]
    #[schemars(with = "Option<Timestamp>")]
    pub certificate_not_after: Option<Timestamp>,
    /// Who issued the peer's certificate. Null without TLS.
    #[schemars(length(max = MAX_ERROR))]
    #[serde(borrow, default)]
    pub certificate_issuer: Option<Cow<'a, str>>,
    /// Why the peer's certificate is not to be trusted, also where the site tolerates that. Null
    /// when it is, and without TLS.
    #[schemars(length(max = MAX_ERROR))]
    #[serde(borrow, default)]
    pub certificate_error: Option<Cow<'a, str>>,
    /// When the first expires of all certificates that the check depended on: those of every server
    /// it was led to, with the chains that they sent. RFC 3339, UTC. Null without TLS, and from
    /// probes before this field.
    #[serde(default, with = "timestamp::optional")]
    #[schemars(with = "Option<Timestamp>")]
    pub chain_not_after: Option<Timestamp>,
    /// Whose certificate that is: organisation and common name. Null when it names nobody.
    #[schemars(length(max = MAX_ERROR))]
    #[serde(borrow, default)]
    pub chain_subject: Option<Cow<'a, str>>,
    /// The host that sent it: the site's own or one that a redirect led to. Null without TLS.
    #[schemars(length(max = MAX_ERROR))]
    #[serde(borrow, default)]
    pub chain_host: Option<Cow<'a, str>>,
    /// The version of TLS spoken, such as `TLSv1.3`. Null without TLS.
    #[schemars(length(max = MAX_VERSION))]
    #[serde(borrow, default)]
    pub tls_version: Option<Cow<'a, str>>,
    /// Redirects followed.
    pub redirects: u16,
    /// Where they led. Null when none was followed.
    #[schemars(length(max = MAX_URL))]
    #[serde(borrow, default)]
    pub final_url: Option<Cow<'a, str>>,
    /// Attempts made, this one included: above 1 when the first ones failed.
    pub attempts: u16,
    /// Why the first attempt failed, when there were several.
    #[schemars(length(max = MAX_ERROR))]
    #[serde(borrow, default)]
    pub first_error: Option<Cow<'a, str>>,
    /// The last response's status line and headers and, after an empty line, the beginning of its body,
    /// without cookies and known secrets. Null when the check did not fail, no response came, or the
    /// site does not want it to be kept (`capture`).
    #[schemars(length(max = MAX_EVIDENCE))]
    #[serde(borrow, default)]
    pub evidence: Option<Cow<'a, str>>,
    /// Whether the site was in a maintenance window: checked, but not to be counted.
    #[serde(default)]
    pub maintenance: bool,
    /// The site's labels.
    #[schemars(schema_with = "labels_schema")]
    #[serde(borrow, default)]
    pub labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

impl CheckEvent<'_> {
    /// The event as one line of JSON, without the line's end.
    ///
    /// # Panics
    /// Never: no field of the event can fail to be written as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Most events, as they are: growing to it would copy them three times.
        let mut json = Vec::with_capacity(1024);
        serde_json::to_writer(&mut json, self)
            .expect("strings, numbers and maps with string keys are JSON");
        json
    }
}

/// Labels, with their limits: the derived schema of a map has none.
fn labels_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": MAX_LABELS,
        "propertyNames": { "minLength": 1, "maxLength": MAX_LABEL },
        "additionalProperties": { "type": "string", "maxLength": MAX_LABEL },
        "default": {},
    })
}

/// The format's JSON Schema, generated from [`CheckEvent`].
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(CheckEvent<'static>)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn example() -> CheckEvent<'static> {
        CheckEvent {
            v: VERSION,
            id: "01938f5e-8b1a-7c3d-9e2f-0a1b2c3d4e5f".parse().unwrap(),
            site: "shop".into(),
            url: "https://shop.example/".into(),
            location: "fra".into(),
            checked_at: "2026-11-21T02:52:21.000042Z".parse().unwrap(),
            scheduled_at: Some("2026-11-21T02:52:20.517Z".parse().unwrap()),
            interval_ms: Some(60_000),
            up: Some(false),
            outcome: Outcome::Status,
            error: Some("status 500, expected 200-399".into()),
            status: Some(500),
            remote_addr: Some("192.0.2.1".parse().unwrap()),
            http_version: Some("1.1".into()),
            dns_us: Some(1_200),
            connect_us: Some(9_000),
            tls_us: Some(20_000),
            first_byte_us: Some(31_000),
            body_us: Some(400),
            total_us: 61_600,
            local_wait_us: Some(12),
            clock: Some("kernel".into()),
            body_bytes: Some(1_534),
            body_match: None,
            certificate_not_after: Some("2027-01-01T00:00:00Z".parse().unwrap()),
            certificate_issuer: Some("Example CA".into()),
            certificate_error: None,
            chain_not_after: Some("2026-12-24T00:00:00Z".parse().unwrap()),
            chain_subject: Some("Example CA, R3".into()),
            chain_host: Some("shop.example".into()),
            tls_version: Some("TLSv1.3".into()),
            redirects: 0,
            final_url: None,
            attempts: 1,
            first_error: None,
            evidence: Some("HTTP/1.1 500\nserver: nginx\n\nsorry".into()),
            maintenance: false,
            labels: BTreeMap::from([("team".into(), "web".into())]),
        }
    }

    #[test]
    fn json_is_flat_and_times_have_microseconds() {
        let text = String::from_utf8(example().to_json()).unwrap();
        assert!(
            text.contains(r#""checked_at":"2026-11-21T02:52:21.000042Z""#),
            "{text}"
        );
        assert!(
            text.contains(r#""certificate_not_after":"2027-01-01T00:00:00.000000Z""#),
            "{text}"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let event = example();
        assert_eq!(CheckEvent::decode(&event.to_json()).unwrap(), event);
    }

    proptest::proptest! {
        /// Whatever a check can say is read back as it was written.
        #[test]
        fn every_event_comes_back(
            // A name of which nothing is to be seen is refused.
            (site, url, error) in ("[^\\p{Cc}]{0,25}[!-~][^\\p{Cc}]{0,24}", "[^\\p{Cc}]{1,50}", proptest::option::of("[^\\p{Cc}]{0,100}")),
            (seconds, microseconds) in (0_i64..4_000_000_000, 0_i32..1_000_000),
            late in proptest::option::of(-10_000_000_i64..10_000_000),
            (outcome, status) in (1_i16..14, proptest::option::of(100_u16..1_000)),
            phases in proptest::array::uniform6(proptest::option::of(0_u32..i32::MAX as u32)),
            (bytes, body_match) in (proptest::option::of(0_u64..1 << 31), proptest::option::of(proptest::bool::ANY)),
            (redirects, attempts, maintenance) in (0_u16..100, 1_u16..100, proptest::bool::ANY),
            labels in proptest::collection::btree_map("[^\\p{Cc}]{1,10}", "[^\\p{Cc}]{0,10}", 0..5),
        ) {
            let outcome = Outcome::from_code(outcome).unwrap();
            let checked_at = Timestamp::new(seconds, microseconds * 1_000).unwrap();
            let event = CheckEvent {
                site: site.into(),
                url: url.into(),
                checked_at,
                scheduled_at: late.map(|late| checked_at - jiff::SignedDuration::from_millis(late)),
                up: outcome.verdict().as_up(),
                outcome,
                error: error.map(Cow::from),
                status,
                dns_us: phases[0],
                connect_us: phases[1],
                tls_us: phases[2],
                first_byte_us: phases[3],
                body_us: phases[4],
                local_wait_us: phases[5],
                body_bytes: bytes,
                body_match,
                redirects,
                attempts,
                maintenance,
                labels: labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
                ..example()
            };
            let written = event.to_json();
            proptest::prop_assert_eq!(CheckEvent::decode(&written).unwrap(), event);
        }
    }

    #[test]
    fn the_schema_kept_beside_this_file_is_the_type() {
        let kept: serde_json::Value =
            serde_json::from_str(include_str!("event.schema.json")).unwrap();
        let now = schema().to_value();
        assert_eq!(
            kept,
            now,
            "write this into shared/src/event/event.schema.json:\n{}",
            serde_json::to_string_pretty(&now).unwrap()
        );
    }

    #[test]
    fn the_description_of_the_topic_has_the_names_and_limits_of_the_code() {
        use crate::settings::{parse, var};

        let document: serde_json::Value =
            serde_json::from_str(include_str!("asyncapi.json")).unwrap();
        let channel = &document["channels"]["checks"];
        assert_eq!(channel["address"], var::KAFKA_TOPIC.default);
        let kafka = &channel["bindings"]["kafka"];
        assert_eq!(
            kafka["partitions"].to_string(),
            var::SETUP_PARTITIONS.default
        );
        let retention = parse::duration(var::SETUP_RETENTION.default).unwrap();
        let kept = &kafka["topicConfiguration"]["retention.ms"];
        assert_eq!(kept.to_string(), retention.as_millis().to_string());

        let message = &document["components"]["messages"]["check"];
        let headers = &message["headers"]["properties"];
        let key = &message["bindings"]["kafka"]["key"];
        for (found, expected) in [
            (&document["info"]["version"], VERSION.to_string().into()),
            (&message["name"], TYPE.into()),
            (&headers["ce_type"]["const"], TYPE.into()),
            (&headers["ce_dataschema"]["const"], SCHEMA.into()),
            (&headers["ce_subject"]["maxLength"], MAX_NAME.into()),
            (&key["maxLength"], MAX_NAME.into()),
        ] {
            let expected: serde_json::Value = expected;
            assert_eq!(*found, expected);
        }
        assert!(TYPE.ends_with(&format!(".v{VERSION}")));
    }
}
