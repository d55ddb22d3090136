//! `NOTIFY_TEST`: whether every channel works.

use std::sync::Arc;
use std::thread;

use jiff::Timestamp;
use sitewatch::run::{Failure, Summary};

use crate::message::Message;
use crate::routing::Channel;

/// Sends a message that is marked as a test to every channel, all at once.
///
/// # Errors
/// When one of them did not take it, with why.
pub(crate) fn run(channels: &[Arc<Channel>]) -> Result<Summary, Failure> {
    let message = Message::test(Timestamp::now());
    let outcomes: Vec<_> = thread::scope(|scope| {
        let sending: Vec<_> = channels
            .iter()
            .map(|channel| scope.spawn(|| channel.receiver.send(&message)))
            .collect();
        sending
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect()
    });
    let mut failed = Vec::new();
    for (channel, outcome) in channels.iter().zip(outcomes) {
        let name = &channel.name;
        match outcome {
            Ok(Ok(())) => log::info!("{name} took the test"),
            Ok(Err(refusal)) => {
                log::error!("{name} did not take the test: {}", refusal.why);
                failed.push(name.as_str());
            }
            Err(_) => {
                return Err(Failure::InternalError(format!(
                    "sending to {name} panicked"
                )));
            }
        }
    }
    if !failed.is_empty() {
        return Err(Failure::Unavailable(format!(
            "{} of {} channels in NOTIFY_URLS did not take the test: {}",
            failed.len(),
            channels.len(),
            failed.join(", ")
        )));
    }
    let sent = channels.len() as u64;
    let all = if sent == 1 {
        "the channel"
    } else {
        "all channels"
    };
    Ok(Summary::done(
        format!("{all} took the test"),
        vec![("sent", sent)],
    ))
}
