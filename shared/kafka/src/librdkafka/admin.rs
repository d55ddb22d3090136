//! Creating and deleting topics over librdkafka.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, Producer as _};

use super::watcher::Watcher;
use super::{config, connect};
use crate::admin::ClientAdmin;
use crate::{Created, Deleted, KafkaError, KafkaSettings};

pub(crate) struct Admin {
    client: AdminClient<Watcher>,
    /// Polls, and so learns why a broker refuses us; the admin client's own callbacks never run.
    scout: BaseProducer<Watcher>,
    settings: KafkaSettings,
}

impl Admin {
    pub(crate) fn connect(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        let config = config::producer(settings)?;
        let watcher = || Watcher::new(settings.broker_list());
        let scout: BaseProducer<Watcher> = config
            .create_with_context(watcher())
            .map_err(|error| config::rejected(&error, settings))?;
        connect::find_topic(scout.client(), settings, || scout.poll(Duration::ZERO))
            .map(|_| ())
            .or_else(|error| match error {
                KafkaError::UnknownTopic { .. } => Ok(()),
                error => Err(error),
            })?;
        let client = AdminClient::from_config_and_context(&config, watcher())
            .map_err(|error| config::rejected(&error, settings))?;
        Ok(Self {
            client,
            scout,
            settings: settings.clone(),
        })
    }

    /// The result for the one topic that was asked about.
    fn only(&self, results: KafkaResult<Vec<TopicResult>>) -> Result<Result<(), Code>, KafkaError> {
        match results {
            Ok(results) => Ok(results.into_iter().next().map_or(Ok(()), |result| {
                result.map(|_| ()).map_err(|(_, code)| code)
            })),
            Err(rdkafka::error::KafkaError::AdminOp(code)) => Ok(Err(code)),
            Err(error) => Err(self.watcher().request_error("administer topics", &error)),
        }
    }

    fn options(&self) -> AdminOptions {
        let timeout = Some(self.settings.connect_timeout);
        AdminOptions::new()
            .request_timeout(timeout)
            .operation_timeout(timeout)
    }

    fn watcher(&self) -> &Watcher {
        self.scout.client().context()
    }
}

impl ClientAdmin for Admin {
    fn partition_count(&self, topic: &str) -> Result<Option<usize>, KafkaError> {
        let settings = KafkaSettings {
            topic: topic.to_owned(),
            ..self.settings.clone()
        };
        let serve = || self.scout.poll(Duration::ZERO);
        match connect::find_topic(self.scout.client(), &settings, serve) {
            Ok(partitions) => Ok(Some(partitions.len())),
            Err(KafkaError::UnknownTopic { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create_topic(
        &self,
        topic: &str,
        partitions: i32,
        replication: i32,
        configs: &[(String, String)],
    ) -> Result<Created, KafkaError> {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replication));
        for (name, value) in configs {
            new = new.set(name, value);
        }
        match self.only(block_on(self.client.create_topics([&new], &self.options())))? {
            Ok(()) => Ok(Created::Created),
            Err(Code::TopicAlreadyExists) => Ok(Created::AlreadyThere),
            Err(code) => Err(self.watcher().code_error("create the topic", code)),
        }
    }

    fn delete_topic(&self, topic: &str) -> Result<Deleted, KafkaError> {
        match self.only(block_on(
            self.client.delete_topics(&[topic], &self.options()),
        ))? {
            Ok(()) => Ok(Deleted::Deleted),
            Err(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(Deleted::NotThere),
            Err(code) => Err(self.watcher().code_error("delete the topic", code)),
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Waits for a future that another thread completes; the admin client offers nothing else.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
