//! Sending what earlier runs have left in the spool.

use std::collections::HashSet;
use std::io;
use std::time::Instant;

use sitewatch::run::Stop;
use sitewatch_kafka::{KafkaError, KafkaSettings, Producer};

use super::kafka::DELIVERY_INTERVAL;
use super::message::Message;
use super::spool::{Spool, Spooled};

/// How many events are on their way at once.
const RESEND_BATCH: usize = 1_000;

/// Sending the spool.
pub(super) struct Backlog<'a> {
    pub(super) producer: Producer,
    settings: &'a KafkaSettings,
    spool: &'a Spool,
    stop: &'a Stop,
    /// Numbers of the messages whose fate is not known.
    pub(super) unanswered: HashSet<u64>,
    /// How many were sent, which is also the number of the last.
    pub(super) sent: u64,
    /// Why Kafka takes no more; `None`: it does.
    pub(super) refused: Option<KafkaError>,
}

impl<'a> Backlog<'a> {
    pub(super) fn new(
        producer: Producer,
        settings: &'a KafkaSettings,
        spool: &'a Spool,
        stop: &'a Stop,
    ) -> Self {
        Self {
            producer,
            settings,
            spool,
            stop,
            unanswered: HashSet::new(),
            sent: 0,
            refused: None,
        }
    }

    /// Sends a file's results and removes it. On any failure the file stays as it is.
    pub(super) fn send(&mut self, mut file: Spooled) -> io::Result<u64> {
        let before = self.sent;
        file.read(|message| self.send_one(&message))?;
        self.wait_for(0)?;
        file.remove(self.spool)?;
        Ok(self.sent - before)
    }

    fn send_one(&mut self, message: &Message) -> io::Result<()> {
        self.sent += 1;
        if let Err(error) = message.send(self.sent, &mut self.producer) {
            return self.refuse(error);
        }
        self.unanswered.insert(self.sent);
        self.wait_for(RESEND_BATCH)
    }

    /// Waits until no more than `most` messages are on their way.
    fn wait_for(&mut self, most: usize) -> io::Result<()> {
        // The client gives up on a message in its own time; this is for a client that forgets one.
        let until = Instant::now() + 2 * self.settings.connect_timeout;
        loop {
            for delivery in self.producer.poll() {
                self.unanswered.remove(&delivery.id);
                if let Err(undelivered) = delivery.result {
                    return self.refuse(undelivered.reason);
                }
            }
            if self.unanswered.len() <= most {
                return Ok(());
            }
            // What of this file is under way already comes again: harmless, by its ids.
            if self.stop.requested().is_some() {
                return Err(io::Error::other("the run is to stop"));
            }
            if Instant::now() > until {
                return self.refuse(KafkaError::Timeout {
                    what: "acknowledge the spool's events",
                    after: 2 * self.settings.connect_timeout,
                });
            }
            std::thread::sleep(DELIVERY_INTERVAL);
        }
    }

    fn refuse(&mut self, error: KafkaError) -> io::Result<()> {
        let text = error.to_string();
        self.refused = Some(error);
        Err(io::Error::other(text))
    }
}
