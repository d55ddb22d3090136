//! Processes that live for milliseconds: they end cleanly, however often.

use sitewatch_tests::command::Run;
use sitewatch_tests::shared;
use sitewatch_tests::websites::Website;

use super::PAIRS;
use crate::support::Prepared;

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
