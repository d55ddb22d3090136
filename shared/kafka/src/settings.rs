//! What a connection to Kafka needs to know, typed and already validated.
//!
//! Nothing here looks at a variable: `environment` does. `Debug` shows no secret: not the password, and no value of a further option, because
//! `ssl.key.password` is one of those.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Which of the two clients speaks to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Client {
    /// librdkafka: every broker since 0.10, every codec, TLS and SASL.
    #[default]
    Rdkafka,
    /// The pure-Rust crate `kafka`: brokers up to 3.9, TLS but no SASL, reads gzip and snappy only;
    /// `kafka_rust/README.md` says what else it cannot do.
    Kafka,
}

/// How the connection is secured: `KAFKA_SECURITY_PROTOCOL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Neither encrypted nor authenticated.
    #[default]
    Plaintext,
    /// TLS; the client shows a certificate when one is configured.
    Ssl,
    /// SASL over an unencrypted connection: the password of `PLAIN` can be read on the way.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl Protocol {
    /// Whether the connection is encrypted.
    #[must_use]
    pub fn uses_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether a user name and a password are asked for.
    #[must_use]
    pub fn uses_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// The SASL mechanism: `KAFKA_SASL_MECHANISM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// `PLAIN`: sends the password itself.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
}

/// Who we are, towards a broker that asks by SASL.
#[derive(Debug, Clone)]
pub struct Sasl {
    /// The mechanism both sides speak.
    pub mechanism: Mechanism,
    /// The user's name.
    pub username: String,
    /// The user's password; masks itself.
    pub password: SecretString,
}

/// Protocol, certificates and credentials.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// What the broker's listener speaks.
    pub protocol: Protocol,
    /// PEM file of the CA certificates that may sign the broker's certificate; `None`: the
    /// system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our own certificate (and its chain), for mutual TLS.
    pub cert_file: Option<PathBuf>,
    /// PEM file of our own certificate's key.
    pub key_file: Option<PathBuf>,
    /// Required by the two SASL protocols, unused by the others.
    pub sasl: Option<Sasl>,
}

/// Everything needed to open a connection.
#[derive(Clone)]
pub struct KafkaSettings {
    /// Which client to use; one that is not compiled in is a configuration error on connecting.
    pub client: Client,
    /// The brokers to begin with, each `host:port`; the others are learnt from them.
    pub brokers: Vec<String>,
    /// The topic to write to or to read from; it is never created by using it.
    pub topic: String,
    /// What the broker's logs and quotas know us by.
    pub client_id: String,
    /// The consumer group whose offsets show our progress in Kafka's own tools.
    pub group_id: String,
    /// Protocol, certificates, credentials.
    pub security: Security,
    /// How long to look for a broker that answers, and the longest that any single exchange with
    /// it may take later on.
    pub connect_timeout: Duration,
    /// Further librdkafka settings, applied over ours; the `kafka` client takes none.
    pub options: Vec<(String, String)>,
}

impl KafkaSettings {
    /// The brokers as one text, for messages.
    pub(crate) fn broker_list(&self) -> String {
        self.brokers.join(",")
    }
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let option_names: Vec<&str> = self.options.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("KafkaSettings")
            .field("client", &self.client)
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("client_id", &self.client_id)
            .field("group_id", &self.group_id)
            .field("security", &self.security)
            .field("connect_timeout", &self.connect_timeout)
            .field("options", &option_names)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let settings = KafkaSettings {
            client: Client::Rdkafka,
            brokers: vec!["localhost:9092".into()],
            topic: "checks".into(),
            client_id: "probe".into(),
            group_id: "drains".into(),
            security: Security {
                protocol: Protocol::SaslSsl,
                sasl: Some(Sasl {
                    mechanism: Mechanism::Plain,
                    username: "alice".into(),
                    password: "hunter2".into(),
                }),
                ..Security::default()
            },
            connect_timeout: Duration::from_secs(1),
            options: vec![("ssl.key.password".into(), "hunter3".into())],
        };

        let shown = format!("{settings:?}");

        assert!(shown.contains("alice"), "{shown}");
        assert!(shown.contains("ssl.key.password"), "{shown}");
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
