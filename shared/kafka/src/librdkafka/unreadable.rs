//! Where a batch ends that cannot be read.
//!
//! librdkafka fails such a batch again and again, and the offset at which it ends is in the part
//! that it does not show. But it says at which offset the batch begins, whichever of its offsets is
//! asked for. So a few more of them are asked for, until it says something else.
#![allow(
    unsafe_code,
    reason = "an error's offset, which rdkafka drops, is in librdkafka's own message"
)]

use std::ptr::NonNull;
use std::slice;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::bindings as c;
use rdkafka::consumer::Consumer as _;
use rdkafka::types::RDKafkaRespErr as Code;

use super::assignment::{Client, assign, partition_list};
use super::unpack;
use crate::{KafkaError, LOG, Range};

/// How long one poll of the queue may take.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long nothing comes before the broker is asked whether it would.
pub(super) const SILENCE: Duration = Duration::from_secs(1);

/// A batch that cannot be read.
#[derive(Debug)]
pub(super) struct Batch {
    /// The offset after it, or the end of what is to be read.
    pub(super) next: i64,
    /// Why, in librdkafka's words.
    pub(super) cause: String,
}

/// What stands at an offset.
enum Found {
    /// A batch that cannot be read and begins at this offset.
    Broken { base: i64, cause: String },
    /// Something else, or nothing.
    Other,
    /// Nothing is known: the broker was asked for an offset that nobody wanted, and the partition
    /// may have been left by that.
    Astray,
}

/// Looks for the end of the batch at the beginning of a range. `None` when it can be read after all.
/// Ends every other fetch.
///
/// # Errors
/// `Timeout`, when the broker does not answer.
pub(super) fn batch_at(
    client: &Client,
    topic: &str,
    range: Range,
    timeout: Duration,
) -> Result<Option<Batch>, KafkaError> {
    let look = |at| look_at(client, topic, range.partition, at, timeout);
    let Found::Broken { base, cause } = look(range.next)? else {
        return Ok(None);
    };
    let is_in_it = |at: i64| -> Result<bool, KafkaError> {
        Ok(at < range.end
            && matches!(look(at)?, Found::Broken { base: theirs, .. } if theirs == base))
    };
    // Steps twice as large each time, then halves of what is left.
    let (mut within, mut beyond, mut step) = (range.next, range.end, 1);
    loop {
        let at = within.saturating_add(step).min(range.end);
        if !is_in_it(at)? {
            beyond = beyond.min(at);
            break;
        }
        within = at;
        step *= 2;
    }
    while beyond - within > 1 {
        let middle = within + (beyond - within) / 2;
        if is_in_it(middle)? {
            within = middle;
        } else {
            beyond = middle;
        }
    }
    Ok(Some(Batch {
        next: beyond,
        cause,
    }))
}

fn look_at(
    client: &Client,
    topic: &str,
    partition: i32,
    at: i64,
    timeout: Duration,
) -> Result<Found, KafkaError> {
    let deadline = Instant::now() + timeout;
    let list = partition_list(topic, [(partition, Offset::Offset(at))].into_iter())?;
    let mut is_asked = false;
    let mut silent_from = Instant::now();
    while Instant::now() < deadline {
        if !is_asked {
            unpack::forget();
            assign(client, &list)?;
            is_asked = true;
            silent_from = Instant::now();
        }
        let event = Event::next(client, POLL_INTERVAL);
        match event.and_then(|event| event.found(partition, at)) {
            None if silent_from.elapsed() > SILENCE => {
                // Whatever is there, it is not the batch that fails.
                if has_answered_in_vain(client, topic, partition, timeout) {
                    return Ok(Found::Other);
                }
                silent_from = Instant::now();
            }
            None => {}
            Some(Found::Astray) => is_asked = false,
            Some(found) => return Ok(found),
        }
    }
    Err(KafkaError::Timeout {
        what: "send messages",
        after: timeout,
    })
}

/// Whether the broker of a partition of which nothing comes has sent what it was asked for: it answers
/// what it is asked over a connection in that order. So librdkafka got it, and found no whole message
/// in it: it takes that for the beginning of something longer, and asks again without a word.
pub(super) fn has_answered_in_vain(
    client: &Client,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> bool {
    // What is asked for after the first answer is answered before the second.
    (0..2).all(|_| {
        let answer = client.fetch_watermarks(topic, partition, timeout);
        if let Err(error) = &answer {
            log::debug!(target: LOG, "nothing comes of partition {partition}: {error}");
        }
        answer.is_ok()
    })
}

/// A message or an error in librdkafka's memory.
struct Event(NonNull<c::rd_kafka_message_t>);

impl Event {
    fn next(client: &Client, wait: Duration) -> Option<Self> {
        let milliseconds = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the handle lives as long as the client.
        let message =
            unsafe { c::rd_kafka_consumer_poll(client.client().native_ptr(), milliseconds) };
        NonNull::new(message).map(Self)
    }

    /// What it says of the partition's batch at this offset; `None` when it is about something else.
    fn found(&self, partition: i32, at: i64) -> Option<Found> {
        // SAFETY: the message is alive as long as `self`. The payload of an error is its text.
        let (code, of, offset, text) = unsafe {
            let message = self.0.as_ref();
            let text = match message.payload.is_null() {
                true => &[][..],
                false => slice::from_raw_parts(message.payload.cast::<u8>(), message.len),
            };
            (message.err, message.partition, message.offset, text)
        };
        match code {
            Code::RD_KAFKA_RESP_ERR__BAD_COMPRESSION | Code::RD_KAFKA_RESP_ERR__BAD_MSG
                if of == partition =>
            {
                Some(Found::Broken {
                    base: offset,
                    cause: match code {
                        Code::RD_KAFKA_RESP_ERR__BAD_COMPRESSION => format!(
                            "{}, or it is more than {} MiB",
                            String::from_utf8_lossy(text),
                            unpack::MAX_BATCH >> 20
                        ),
                        _ => String::from_utf8_lossy(text).into_owned(),
                    },
                })
            }
            Code::RD_KAFKA_RESP_ERR_NO_ERROR | Code::RD_KAFKA_RESP_ERR__PARTITION_EOF
                if of == partition =>
            {
                Some(Found::Other)
            }
            // librdkafka (2.12) reads on in the middle of a batch whose checksum is wrong, takes
            // what stands there for an offset and asks for it. The answer is not dropped by a new
            // assignment, as all other events of an earlier one are.
            Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET if of == partition => match offset == at {
                true => Some(Found::Other),
                false => Some(Found::Astray),
            },
            _ => None,
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: taken from `rd_kafka_consumer_poll`, destroyed once.
        unsafe { c::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}
