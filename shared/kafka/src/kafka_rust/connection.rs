//! The client on its thread, which reads through it, and what it takes to make another.

use kafka::client::KafkaClient;
use openssl::ssl::SslConnector;

use super::client;
use super::guard::Guard;
use super::worker::Worker;
use crate::{KafkaError, KafkaSettings, LOG};

/// The client on its thread, and what it takes to make another.
pub(super) struct Connection {
    pub(super) worker: Worker,
    pub(super) settings: KafkaSettings,
    connector: Option<SslConnector>,
    /// `None` with brokers that are too old for it.
    pub(super) guard: Option<Guard>,
}

impl Connection {
    pub(super) fn open(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        let connector = client::prepare(settings)?;
        let worker = client::start(settings, connector.as_ref())?;
        Ok(Self {
            worker,
            settings: settings.clone(),
            connector,
            guard: None,
        })
    }

    /// Connects anew: a client that has lost its connection never recovers.
    pub(super) fn renew(&mut self) -> Result<(), KafkaError> {
        self.worker = client::start(&self.settings, self.connector.as_ref())?;
        Ok(())
    }

    /// Who sees what the client cannot.
    pub(super) fn guard(&self) -> Result<Option<Guard>, KafkaError> {
        let guard = Guard::begin(&self.settings, self.connector.as_ref())?;
        if guard.is_none() {
            log::warn!(
                target: LOG,
                "these brokers are older than Kafka 3.1: with KAFKA_CLIENT=kafka a recreated topic \
                 shows only while it is shorter than what is recorded, and messages of aborted \
                 transactions are read like others; KAFKA_CLIENT=rdkafka sees both"
            );
        }
        Ok(guard)
    }

    pub(super) fn call<T: Send + 'static>(
        &mut self,
        what: &'static str,
        request: impl FnOnce(&mut KafkaClient) -> Result<T, kafka::Error> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let timeout = self.settings.connect_timeout;
        self.worker
            .call(what, timeout, request)?
            .map_err(|error| client::failed(what, &error, &self.settings))
    }
}
