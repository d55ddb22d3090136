//! What `setup` reads from the environment.

use std::time::Duration;

use sitewatch::settings::{
    DatabaseSettings, Reader, SiteSource, check_defaults, database, parse, site_source, var,
};
use sitewatch::site::{Row, rows_of_list};
use sitewatch_kafka::KafkaSettings;

/// Typed and valid.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) work: Work,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Work {
    /// The one thing that cannot be taken back, alone.
    DeleteTopic(Box<KafkaSettings>),
    /// Everything else.
    Prepare {
        database: Box<DatabaseSettings>,
        /// `None`: somebody else sees to it.
        topic: Option<Box<Topic>>,
        /// `None`: no list was given.
        sites: Option<Vec<Row>>,
    },
}

/// A topic to create if it is missing.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) kafka: KafkaSettings,
    pub(crate) partitions: i32,
    /// `None`: the broker's default.
    pub(crate) replication: Option<i32>,
    pub(crate) retention: Duration,
}

/// Reads them; `None` means that problems were added.
pub(crate) fn read(reader: &mut Reader) -> Option<Settings> {
    let wanted = reader.or_default(&var::SETUP_TOPIC, parse::boolean);
    let delete = reader.or_default(&var::SETUP_DELETE_TOPIC, parse::boolean);
    let partitions = reader.or_default(&var::SETUP_PARTITIONS, parse::count(1, 10_000));
    let replication = reader.optional(&var::SETUP_REPLICATION, parse::count(1, 100));
    let retention = reader.or_default(&var::SETUP_RETENTION, parse::positive_duration);
    if delete {
        let kafka = KafkaSettings::read(reader)?;
        return Some(Settings {
            work: Work::DeleteTopic(Box::new(kafka)),
        });
    }
    let sites = sites(reader);
    let database = database(reader);
    let topic = if wanted {
        Some(Box::new(Topic {
            kafka: KafkaSettings::read(reader)?,
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            replication: replication.and_then(|replicas| i32::try_from(replicas).ok()),
            retention,
        }))
    } else {
        None
    };
    Some(Settings {
        work: Work::Prepare {
            database: Box::new(database?),
            topic,
            sites,
        },
    })
}

fn sites(reader: &mut Reader) -> Option<Vec<Row>> {
    let defaults = check_defaults(reader);
    match site_source(reader)? {
        // Sites that are in the database already need no import.
        SiteSource::Database | SiteSource::Unset => None,
        SiteSource::List { on, text } => match rows_of_list(&text, &defaults) {
            Ok(rows) => Some(rows),
            Err(problems) => {
                SiteSource::blame(&on, &problems, reader);
                None
            }
        },
    }
}
