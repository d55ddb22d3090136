//! Sending what is in hand: threads for each channel, so that a slow one holds up none of the others.
//! A channel is sent several messages at the same time, but never two about the same incident.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use std::{thread, vec};

use parking_lot::{Mutex, RwLock};
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

/// The most messages that a channel is sent at the same time.
const AT_ONCE: usize = 10;

/// So many messages do not need more than one thread: people read them in the order of decision.
const FEW: usize = 5;

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
            let lanes = lanes(outgoing);
            let workers = lanes.len().div_ceil(FEW).clamp(1, AT_ONCE);
            let sending = Sending {
                channel: Arc::clone(channel),
                stop: stop.clone(),
                to: to.clone(),
                lanes: Mutex::new(lanes.into_iter()),
                away: Mutex::new(None),
                turn: RwLock::new(()),
            };
            // A thread that hangs ends with the process.
            thread::spawn(move || sending.send_all(workers, firing));
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

/// What is sent to a channel.
struct Sending {
    channel: Arc<Channel>,
    stop: Stop,
    to: Sender<Attempt>,
    /// What nobody has begun with.
    lanes: Mutex<vec::IntoIter<Vec<Outgoing>>>,
    /// What the channel said when it refused everything; `None`: it did not.
    away: Mutex<Option<Away>>,
    /// Held by whoever sends; alone, once the channel is too busy to take several at the same time.
    turn: RwLock<()>,
}

/// A channel takes nothing now.
#[derive(Clone, Copy)]
struct Away {
    /// When it wants to be asked again; `None`: it did not say.
    pause: Option<Duration>,
}

impl Sending {
    fn send_all(&self, workers: usize, firing: Option<Message>) {
        thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(|| self.work());
            }
            self.work();
        });
        if let Some(message) = firing
            && self.away.lock().is_none()
            && self.stop.requested().is_none()
            && let Err(refusal) = self.send(&message)
        {
            self.complain(&refusal);
        }
    }

    fn work(&self) {
        loop {
            let Some(lane) = self.lanes.lock().next() else {
                return;
            };
            // Incidents whose message was refused: what comes later must not overtake it.
            let mut waiting: HashSet<i64> = HashSet::new();
            for one in lane {
                let fate = self.attempt(&one, &mut waiting);
                // Nobody listens any more once the run has ended.
                self.to
                    .send(Attempt {
                        outgoing: one,
                        fate,
                    })
                    .ok();
            }
        }
    }

    fn attempt(&self, one: &Outgoing, waiting: &mut HashSet<i64>) -> Fate {
        if self.stop.requested().is_some() {
            return Fate::NotTried;
        }
        if let Some(Away { pause }) = *self.away.lock() {
            return Fate::PutOff { pause };
        }
        if !waiting.is_disjoint(&one.incidents) {
            return Fate::PutOff { pause: None };
        }
        let Err(refusal) = self.send(&one.message) else {
            return Fate::Sent;
        };
        waiting.extend(&one.incidents);
        let mut away = self.away.lock();
        // What else was on its way is refused for the same reason.
        if refusal.scope == Scope::Message || away.is_none() {
            self.complain(&refusal);
        }
        if refusal.scope == Scope::Channel {
            away.get_or_insert(Away {
                pause: refusal.retry_after,
            });
        }
        Fate::Refused {
            why: refusal.why,
            retry_after: refusal.retry_after,
        }
    }

    /// Sends a message, a second time where the receiver is only a moment too busy.
    fn send(&self, message: &Message) -> Result<(), Refusal> {
        let refusal = {
            let _among_others = self.turn.read();
            match self.channel.receiver.send(message) {
                Err(refusal) => refusal,
                Ok(()) => return Ok(()),
            }
        };
        let Some(wait) = refusal.retry_after.filter(|wait| *wait <= SHORT_WAIT) else {
            return Err(refusal);
        };
        let _alone = self.turn.write();
        if self.away.lock().is_none() && self.pause(wait) {
            self.channel.receiver.send(message)
        } else {
            Err(refusal)
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

/// Messages that have an incident in common, also by way of others, each lot in its order.
fn lanes(outgoing: Vec<Outgoing>) -> Vec<Vec<Outgoing>> {
    let mut lanes: Vec<Vec<Outgoing>> = Vec::new();
    let mut lane_of: HashMap<i64, usize> = HashMap::new();
    for one in outgoing {
        let mut met: BTreeSet<usize> = one
            .incidents
            .iter()
            .filter_map(|incident| lane_of.get(incident).copied())
            .collect();
        let lane = met.pop_first().unwrap_or(lanes.len());
        if lane == lanes.len() {
            lanes.push(Vec::new());
        }
        for joined in met {
            let mut joined = std::mem::take(&mut lanes[joined]);
            let incidents = joined.iter().flat_map(|one| &one.incidents);
            lane_of.extend(incidents.map(|incident| (*incident, lane)));
            lanes[lane].append(&mut joined);
        }
        lane_of.extend(one.incidents.iter().map(|incident| (*incident, lane)));
        lanes[lane].push(one);
    }
    lanes.retain(|lane| !lane.is_empty());
    lanes
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn messages_about_the_same_incidents_are_in_one_lane() {
        let outgoing = [&[1][..], &[2], &[3], &[1], &[4, 5], &[2, 4], &[5]];
        let outgoing = outgoing
            .iter()
            .zip(0..)
            .map(|(incidents, row)| Outgoing {
                message: Message::test(Timestamp::UNIX_EPOCH),
                rows: vec![row],
                incidents: incidents.iter().copied().collect(),
                attempts: 0,
            })
            .collect();
        let rows: Vec<Vec<i64>> = lanes(outgoing)
            .iter()
            .map(|lane| lane.iter().flat_map(|one| one.rows.clone()).collect())
            .collect();
        assert_eq!(rows, [vec![0, 3], vec![1, 4, 5, 6], vec![2]]);
    }
}
