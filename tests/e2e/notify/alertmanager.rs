//! Debian's Alertmanager: alerts fire, are kept alive, and are resolved.

use std::fs;

use serde_json::Value;
use sitewatch::event::CheckEvent;
use sitewatch_tests::command::{Run, Running};
use sitewatch_tests::websites::Website;
use sitewatch_tests::{port, wait};

use super::{bodies, record};
use crate::support::{Prepared, down, last_line, up};

struct Alertmanager {
    _running: Running,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Alertmanager {
    /// One that passes on to a webhook, all alerts of one name together.
    fn start(receiver: &Website) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let configuration = format!(
            "route: {{receiver: us, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}\n\
             receivers: [{{name: us, webhook_configs: [{{url: '{}', send_resolved: true}}]}}]\n",
            receiver.url()
        );
        fs::write(path("alertmanager.yml"), configuration).unwrap();
        let port = port::reserve();
        let running = Run::program("prometheus-alertmanager")
            .arg(format!("--config.file={}", path("alertmanager.yml")))
            .arg(format!("--storage.path={}", path("data")))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .spawn();
        wait::until("Alertmanager answers", wait::SOON, || port::is_open(port));
        Self {
            _running: running,
            port,
            _directory: directory,
        }
    }

    fn url(&self) -> String {
        format!("alertmanager+http://127.0.0.1:{}", self.port)
    }
}

/// Status and sites of each notification that Alertmanager passed on.
fn passed_on(receiver: &Website) -> Vec<(String, usize)> {
    bodies(receiver)
        .iter()
        .map(|body| {
            let alerts = body["alerts"].as_array().unwrap();
            (body["status"].as_str().unwrap().to_owned(), alerts.len())
        })
        .collect()
}

#[test]
fn alerts_fire_are_grouped_and_are_resolved() {
    let receiver = Website::up("");
    let alertmanager = Alertmanager::start(&receiver);
    let prepared = Prepared::new("notify");
    let many = |event: fn(&str, i64) -> CheckEvent<'static>, ago| -> Vec<CheckEvent<'static>> {
        (0..20)
            .map(|number| event(&format!("site-{number}"), ago))
            .collect()
    };
    let notify = || prepared.notify(&alertmanager.url()).run().exits(0);
    record(&prepared, &many(down, 70));
    assert_eq!(last_line(&notify().stderr), "1 message sent");
    wait::until("they fire, together", wait::SOON, || {
        passed_on(&receiver).contains(&("firing".to_owned(), 20))
    });
    let alert = bodies(&receiver)[0]["alerts"][0].clone();
    assert_eq!(alert["labels"]["alertname"], "SiteDown");
    assert_eq!(alert["labels"]["severity"], "critical");
    assert_eq!(
        alert["annotations"]["summary"],
        format!("DOWN: {}", alert["labels"]["site"].as_str().unwrap())
    );
    record(&prepared, &many(up, 10));
    notify();
    wait::until("they are resolved, together", wait::SOON, || {
        passed_on(&receiver).contains(&("resolved".to_owned(), 20))
    });
}

/// One that was started anew, without what it knew, fires again with the next run.
#[test]
fn an_alert_is_kept_alive_by_every_run() {
    let receiver = Website::up("");
    let prepared = Prepared::new("notify");
    record(&prepared, &[down("shop", 70)]);
    let first = Alertmanager::start(&receiver);
    prepared.notify(&first.url()).run().exits(0);
    wait::until("it fires", wait::SOON, || !receiver.requests().is_empty());
    drop(first);
    let fired = receiver.requests().len();
    let second = Alertmanager::start(&receiver);
    assert_eq!(
        last_line(&prepared.notify(&second.url()).run().exits(0).stderr),
        "nothing to tell"
    );
    wait::until("it fires anew", wait::SOON, || {
        receiver.requests().len() > fired
    });
    let last: Value = bodies(&receiver).pop().unwrap();
    assert_eq!(last["alerts"][0]["labels"]["site"], "shop");
}
