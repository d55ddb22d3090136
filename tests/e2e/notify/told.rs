//! Who is told what.

use std::path::Path;

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::Value;
use sitewatch::event::CheckEvent;
use sitewatch_tests::command::Run;
use sitewatch_tests::websites::{Request, Website};

use super::{bodies, judge, record, told, webhook};
use crate::support::{Prepared, down, last_line, up};

const SECRET: &str = "a-secret-of-some-length";

/// Whether a library for Standard Webhooks would believe it.
fn is_signed(request: &Request) -> bool {
    let header = |name: &str| request.header(name).unwrap().to_owned();
    let key = PKey::hmac(SECRET.as_bytes()).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    let signed = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
    signer.update(signed.as_bytes()).unwrap();
    signer.update(&request.body).unwrap();
    let signature = openssl::base64::encode_block(&signer.sign_to_vec().unwrap());
    header("webhook-signature") == format!("v1,{signature}")
}

fn labelled(event: CheckEvent<'static>, team: &'static str) -> CheckEvent<'static> {
    let mut event = event;
    event.labels.insert("team".into(), team.into());
    event
}

#[test]
fn a_change_is_told_once_signed_and_as_the_schema_says() {
    let prepared = Prepared::new("notify");
    let receiver = Website::up("taken");
    let url = format!("{}#secret={SECRET}", webhook(&receiver));
    record(&prepared, &[up("shop", 130), up("blog", 130)]);
    let notify = || prepared.notify(&url).run().exits(0);
    assert_eq!(last_line(&notify().stderr), "nothing to tell");
    record(&prepared, &[down("shop", 70), up("blog", 70)]);
    assert_eq!(last_line(&notify().stderr), "1 message sent");
    assert_eq!(last_line(&notify().stderr), "nothing to tell");
    record(&prepared, &[up("shop", 10)]);
    assert_eq!(last_line(&notify().stderr), "1 message sent");
    assert_eq!(last_line(&notify().stderr), "nothing to tell");

    assert_eq!(told(&receiver), ["down shop", "up shop"]);
    assert!(receiver.requests().iter().all(is_signed));
    let bodies = bodies(&receiver);
    let schema = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../functions/notify/src/channel/webhook.schema.json");
    judge(&schema, &bodies);
    let incident = |body: &Value| body["incidents"][0].clone();
    let (first, last) = (incident(&bodies[0]), incident(&bodies[1]));
    assert_eq!(first["key"], last["key"]);
    assert_ne!(bodies[0]["key"], bodies[1]["key"]);
    assert_eq!(first["error"], "status 500, expected 200-399");
    assert_eq!(first["closed_at"], Value::Null);
    assert!(last["closed_at"].is_string());
    assert_eq!(bodies[1]["title"], "UP: shop, after 1 min");
    assert_eq!(
        prepared.count(
            "select count(*) from function_runs where function = 'notify' and exit_code = 0"
        ),
        1
    );
}

/// A site that two locations must agree on, and a channel for all events and one for two.
struct Agreed {
    prepared: Prepared,
    all: Website,
    some: Website,
}

impl Agreed {
    fn new() -> Self {
        let prepared = Prepared::new("notify");
        prepared
            .client()
            .batch_execute(
                r#"insert into websites (name, url, settings)
                   values ('shop', 'https://shop.example/', '{"agree": "all"}')"#,
            )
            .unwrap();
        Self {
            prepared,
            all: Website::up("taken"),
            some: Website::up("taken"),
        }
    }

    /// Records a check from each location, and has people told.
    fn sees(&self, fra: bool, nyc: bool, ago: i64) {
        let events = [("fra", fra), ("nyc", nyc)].map(|(location, is_up)| CheckEvent {
            location: location.into(),
            ..if is_up {
                up("shop", ago)
            } else {
                down("shop", ago)
            }
        });
        record(&self.prepared, &events);
        let urls = format!(
            "{}#name=all {}#name=some&events=down,up",
            webhook(&self.all),
            webhook(&self.some)
        );
        self.prepared.notify(&urls).run().exits(0);
    }
}

#[test]
fn a_site_that_some_locations_find_down_is_degraded_and_not_up_before_all_find_it_so() {
    let site = Agreed::new();
    site.sees(true, true, 500);
    site.sees(false, true, 400);
    site.sees(false, false, 300);
    site.sees(true, false, 200);
    site.sees(true, true, 100);
    assert_eq!(told(&site.all), ["degraded shop", "down shop", "up shop"]);
    assert_eq!(told(&site.some), ["down shop", "up shop"]);
    let titles: Vec<Value> = bodies(&site.all)
        .into_iter()
        .map(|body| body["title"].clone())
        .collect();
    assert_eq!(
        titles,
        ["DEGRADED: shop", "DOWN: shop", "UP: shop, after 5 min"]
    );
}

#[test]
fn who_is_not_told_of_what_is_degraded_is_not_told_of_its_end() {
    let site = Agreed::new();
    site.sees(true, true, 300);
    site.sees(false, true, 200);
    site.sees(true, true, 100);
    assert_eq!(told(&site.all), ["degraded shop", "up shop"]);
    assert_eq!(told(&site.some), Vec::<String>::new());
}

#[test]
fn a_channel_is_told_what_its_address_asks_for() {
    let prepared = Prepared::new("notify");
    let [web, downs, all, other] = [(); 4].map(|()| Website::up("taken"));
    let urls = format!(
        "{}#name=web&team=web&events=down,up\n{}#name=downs&events=down\n{}#name=all {}#name=other&team!=web&site=b*",
        webhook(&web),
        webhook(&downs),
        webhook(&all),
        webhook(&other),
    );
    record(
        &prepared,
        &[
            labelled(down("shop", 70), "web"),
            labelled(down("blog", 70), "ops"),
        ],
    );
    prepared.notify(&urls).run().exits(0);
    record(
        &prepared,
        &[
            labelled(up("shop", 10), "web"),
            labelled(up("blog", 10), "ops"),
        ],
    );
    prepared.notify(&urls).run().exits(0);
    assert_eq!(told(&web), ["down shop", "up shop"]);
    assert_eq!(told(&downs), ["down blog", "down shop"]);
    assert_eq!(told(&all), ["down blog", "down shop", "up blog", "up shop"]);
    assert_eq!(told(&other), ["down blog", "up blog"]);
}

#[test]
fn a_storm_is_one_message_and_so_is_what_shares_a_label() {
    let prepared = Prepared::new("notify");
    let receiver = Website::up("taken");
    let teams = ["web", "web", "ops", "ops", "one", "two", "three"];
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let all = |event: fn(&str, i64) -> CheckEvent<'static>, ago| -> Vec<CheckEvent<'static>> {
        names
            .iter()
            .zip(teams)
            .map(|(name, team)| labelled(event(name, ago), team))
            .collect()
    };
    let notify = |over: &str| {
        prepared
            .notify(&webhook(&receiver))
            .var("NOTIFY_GROUP_OVER", over)
    };
    record(&prepared, &all(down, 70));
    notify("3").var("NOTIFY_GROUP_BY", "team").run().exits(0);
    assert_eq!(
        told(&receiver),
        ["down a,b", "down c,d", "down e", "down f", "down g"]
            .map(str::to_owned)
            .to_vec()
            .sorted()
    );
    record(&prepared, &all(up, 10));
    notify("3").run().exits(0);
    assert_eq!(told(&receiver)[5..], ["up a,b,c,d,e,f,g"]);
    assert_eq!(bodies(&receiver)[5]["title"], "UP: 7 sites");
    assert_eq!(prepared.count("select count(*) from notifications"), 14);
}

/// For comparing what comes in no order.
trait Sorted {
    fn sorted(self) -> Self;
}

impl Sorted for Vec<String> {
    fn sorted(mut self) -> Self {
        self.sort();
        self
    }
}

#[test]
fn an_old_database_tells_what_goes_on_and_no_history() {
    let prepared = Prepared::new("notify");
    let receiver = Website::up("taken");
    record(
        &prepared,
        &[
            down("over", 3_000),
            up("over", 2_000),
            down("shop", 3_000),
            up("gone", 80_000),
        ],
    );
    prepared.notify(&webhook(&receiver)).run().exits(0);
    assert_eq!(told(&receiver), ["down shop"]);

    let later = Prepared::new("notify");
    record(&later, &[down("shop", 3_000), down("new", 60)]);
    let receiver = Website::up("taken");
    let notify = || {
        later
            .notify(&webhook(&receiver))
            .var("NOTIFY_SINCE", "10m")
            .run()
            .exits(0)
    };
    notify();
    record(&later, &[up("shop", 10)]);
    notify();
    assert_eq!(told(&receiver), ["down new"]);
}

#[test]
fn certificates_and_sites_that_nobody_checks_are_told_of() {
    let prepared = Prepared::new("notify");
    let receiver = Website::up("taken");
    let notify = || prepared.notify(&webhook(&receiver)).run().exits(0);
    // The site's own holds; one of its chain does not.
    let with_certificate = |ago: i64, days: i64| {
        let in_days =
            |days| Some(crate::support::now() + jiff::SignedDuration::from_hours(24 * days));
        CheckEvent {
            certificate_not_after: in_days(90),
            chain_not_after: in_days(days),
            ..up("shop", ago)
        }
    };
    record(&prepared, &[with_certificate(300, 13), up("quiet", 620)]);
    notify();
    // What was silent before the first run is no news; what falls silent later is.
    record(&prepared, &[with_certificate(200, 2), up("quiet", 550)]);
    notify();
    prepared
        .client()
        .batch_execute(
            "update website_states set checked_at = checked_at - interval '1 hour',
                 last_up_at = last_up_at - interval '1 hour', first_known_at = first_known_at - interval '1 hour'
             where website_id = (select id from websites where name = 'quiet')",
        )
        .unwrap();
    record(&prepared, &[with_certificate(100, 90)]);
    notify();
    record(&prepared, &[up("quiet", 5)]);
    notify();
    notify();
    assert_eq!(
        told(&receiver).sorted(),
        [
            "certificate shop",
            "certificate shop",
            "certificate_renewed shop",
            "monitoring_stopped quiet",
            "resumed quiet",
        ]
    );
}

#[test]
fn work_that_was_announced_is_told_to_nobody() {
    let prepared = Prepared::new("notify");
    let receiver = Website::up("taken");
    let announced = CheckEvent {
        maintenance: true,
        ..down("shop", 70)
    };
    record(&prepared, &[up("shop", 130), announced]);
    prepared.notify(&webhook(&receiver)).run().exits(0);
    record(&prepared, &[up("shop", 10)]);
    prepared.notify(&webhook(&receiver)).run().exits(0);
    assert!(told(&receiver).is_empty());
}

#[test]
fn what_flaps_is_told_as_such_and_not_each_time() {
    let prepared = Prepared::new("notify");
    let receiver = Website::up("taken");
    for round in 0..6 {
        let ago = 500 - round * 60;
        for event in [down("shop", ago), up("shop", ago - 30)] {
            record(&prepared, &[event]);
            prepared.notify(&webhook(&receiver)).run().exits(0);
        }
    }
    assert_eq!(told(&receiver), ["down shop", "up shop", "down shop"]);
    assert_eq!(bodies(&receiver)[2]["title"], "FLAPPING: shop");
    prepared
        .notify(&webhook(&receiver))
        .var("NOTIFY_FLAP_WINDOW", "1m")
        .run()
        .exits(0);
    let last = bodies(&receiver).pop().unwrap();
    assert_eq!(last["event"], "up");
    assert_eq!(last["incidents"][0]["times"], 6);
    assert_eq!(prepared.count("select count(*) from notified_incidents"), 1);
}

#[test]
fn reminders_end_when_somebody_looks_after_it() {
    let prepared = Prepared::new("notify");
    let receiver = Website::up("taken");
    let notify = || {
        prepared
            .notify(&webhook(&receiver))
            .var("NOTIFY_REMIND", "1s")
    };
    record(&prepared, &[down("shop", 100)]);
    notify().run().exits(0);
    record(&prepared, &[down("shop", 50)]);
    notify().run().exits(0);
    notify()
        .var("NOTIFY_ACKNOWLEDGE", "99")
        .run()
        .exits(78)
        .stderr_has("NOTIFY_ACKNOWLEDGE names 99");
    let id = prepared
        .count("select id from notified_incidents")
        .to_string();
    record(&prepared, &[down("shop", 20)]);
    notify().var("NOTIFY_ACKNOWLEDGE", id).run().exits(0);
    record(&prepared, &[down("shop", 10)]);
    notify().run().exits(0);
    assert_eq!(
        told(&receiver),
        ["down shop", "reminder shop", "acknowledged shop"]
    );
}

#[test]
fn a_dry_run_shows_and_a_test_tries() {
    let prepared = Prepared::new("notify");
    let receiver = Website::up("taken");
    record(&prepared, &[down("shop", 70)]);
    for _ in 0..2 {
        prepared
            .notify(&webhook(&receiver))
            .var("NOTIFY_DRY_RUN", "true")
            .run()
            .exits(0)
            .stdout_has("webhook (down, decided ")
            .stdout_has("    DOWN: shop\n");
    }
    assert!(told(&receiver).is_empty());
    assert_eq!(prepared.count("select count(*) from notifications"), 0);

    // Without a database.
    let test = |urls: &str| {
        Run::notify()
            .var("NOTIFY_TEST", "true")
            .var("NOTIFY_URLS", urls)
            .run()
    };
    test(&webhook(&receiver))
        .exits(0)
        .stderr_has("webhook took the test");
    let tried = bodies(&receiver);
    assert_eq!(tried[0]["test"], true);
    assert_eq!(tried[0]["title"], "TEST: DOWN: sitewatch-test");
    let nobody = sitewatch_tests::port::reserve();
    let both = format!(
        "{} slack+http://127.0.0.1:{nobody}/services/hidden-part",
        webhook(&receiver)
    );
    let failed = test(&both)
        .exits(69)
        .stderr_has("webhook took the test")
        .stderr_has("slack did not take the test: ")
        .stderr_has("1 of 2 channels in NOTIFY_URLS did not take the test: slack");
    assert!(!failed.stderr.contains("hidden-part"), "{}", failed.stderr);
    assert_eq!(bodies(&receiver).len(), 2);
}

#[test]
fn every_mistake_is_told_at_once() {
    Run::notify()
        .var("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .var(
            "NOTIFY_URLS",
            "slack+https://hooks.slack.com/hidden#events=dwon ftp://hidden/",
        )
        .var("NOTIFY_REMIND", "soon")
        .run()
        .exits(78)
        .stderr_has("NOTIFY_URLS address 1 (slack): events= wants down")
        .stderr_has("NOTIFY_URLS address 2: is of no kind")
        .stderr_has("NOTIFY_REMIND is \"soon\"");
    Run::notify()
        .run()
        .exits(78)
        .stderr_has("NOTIFY_URLS is not set")
        .stderr_has("NOTIFY_URLS_FILE=path")
        .stderr_has("DATABASE_URL");
}
