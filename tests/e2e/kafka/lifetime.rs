//! Processes that live for milliseconds: they end cleanly, however often.

use sitewatch_tests::command::Run;
use sitewatch_tests::shared;
use sitewatch_tests::websites::Website;

use super::PAIRS;
use crate::support::{Prepared, up};

/// Lives of each function: together enough to meet a crash that comes in 3 of 100.
const LIVES: i64 = 30;

/// One that wrote and one that read and stored offsets, by turns: a crash while they leave is a
/// signal instead of an exit code.
#[test]
fn a_process_ends_cleanly_under_tls_every_time() {
    let website = Website::up("hello");
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = super::topic("lives", client, version);
        kafka.create_topic(&topic, 2);
        let prepared = Prepared::new("lives");
        let with_kafka = |run: Run| {
            run.var("KAFKA_ENDPOINT", kafka.ssl_bootstrap())
                .var("KAFKA_CERT_DIR", kafka.certificate_dir())
                .var("KAFKA_CLIENT", format!("{client:?}").to_lowercase())
                .var("KAFKA_TOPIC", &topic)
        };
        for _ in 0..LIVES {
            with_kafka(Run::probe())
                .var("SITES", website.url())
                .run()
                .exits(0);
            with_kafka(prepared.drain()).run().exits(0);
        }
        assert_eq!(prepared.count("select count(*) from checks"), LIVES);
    }
}

/// One that is told to end while its client fetches ahead: every one here, since PostgreSQL takes
/// nothing in.
#[test]
fn a_process_that_ends_while_fetching_ends_cleanly() {
    // More than is fetched before the writers wait.
    let backlog: Vec<_> = (0..20_000)
        .map(|second| ("lives", up("lives", second).to_json()))
        .collect();
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = super::topic("fetching", client, version);
        kafka.create_topic(&topic, 2);
        for partition in 0..2 {
            kafka.produce(&topic, partition, &backlog);
        }
        let prepared = Prepared::new("fetching");
        let mut holding = prepared.client();
        let mut held = holding.transaction().unwrap();
        held.batch_execute("lock table checks in access exclusive mode")
            .unwrap();
        for _ in 0..LIVES / 5 {
            let finished = prepared
                .drain()
                .var("KAFKA_ENDPOINT", kafka.ssl_bootstrap())
                .var("KAFKA_CERT_DIR", kafka.certificate_dir())
                .var("KAFKA_CLIENT", format!("{client:?}").to_lowercase())
                .var("KAFKA_TOPIC", &topic)
                .var("DRAIN_BATCH_SIZE", "100")
                .var("DRAIN_DEADLINE", "300ms")
                .run()
                .exits(75);
            // Nothing has failed: the batches in hand were cancelled because the time was up.
            assert!(!finished.stderr.contains("ERROR"), "{finished}");
        }
        held.rollback().unwrap();
        assert_eq!(prepared.count("select count(*) from checks"), 0);
    }
}
