//! Sending what is in hand: a thread for each channel, so that a slow one holds up none of the
//! others, and each channel's messages one after the other.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use sitewatch::run::Stop;

use crate::channel::{Refusal, Scope};
use crate::message::Message;
use crate::outbox::{Attempt, Fate, Outgoing};
use crate::routing::Channel;

/// The longest that a receiver's wish to be asked again later is waited for within a run.
const SHORT_WAIT: Duration = Duration::from_secs(5);

/// How often a run that waits looks whether it should end.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long answers are waited for once the run should end: a signal leaves no more.
const LAST_ANSWERS: Duration = Duration::from_millis(1_500);

/// Messages on their way.
pub(crate) struct Delivery {
    answers: Receiver<Attempt>,
    stop: Stop,
    ended: Option<Instant>,
}

impl Delivery {
    /// Begins to send. `firing` is told again after what is new; it owes nothing.
    pub(crate) fn start(
        channels: &[Arc<Channel>],
        outgoing: Vec<Vec<Outgoing>>,
        firing: Vec<Option<Message>>,
        stop: &Stop,
    ) -> Self {
        let (to, answers) = mpsc::channel();
        for ((channel, outgoing), firing) in channels.iter().zip(outgoing).zip(firing) {
            if outgoing.is_empty() && firing.is_none() {
                continue;
            }
            let worker = Worker {
                channel: Arc::clone(channel),
                stop: stop.clone(),
                to: to.clone(),
            };
            // A thread that hangs ends with the process.
            thread::spawn(move || worker.work(outgoing, firing));
        }
        Self {
            answers,
            stop: stop.clone(),
            ended: None,
        }
    }

    /// What became of messages since the last call, at least one; `None`: that is all, or the run
    /// has to end.
    pub(crate) fn next(&mut self) -> Option<Vec<Attempt>> {
        loop {
            match self.answers.recv_timeout(POLL_INTERVAL) {
                Ok(first) => {
                    let mut attempts = vec![first];
                    attempts.extend(self.answers.try_iter());
                    return Some(attempts);
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    if self.stop.requested().is_some() {
                        let ended = *self.ended.get_or_insert_with(Instant::now);
                        if ended.elapsed() > LAST_ANSWERS {
                            return None;
                        }
                    }
                }
            }
        }
    }
}

struct Worker {
    channel: Arc<Channel>,
    stop: Stop,
    to: Sender<Attempt>,
}

impl Worker {
    fn work(&self, outgoing: Vec<Outgoing>, firing: Option<Message>) {
        // Incidents whose message was refused: what comes later must not overtake it.
        let mut waiting: HashSet<i64> = HashSet::new();
        let mut away: Option<Option<Duration>> = None;
        for one in outgoing {
            let fate = if self.stop.requested().is_some() {
                Fate::NotTried
            } else if let Some(pause) = away {
                Fate::PutOff { pause }
            } else if !waiting.is_disjoint(&one.incidents) {
                Fate::PutOff { pause: None }
            } else {
                match self.send(&one.message) {
                    Ok(()) => Fate::Sent,
                    Err(refusal) => {
                        waiting.extend(&one.incidents);
                        if refusal.scope == Scope::Channel {
                            away = Some(refusal.retry_after);
                        }
                        self.complain(&refusal);
                        Fate::Refused {
                            why: refusal.why,
                            retry_after: refusal.retry_after,
                        }
                    }
                }
            };
            // Nobody listens any more once the run has ended.
            self.to
                .send(Attempt {
                    outgoing: one,
                    fate,
                })
                .ok();
        }
        if let Some(message) = firing
            && away.is_none()
            && self.stop.requested().is_none()
            && let Err(refusal) = self.send(&message)
        {
            self.complain(&refusal);
        }
    }

    /// Sends a message, a second time where the receiver is only a moment too busy.
    fn send(&self, message: &Message) -> Result<(), Refusal> {
        let refusal = match self.channel.receiver.send(message) {
            Err(refusal) => refusal,
            Ok(()) => return Ok(()),
        };
        match refusal.retry_after {
            Some(wait) if wait <= SHORT_WAIT && self.pause(wait) => {
                self.channel.receiver.send(message)
            }
            _ => Err(refusal),
        }
    }

    /// Whether the run goes on after that.
    fn pause(&self, wait: Duration) -> bool {
        let end = Instant::now() + wait;
        while Instant::now() < end {
            if self.stop.requested().is_some() {
                return false;
            }
            thread::sleep(POLL_INTERVAL.min(end.saturating_duration_since(Instant::now())));
        }
        self.stop.requested().is_none()
    }

    fn complain(&self, refusal: &Refusal) {
        log::warn!(
            "{} did not take a message: {}; it is tried again",
            self.channel.name,
            refusal.why
        );
    }
}
