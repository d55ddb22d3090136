//! Which partitions the client fetches, and from where.

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError as RdError;
use rdkafka::{Offset, TopicPartitionList};

use super::watcher::Watcher;
use crate::KafkaError;

/// The consumer that all reading is done with.
pub(super) type Client = BaseConsumer<Watcher>;

/// The offsets in librdkafka's form.
pub(super) fn partition_list(
    topic: &str,
    offsets: impl Iterator<Item = (i32, Offset)>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition(topic, partition)
            .set_offset(offset)
            .map_err(|error| KafkaError::Failed {
                what: "take an offset",
                cause: format!("partition {partition}: {error}"),
            })?;
    }
    Ok(list)
}

/// Fetches these partitions from these offsets, and no others.
pub(super) fn assign(client: &Client, list: &TopicPartitionList) -> Result<(), KafkaError> {
    client
        .assign(list)
        .and_then(|()| settle(client))
        .map_err(|error| request_error(client, "begin to read", &error))
}

/// Stops fetching a partition.
pub(super) fn unassign(client: &Client, topic: &str, partition: i32) -> Result<(), KafkaError> {
    let list = partition_list(topic, [(partition, Offset::Invalid)].into_iter())?;
    client
        .incremental_unassign(&list)
        .and_then(|()| settle(client))
        .map_err(|error| request_error(client, "stop reading a partition", &error))
}

/// Waits until partitions that were taken away are stopped. librdkafka up to 2.15.0 aborts the
/// process when one that is still being stopped is taken away again ([issue 5573]). Its thread does
/// one thing after another, so it has stopped them when it has answered whatever is asked next.
///
/// [issue 5573]: https://github.com/confluentinc/librdkafka/issues/5573
fn settle(client: &Client) -> Result<(), RdError> {
    client.assignment().map(drop)
}

/// The error of a request of the consumer's, in our kinds.
pub(super) fn request_error(client: &Client, what: &'static str, error: &RdError) -> KafkaError {
    client.client().context().request_error(what, error)
}
