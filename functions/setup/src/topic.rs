//! The topic that carries the events.

use sitewatch::run::{Failure, Summary};
use sitewatch_kafka::{Admin, Created, Deleted, KafkaSettings};

use crate::settings::Topic;

/// Kafka's notation for "as the broker is configured".
const BROKER_DEFAULT: i32 = -1;

/// Creates the topic if it is missing and says what was found.
///
/// # Errors
/// When Kafka cannot be reached or refuses.
pub(crate) fn create(topic: &Topic) -> Result<String, Failure> {
    let name = &topic.kafka.topic;
    let admin = Admin::connect(&topic.kafka)?;
    let created = admin.create_topic(
        name,
        topic.partitions,
        topic.replication.unwrap_or(BROKER_DEFAULT),
        &[
            (
                "retention.ms".to_owned(),
                topic.retention.as_millis().to_string(),
            ),
            // Whatever a producer packs with, the broker stores snappy, which grows to at most 22
            // times its size when it is unpacked, and which both clients read. What is too large
            // then is refused before it is on the topic. Our own producer packs with it already.
            ("compression.type".to_owned(), "snappy".to_owned()),
        ],
    )?;
    Ok(match created {
        Created::Created => format!("topic {name} created ({} partitions)", topic.partitions),
        Created::AlreadyThere => {
            if let Some(partitions) = admin.partition_count(name)?
                && i32::try_from(partitions) != Ok(topic.partitions)
            {
                log::info!(
                    "topic {name} has {partitions} partitions, not SETUP_PARTITIONS={}; it is left as it is",
                    topic.partitions
                );
            }
            format!("topic {name} is there")
        }
    })
}

/// Deletes the topic with everything in it.
///
/// # Errors
/// When Kafka cannot be reached or refuses.
pub(crate) fn delete(kafka: &KafkaSettings) -> Result<Summary, Failure> {
    let name = &kafka.topic;
    let deleted = Admin::connect(kafka)?.delete_topic(name)?;
    Ok(match deleted {
        Deleted::Deleted => Summary::done(
            format!("topic {name} deleted with everything in it"),
            vec![("topics_deleted", 1)],
        ),
        Deleted::NotThere => Summary::done(
            format!("there was no topic {name}"),
            vec![("topics_deleted", 0)],
        ),
    })
}
