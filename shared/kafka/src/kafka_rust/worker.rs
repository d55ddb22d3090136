//! A thread that owns the client, so that whoever waits for it can stop waiting.
//!
//! The crate's time limits are fixed at 120 s. A call that overruns ours is left behind with its
//! thread; it ends by itself, or with the process.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kafka::client::KafkaClient;

use crate::KafkaError;

type Job = Box<dyn FnOnce(&mut KafkaClient) + Send>;

pub(super) struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// The answers that somebody waited for in vain.
    overrun: bool,
}

/// The client did not answer.
pub(super) enum Lost {
    Overrun,
    /// Its thread has died: a panic inside the crate.
    Dead,
}

impl Worker {
    /// Runs `open` on a new thread and waits for it for up to `timeout`; after that the error is
    /// `late`'s.
    pub(super) fn start(
        open: impl FnOnce() -> Result<KafkaClient, KafkaError> + Send + 'static,
        timeout: Duration,
        late: impl FnOnce() -> KafkaError,
    ) -> Result<Self, KafkaError> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (opened, result) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("kafka".to_owned())
            .spawn(move || {
                let mut client = match open() {
                    Ok(client) => client,
                    Err(error) => return drop(opened.send(Err(error))),
                };
                if opened.send(Ok(())).is_err() {
                    return;
                }
                for job in inbox {
                    job(&mut client);
                }
            })
            .map_err(|error| KafkaError::Failed {
                what: "be waited for",
                cause: error.to_string(),
            })?;
        let mut worker = Self {
            jobs: Some(jobs),
            thread: Some(thread),
            overrun: false,
        };
        match worker.wait(&result, timeout) {
            Ok(opened) => opened.map(|()| worker),
            Err(Lost::Overrun) => Err(late()),
            Err(Lost::Dead) => Err(dead("answer")),
        }
    }

    /// Has the thread run `job` after those before it.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut KafkaClient) -> T + Send + 'static,
    ) -> Receiver<T> {
        let (sender, receiver) = mpsc::channel();
        let job = Box::new(move |client: &mut KafkaClient| drop(sender.send(job(client))));
        if let Some(jobs) = &self.jobs {
            // A dead thread shows when the answer is waited for.
            drop(jobs.send(job));
        }
        receiver
    }

    /// Waits for an answer; after an overrun the thread is not waited for any more.
    pub(super) fn wait<T>(&mut self, answer: &Receiver<T>, timeout: Duration) -> Result<T, Lost> {
        answer.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                self.overrun = true;
                Lost::Overrun
            }
            RecvTimeoutError::Disconnected => Lost::Dead,
        })
    }

    /// Waits for no more answers: the thread may be stuck.
    pub(super) fn abandon(&mut self) {
        self.overrun = true;
    }

    /// Has the thread run `job` and waits for the answer.
    pub(super) fn call<T: Send + 'static>(
        &mut self,
        what: &'static str,
        timeout: Duration,
        job: impl FnOnce(&mut KafkaClient) -> T + Send + 'static,
    ) -> Result<T, KafkaError> {
        let answer = self.submit(job);
        self.wait(&answer, timeout).map_err(|lost| match lost {
            Lost::Overrun => KafkaError::Timeout {
                what,
                after: timeout,
            },
            Lost::Dead => dead(what),
        })
    }
}

pub(super) fn dead(what: &'static str) -> KafkaError {
    KafkaError::Failed {
        what,
        cause: "the `kafka` client has panicked; set KAFKA_CLIENT=rdkafka".to_owned(),
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && !self.overrun
        {
            // A panic in there has been reported by whoever waited for its answer.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_opens_too_late_is_answered_for_by_who_waits() {
        let (_held, never) = mpsc::channel::<()>();
        let open = move || {
            never.recv().ok();
            Err(dead("be reached"))
        };
        let late = || KafkaError::Unreachable {
            brokers: "b".to_owned(),
            cause: "late".to_owned(),
        };
        let started = Worker::start(open, Duration::from_millis(10), late);
        assert!(matches!(started, Err(KafkaError::Unreachable { .. })));
    }
}
