//! What can go wrong with Kafka, sorted by what somebody has to do about it.
//!
//! Each message holds its cause in its own text and no `source`, so that printing the chain says
//! everything once.

use std::time::Duration;

use sitewatch::run::Failure;
use sitewatch::settings::Problems;

/// A failure of Kafka, or of ours with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// No broker answered in time. Worth another try later.
    #[error(
        "cannot reach Kafka at {brokers}: {cause}; check KAFKA_BROKERS and that the broker is running"
    )]
    Unreachable {
        /// The brokers that were tried.
        brokers: String,
        /// The last thing that stood in the way.
        cause: String,
    },

    /// A broker answered, and one of us turned the other away: TLS, authentication, authorisation.
    #[error("Kafka at {brokers} cannot be used: {cause}")]
    Refused {
        /// The brokers that were tried.
        brokers: String,
        /// Why, with what to check.
        cause: String,
    },

    /// The broker has dropped the protocol versions that the `kafka` client speaks.
    #[error(
        "Kafka at {broker} is too new for KAFKA_CLIENT=kafka, which speaks to brokers up to 3.9; set KAFKA_CLIENT=rdkafka"
    )]
    TooNew {
        /// The broker that answered.
        broker: String,
    },

    /// The topic does not exist, and using it must not create it.
    #[error("Kafka has no topic \"{topic}\"; run `setup` to create it, or mend KAFKA_TOPIC")]
    UnknownTopic {
        /// The topic that was asked for.
        topic: String,
    },

    /// The settings cannot work, whatever the broker says. No retry helps.
    #[error("{what}")]
    Configuration {
        /// What is wrong and how to mend it.
        what: String,
    },

    /// One partition can be read no further in this run.
    #[error("partition {partition} of the topic cannot be read at offset {offset}: {cause}")]
    Partition {
        /// The partition.
        partition: i32,
        /// The first offset that was not delivered.
        offset: i64,
        /// Why, with what to do where something can be done.
        cause: String,
    },

    /// The broker was there, but one exchange took longer than allowed.
    #[error("Kafka did not {what} within {}", seconds(*after))]
    Timeout {
        /// What was waited for, to follow "did not".
        what: &'static str,
        /// How long was waited.
        after: Duration,
    },

    /// The broker or the client answered a request with an error of its own.
    #[error("Kafka could not {what}: {cause}")]
    Failed {
        /// What was asked for, to follow "could not".
        what: &'static str,
        /// The answer.
        cause: String,
    },
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        let text = error.to_string();
        match error {
            KafkaError::Configuration { .. } | KafkaError::UnknownTopic { .. } => {
                Problems::one("", text).into()
            }
            KafkaError::Unreachable { .. }
            | KafkaError::Refused { .. }
            | KafkaError::TooNew { .. }
            | KafkaError::Partition { .. }
            | KafkaError::Timeout { .. }
            | KafkaError::Failed { .. } => Self::Unavailable(text),
        }
    }
}

/// `1.5 s`, `200 ms`: as people write it.
fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_cause_is_in_the_text_and_not_in_the_chain_too() {
        let error = KafkaError::Unreachable {
            brokers: "a:9092,b:9092".into(),
            cause: "connection refused".into(),
        };

        assert_eq!(
            error.to_string(),
            "cannot reach Kafka at a:9092,b:9092: connection refused; \
             check KAFKA_BROKERS and that the broker is running"
        );
        assert!(error.source().is_none());
    }

    #[test]
    fn durations_read_as_people_write_them() {
        let after = |ms| KafkaError::Timeout {
            what: "answer",
            after: Duration::from_millis(ms),
        };

        assert_eq!(after(200).to_string(), "Kafka did not answer within 200 ms");
        assert_eq!(after(1500).to_string(), "Kafka did not answer within 1.5 s");
        assert_eq!(
            after(10_000).to_string(),
            "Kafka did not answer within 10 s"
        );
    }
}
