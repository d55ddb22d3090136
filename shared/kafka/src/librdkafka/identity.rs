//! What the broker calls a topic: an id that a topic recreated under the same name does not have.
//!
//! The client library's wrapper has no such request; this module alone calls librdkafka itself.
#![allow(
    unsafe_code,
    reason = "librdkafka's own functions, which rdkafka does not wrap"
)]

use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::client::Client;
use rdkafka::types::RDKafkaRespErr;

use super::watcher::Watcher;
use crate::KafkaError;

const WHAT: &str = "tell the topic's id";

/// A question for the topic's id that is under way.
pub(super) struct Question<'c> {
    answers: NonNull<c::rd_kafka_queue_t>,
    /// The queue belongs to the client.
    client: PhantomData<&'c Client<Watcher>>,
}

/// Asks, and goes on: the answer is there once other requests have been answered.
pub(super) fn ask<'c>(
    client: &'c Client<Watcher>,
    topic: &str,
) -> Result<Question<'c>, KafkaError> {
    let failed = |cause: &str| KafkaError::Failed {
        what: WHAT,
        cause: cause.to_owned(),
    };
    let topic = CString::new(topic).map_err(|_| failed("its name holds a NUL"))?;
    let mut names = [topic.as_ptr()];
    // SAFETY: `native_ptr` is the client's handle and lives as long as it does; `Question` ends
    // the queue before, as it borrows the client. The names are copied by the call they are given
    // to. A null pointer for options stands for the defaults. What is made here is destroyed here,
    // or by `Question`.
    unsafe {
        let answers = NonNull::new(c::rd_kafka_queue_new(client.native_ptr()))
            .ok_or_else(|| failed("out of memory"))?;
        let question = Question {
            answers,
            client: PhantomData,
        };
        let names = NonNull::new(c::rd_kafka_TopicCollection_of_topic_names(
            names.as_mut_ptr(),
            names.len(),
        ))
        .ok_or_else(|| failed("out of memory"))?;
        c::rd_kafka_DescribeTopics(
            client.native_ptr(),
            names.as_ptr(),
            std::ptr::null(),
            answers.as_ptr(),
        );
        c::rd_kafka_TopicCollection_destroy(names.as_ptr());
        Ok(question)
    }
}

impl Question<'_> {
    /// The id as Kafka's tools print it; `None` from brokers before 2.8, which have none.
    pub(super) fn answer(self, longest: Duration) -> Result<Option<String>, KafkaError> {
        let milliseconds = c_int::try_from(longest.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the queue is alive as long as `self`.
        let event = unsafe { c::rd_kafka_queue_poll(self.answers.as_ptr(), milliseconds) };
        let event = Event(NonNull::new(event).ok_or(KafkaError::Timeout {
            what: WHAT,
            after: longest,
        })?);
        event.topic_id().map_err(|code| KafkaError::Failed {
            what: WHAT,
            cause: rdkafka::error::RDKafkaErrorCode::from(code).to_string(),
        })
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_queue_new`, destroyed once, before the client it borrows.
        unsafe { c::rd_kafka_queue_destroy(self.answers.as_ptr()) }
    }
}

/// An answer in librdkafka's memory.
struct Event(NonNull<c::rd_kafka_event_t>);

impl Event {
    fn topic_id(&self) -> Result<Option<String>, RDKafkaRespErr> {
        // SAFETY: the event is alive as long as `self`, and so is everything that is reached
        // through it; each pointer is looked at before it is followed. The text is copied.
        unsafe {
            let event = self.0.as_ptr();
            let failure = c::rd_kafka_event_error(event);
            if failure != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(failure);
            }
            // Null when the event is of another kind, which this queue never sees.
            let result = c::rd_kafka_event_DescribeTopics_result(event);
            if result.is_null() {
                return Err(RDKafkaRespErr::RD_KAFKA_RESP_ERR__INVALID_TYPE);
            }
            let mut count = 0;
            let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            if topics.is_null() || count != 1 {
                return Err(RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC);
            }
            let topic = *topics;
            let failure = c::rd_kafka_TopicDescription_error(topic);
            if !failure.is_null() {
                let code = c::rd_kafka_error_code(failure);
                if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return Err(code);
                }
            }
            let id = c::rd_kafka_TopicDescription_topic_id(topic);
            let is_known = !id.is_null()
                && (c::rd_kafka_Uuid_most_significant_bits(id) != 0
                    || c::rd_kafka_Uuid_least_significant_bits(id) != 0);
            if !is_known {
                return Ok(None);
            }
            let text = CStr::from_ptr(c::rd_kafka_Uuid_base64str(id)).to_string_lossy();
            // Kafka's own tools print the form for URLs.
            Ok(Some(text.replace('+', "-").replace('/', "_")))
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: taken from `rd_kafka_queue_poll`, destroyed once.
        unsafe { c::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}
