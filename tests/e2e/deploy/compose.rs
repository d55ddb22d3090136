//! `k8s/compose.yaml` and the image with cron in it, read by the code that Compose and BuildKit read
//! them with; no engine runs them here.

use serde_json::Value;
use sitewatch_tests::manifests;

use super::{BIN, reads};
use crate::documents::FUNCTIONS;

fn services() -> &'static serde_json::Map<String, Value> {
    manifests::read()["compose"]["services"]
        .as_object()
        .unwrap()
}

/// The crontab inside the image, in cron.d's form.
fn crontab() -> &'static str {
    let stages = manifests::read()["dockerfile"].as_array().unwrap();
    let cron = stages.iter().find(|stage| stage["name"] == "cron").unwrap();
    cron["files"]["/etc/cron.d/sitewatch"].as_str().unwrap()
}

#[test]
fn each_of_our_containers_runs_a_function_and_gives_it_what_it_reads() {
    let version = env!("CARGO_PKG_VERSION");
    for function in ["setup", "report"] {
        let service = &services()[function];
        assert_eq!(service["command"], serde_json::json!([function]));
        assert_eq!(service["image"], format!("sitewatch:{version}"));
        assert_eq!(service["build"]["target"], Value::Null);
        for name in service["environment"].as_object().unwrap().keys() {
            assert!(reads(function, name), "{function} does not read {name}");
        }
    }
    assert_eq!(services()["cron"]["build"]["target"], "cron");
}

#[test]
fn the_settings_are_files_that_every_function_of_ours_finds() {
    let targets = ["/etc/sitewatch/env", "/etc/sitewatch/sites.json"];
    for name in ["setup", "cron", "report"] {
        let configs = services()[name]["configs"].as_array().unwrap();
        let found: Vec<&Value> = configs.iter().map(|config| &config["target"]).collect();
        assert_eq!(found, targets, "{name}");
    }
    let env = manifests::read()["compose"]["configs"]["env"]["content"]
        .as_str()
        .unwrap();
    for (name, value) in env.lines().map(|line| line.split_once('=').unwrap()) {
        assert!(
            FUNCTIONS.iter().any(|function| reads(function, name)),
            "nobody reads {name}"
        );
        assert!(
            !value.starts_with("/etc/") || targets.contains(&value),
            "{name}={value}"
        );
    }
    // Certificates are off until there is a folder of them, and then where it is mounted.
    assert!(env.contains("\nKAFKA_CERT_DIR=\n"), "{env}");
    let volumes = &services()["cron"]["volumes"][0];
    assert_eq!(volumes["target"], "/run/certificates");
    assert_eq!(volumes["read_only"], true);
}

#[test]
fn the_crontab_in_the_image_starts_probe_and_drain_every_minute_and_maintain_every_hour() {
    let jobs = [
        ("* * * * * sitewatch ", ["probe", "drain"].as_slice()),
        ("7 * * * * sitewatch ", &["maintain"]),
    ];
    let mut started = vec![Vec::new(); jobs.len()];
    for line in crontab().lines() {
        let job = jobs
            .iter()
            .zip(&mut started)
            .find_map(|((when, _), found)| line.strip_prefix(when).map(|command| (command, found)));
        if let Some((command, found)) = job {
            found.extend(
                command
                    .split(' ')
                    .filter_map(|word| word.strip_prefix(BIN))
                    .map(|function| function.trim_start_matches('/')),
            );
        } else {
            let (name, _) = line.split_once('=').expect("a setting");
            let known = ["SHELL", "PATH"].contains(&name)
                || jobs
                    .iter()
                    .flat_map(|(_, functions)| *functions)
                    .any(|function| reads(function, name));
            assert!(known, "nobody reads {name}");
        }
    }
    assert_eq!(started, jobs.map(|(_, functions)| functions));
    assert!(crontab().contains("\nENV_FILE=/etc/sitewatch/env\n"));
}
