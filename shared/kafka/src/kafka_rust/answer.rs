//! What an answer to a fetch says about each partition, for people.

use kafka::Error;
use kafka::client::fetch::{Message, Response};
use kafka::error::KafkaCode;

use super::client;
use super::record::Record;

pub(super) enum Outcome {
    /// Messages, all below this offset.
    UpTo(i64),
    /// No message and no error.
    Nothing,
    /// No leader at the moment.
    Unsettled,
    Failed(String),
}

/// What the answer says about one partition, which was asked for what it has from `offset` on.
pub(super) fn outcome(responses: &[Response], partition: i32, offset: i64) -> Outcome {
    let mut partitions = responses
        .iter()
        .flat_map(Response::topics)
        .flat_map(|topic| topic.partitions());
    // Left out of the request by the crate: it knows of no leader.
    let Some(found) = partitions.find(|it| it.partition() == partition) else {
        return Outcome::Unsettled;
    };
    match found.data() {
        Ok(data) => match data.messages().last() {
            Some(message) if message.offset >= offset => Outcome::UpTo(message.offset + 1),
            _ => Outcome::Nothing,
        },
        Err(error) => match *error {
            Error::Kafka(code) if client::is_passing(code) => Outcome::Unsettled,
            Error::Kafka(code) => Outcome::Failed(describe_code(code)),
            ref other => Outcome::Failed(other.to_string()),
        },
    }
}

pub(super) fn record_at(answer: &[Response], at: [usize; 4]) -> Option<Record<'_>> {
    let [response, topic, partition, message] = at;
    let partition = answer
        .get(response)?
        .topics()
        .get(topic)?
        .partitions()
        .get(partition)?;
    let message: &Message<'_> = partition.data().ok()?.messages().get(message)?;
    Some(Record {
        partition: partition.partition(),
        message,
    })
}

fn describe_code(code: KafkaCode) -> String {
    match code {
        KafkaCode::OffsetOutOfRange => {
            "it has nothing at this offset (OffsetOutOfRange)".to_owned()
        }
        // The broker's code for a codec that the request's version knows nothing of.
        KafkaCode::Unknown => "it holds messages compressed with zstd, or worse; \
                               the `kafka` client reads gzip and snappy: set KAFKA_CLIENT=rdkafka"
            .to_owned(),
        code => format!("the broker answered {code:?}"),
    }
}

pub(super) fn describe_error(error: &Error) -> String {
    match error {
        Error::UnsupportedCompression => "its messages are compressed with lz4, and the `kafka` \
                                          client reads gzip and snappy: set KAFKA_CLIENT=rdkafka"
            .to_owned(),
        Error::Kafka(KafkaCode::CorruptMessage) => {
            "a message fails its checksum; it is damaged on the broker's disk or on the way"
                .to_owned()
        }
        other => format!("its messages cannot be understood ({other}); set KAFKA_CLIENT=rdkafka"),
    }
}
