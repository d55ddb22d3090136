//! What each service is sent, judged by schemas that follow its documentation.

use serde_json::Value;
use sitewatch::event::CheckEvent;
use sitewatch_tests::websites::{Behaviour, Page, Website};

use super::{beside, bodies, judge, record};
use crate::support::{Prepared, down, up};

/// A service, the address it has, and what it answers.
struct Service {
    kind: &'static str,
    address: &'static str,
    target: &'static str,
    answer: &'static str,
}

const SERVICES: [Service; 5] = [
    Service {
        kind: "slack",
        address: "services/T0/B0/x",
        target: "/services/T0/B0/x",
        answer: "ok",
    },
    Service {
        kind: "teams",
        address: "workflows/1/triggers/manual/paths/invoke?api-version=2016-06-01&sig=x",
        target: "/workflows/1/triggers/manual/paths/invoke?api-version=2016-06-01&sig=x",
        answer: "",
    },
    Service {
        kind: "telegram",
        address: "bot12:token?chat_id=-1001&message_thread_id=7",
        target: "/bot12:token/sendMessage",
        answer: r#"{"ok":true,"result":{"message_id":1}}"#,
    },
    Service {
        kind: "ntfy",
        address: "prefix/my-topic",
        target: "/prefix",
        answer: r#"{"id":"x"}"#,
    },
    Service {
        kind: "pagerduty",
        address: "",
        target: "/v2/enqueue",
        answer: r#"{"status":"success","message":"Event processed"}"#,
    },
];

#[test]
fn each_service_is_sent_what_its_documentation_asks_for() {
    let receivers: Vec<Website> = SERVICES
        .iter()
        .map(|service| Website::start(Behaviour::Page(Page::ok(service.answer))))
        .collect();
    let urls: Vec<String> = SERVICES
        .iter()
        .zip(&receivers)
        .map(|(service, receiver)| {
            let login = match service.kind {
                "pagerduty" => "0123456789abcdef0123456789abcdef@",
                _ => "",
            };
            let url = receiver.url().replace("://", &format!("://{login}"));
            format!("{}+{url}{}", service.kind, service.address)
        })
        .collect();
    let urls = urls.join(" ");
    let prepared = Prepared::new("notify");
    let hostile = "<!channel> *b* \u{202e}[x](http://y) \"q\" \\ \u{0}".replace('\u{0}', "");
    let many = |event: fn(&str, i64) -> CheckEvent<'static>, ago| -> Vec<CheckEvent<'static>> {
        (0..40)
            .map(|number| event(&format!("site-{number}"), ago))
            .collect()
    };
    let notify = || prepared.notify(&urls).run().exits(0);
    record(&prepared, &[down(&hostile, 300)]);
    notify();
    let id = prepared
        .count("select id from notified_incidents")
        .to_string();
    prepared
        .notify(&urls)
        .var("NOTIFY_ACKNOWLEDGE", id)
        .run()
        .exits(0);
    record(&prepared, &[up(&hostile, 200)]);
    notify();
    record(&prepared, &many(down, 100));
    notify();
    record(&prepared, &many(up, 50));
    notify();
    for (service, receiver) in SERVICES.iter().zip(&receivers) {
        let requests = receiver.requests();
        assert_eq!(requests.len(), 5, "{}", service.kind);
        for request in &requests {
            assert_eq!(request.target, service.target, "{}", service.kind);
            assert_eq!(request.method, "POST");
            assert!(
                request
                    .header("Content-Type")
                    .unwrap()
                    .starts_with("application/json"),
                "{request:?}"
            );
        }
        judge(
            &beside(&format!("schemas/{}.json", service.kind)),
            &bodies(receiver),
        );
    }
    let pagerduty = bodies(receivers.last().unwrap());
    let actions: Vec<&str> = pagerduty
        .iter()
        .map(|body| body["event_action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        ["trigger", "acknowledge", "resolve", "trigger", "resolve"]
    );
    let keys: Vec<&Value> = pagerduty.iter().map(|body| &body["dedup_key"]).collect();
    assert_eq!([keys[1], keys[2]], [keys[0]; 2]);
    assert_eq!(keys[4], keys[3]);
    assert_ne!(keys[3], keys[0]);
}

/// Half of a storm is over: PagerDuty's incident goes on until all of it is.
#[test]
fn an_incident_of_many_sites_ends_with_the_last_of_them() {
    let prepared = Prepared::new("notify");
    let receiver = Website::up("{}");
    let url = format!(
        "pagerduty+{}#events=down",
        receiver
            .url()
            .replace("://", "://0123456789abcdef0123456789abcdef@")
    );
    let names: Vec<String> = (0..10).map(|number| format!("site-{number}")).collect();
    let of = |names: &[String], event: fn(&str, i64) -> CheckEvent<'static>, ago| {
        names
            .iter()
            .map(|name| event(name, ago))
            .collect::<Vec<_>>()
    };
    for events in [
        of(&names, down, 100),
        of(&names[..5], up, 50),
        of(&names[5..], up, 10),
    ] {
        record(&prepared, &events);
        prepared.notify(&url).run().exits(0);
    }
    let actions: Vec<Value> = bodies(&receiver)
        .into_iter()
        .map(|body| body["event_action"].clone())
        .collect();
    assert_eq!(actions, ["trigger", "resolve"]);
}
