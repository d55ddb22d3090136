//! `setup`: prepares PostgreSQL and Kafka; safe to run again, and by several at once.

mod schema;
mod settings;
mod sites;
mod topic;

use std::process::ExitCode;

use sitewatch::postgres::{connect, record_run};
use sitewatch::run::{self, Failure, Function, Summary};

use settings::{Settings, Work};

const SETUP: Function = Function {
    name: "setup",
    about: "applies the migrations, creates the topic, imports a list of sites; safe to run again",
    version: env!("CARGO_PKG_VERSION"),
    deadline: None,
};

fn main() -> ExitCode {
    run::main(&SETUP, settings::read, |settings, run| {
        let result = work(&settings);
        if let Work::Prepare { database, .. } = &settings.work {
            record_run(database, "setup", run, &result);
        }
        result
    })
}

fn work(settings: &Settings) -> Result<Summary, Failure> {
    let (database, topic, list) = match &settings.work {
        Work::DeleteTopic(kafka) => return topic::delete(kafka),
        Work::Prepare {
            database,
            topic,
            sites,
        } => (database, topic, sites),
    };
    let mut client = connect(database, "setup")?;
    let applied = schema::migrate(&mut client, database)?;
    let mut done = vec![match applied {
        0 => "schema is up to date".to_owned(),
        1 => "1 migration applied".to_owned(),
        many => format!("{many} migrations applied"),
    }];
    let mut counters = vec![("migrations", applied)];
    if let Some(sites) = list {
        let imported = sites::import(&mut client, database, sites)?;
        done.push(format!("{imported} sites imported"));
        counters.push(("sites", imported));
    }
    if let Some(topic) = topic {
        done.push(topic::create(topic)?);
    }
    Ok(Summary::done(done.join(", "), counters))
}
