//! `k8s/compose.yaml` and the image with cron in it, read by the code that Compose and BuildKit read
//! them with; no engine runs them here, but what cron would run in the image is run.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use sitewatch_tests::command::Run;
use sitewatch_tests::directory::copy_all;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::websites::Website;
use sitewatch_tests::{manifests, shared};

use super::{BIN, install, open_directory, reads, text};
use crate::documents::{FUNCTIONS, root};
use crate::support::{Prepared, unique};

fn services() -> &'static serde_json::Map<String, Value> {
    manifests::read()["compose"]["services"]
        .as_object()
        .unwrap()
}

/// The stage of the image that has cron in it.
fn cron_stage() -> &'static Value {
    let stages = manifests::read()["dockerfile"].as_array().unwrap();
    stages.iter().find(|stage| stage["name"] == "cron").unwrap()
}

/// The crontab inside the image, in cron.d's form.
#[derive(Default)]
struct Crontab {
    variables: Vec<(&'static str, &'static str)>,
    /// Schedules and commands.
    lines: Vec<(String, &'static str)>,
}

impl Crontab {
    fn in_the_image() -> Self {
        let text = cron_stage()["files"]["/etc/cron.d/sitewatch"]
            .as_str()
            .unwrap();
        let mut found = Self::default();
        for line in text.lines() {
            if line.starts_with(|c: char| c.is_ascii_uppercase()) {
                let setting = line.split_once('=').expect("a setting");
                found.variables.push(setting);
                continue;
            }
            let mut fields = line.splitn(7, ' ');
            let schedule: Vec<&str> = fields.by_ref().take(5).collect();
            assert_eq!(fields.next(), Some("sitewatch"), "the user: {line}");
            let command = fields.next().expect("a command follows the user");
            assert!(!command.contains('%'), "to cron a % ends the command");
            found.lines.push((schedule.join(" "), command));
        }
        found
    }
}

/// The function that a line of the crontab starts.
fn function(command: &str) -> &str {
    let mut words = command.split(' ');
    words
        .find_map(|word| word.strip_prefix(BIN))
        .expect("a function is started")
        .trim_start_matches('/')
}

/// Compose's loader has the specification's JSON schema, and validates with it: that the file itself
/// is valid is part of reading it.
#[test]
fn what_the_compose_specification_does_not_allow_would_be_refused() {
    let directory = tempfile::tempdir().unwrap();
    let k8s = directory.path().join("k8s");
    copy_all(&root().join("k8s"), &k8s).unwrap();
    let compose = k8s.join("compose.yaml");
    let text = fs::read_to_string(&compose).unwrap();
    for (wrong, place) in [
        (
            ("read_only: true\n    tmpfs", "readonly: true\n    tmpfs"),
            "services.web",
        ),
        (
            ("ports:\n", "ports: 8080\n    labels:\n"),
            "services.web.ports",
        ),
    ] {
        assert!(text.contains(wrong.0), "{wrong:?}");
        fs::write(&compose, text.replacen(wrong.0, wrong.1, 1)).unwrap();
        let refused = manifests::read_directory(&directory.path().join("k8s")).unwrap_err();
        assert!(refused.to_string().contains(place), "{refused}");
    }
}

#[test]
fn each_of_our_containers_is_of_this_version_and_given_what_its_function_reads() {
    let version = env!("CARGO_PKG_VERSION");
    for function in ["setup", "report"] {
        let service = &services()[function];
        assert_eq!(service["command"], json!([function]));
        assert_eq!(service["image"], format!("sitewatch:{version}"));
        for name in service["environment"].as_object().unwrap().keys() {
            assert!(reads(function, name), "{function} does not read {name}");
        }
    }
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
}

#[test]
fn the_crontab_in_the_image_starts_every_function_that_is_scheduled() {
    let Crontab { variables, lines } = Crontab::in_the_image();
    let started: Vec<(&str, &str)> = lines
        .iter()
        .map(|(schedule, command)| (schedule.as_str(), function(command)))
        .collect();
    let scheduled = FUNCTIONS.iter().filter(|function| **function != "setup");
    assert_eq!(
        started
            .iter()
            .map(|(_, function)| *function)
            .collect::<BTreeSet<_>>(),
        scheduled.copied().collect()
    );
    // As whoever runs it by cron on a machine has it.
    let example = text("cron/crontab.example");
    for (schedule, function) in &started {
        // What not everybody wants stands there to be taken.
        let same = example.lines().any(|line| {
            line.trim_start_matches('#').starts_with(schedule)
                && line.ends_with(&format!("{BIN}/{function}"))
        });
        assert!(same || *function == "report", "{schedule} {function}");
    }
    for (name, _) in &variables {
        let known = ["SHELL", "PATH"].contains(name)
            || started.iter().any(|(_, function)| reads(function, name));
        assert!(known, "nobody reads {name}");
    }
    assert!(variables.contains(&("ENV_FILE", "/etc/sitewatch/env")));
}

#[test]
fn the_status_page_is_written_where_the_web_server_reads_it() {
    let Crontab { lines, .. } = Crontab::in_the_image();
    let (_, report) = lines
        .iter()
        .find(|(_, command)| function(command) == "report")
        .unwrap();
    let output = report
        .split(' ')
        .find_map(|word| word.strip_prefix("REPORT_OUTPUT="))
        .unwrap();
    let directory = output.strip_suffix("/index.html").unwrap();

    let mount = |service: &str, target: &str| -> &'static Value {
        let volumes = services()[service]["volumes"].as_array().unwrap();
        volumes
            .iter()
            .find(|volume| volume["target"] == target)
            .unwrap_or_else(|| panic!("{service} has nothing at {target}"))
    };
    let written = mount("cron", directory);
    let served = mount("web", "/usr/share/nginx/html");
    assert_eq!(written["source"], served["source"]);
    let stage = cron_stage()["instructions"].as_array().unwrap();
    let made = format!("install -d -o sitewatch -g sitewatch {directory}");
    assert!(
        stage
            .iter()
            .any(|line| line.as_str().unwrap().contains(&made)),
        "{stage:#?}"
    );
}

#[test]
fn what_cron_runs_in_the_image_records_checks_and_writes_the_page() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("compose");
    kafka.create_topic(&topic, 1);
    let prepared = Prepared::new("compose");
    let website = Website::up("fine");
    // The image's directories, below one of ours.
    let directory = open_directory();
    let place = |path: &str| directory.path().join(path.trim_start_matches('/'));
    for path in ["/etc/sitewatch", "/var/lib/sitewatch/status", "/var/log"] {
        fs::create_dir_all(place(path)).unwrap();
    }
    install(&FUNCTIONS, directory.path());
    let sites = json!([{"name": "the-site", "url": website.url()}]);
    fs::write(place("/etc/sitewatch/sites.json"), sites.to_string()).unwrap();
    // The settings of compose.yaml, for the servers there are.
    let env = format!(
        "KAFKA_BROKERS={}\nKAFKA_TOPIC={topic}\nDATABASE_URL={}\nSITES_FILE={}\nNOTIFY_URLS='webhook+http://127.0.0.1:1'\n",
        kafka.bootstrap(),
        prepared.url(),
        place("/etc/sitewatch/sites.json").display()
    );
    fs::write(place("/etc/sitewatch/env"), env).unwrap();
    let moved = |text: &str| {
        let below = |path: &str| place(path).display().to_string();
        text.replace(BIN, &below("/bin"))
            .replace("/var/", &below("/var/"))
            .replace("/etc/", &below("/etc/"))
    };

    let Crontab { variables, lines } = Crontab::in_the_image();
    for (_, command) in &lines {
        Run::program("/bin/sh")
            .arg("-c")
            .arg(moved(command))
            .bare()
            .vars(variables.iter().map(|(name, value)| (name, moved(value))))
            .run()
            .exits(0)
            .stdout_is("")
            .stderr_is("");
    }
    let log = fs::read_to_string(place("/var/log/sitewatch")).unwrap();
    for said in [
        "1 check: 1 up",
        "1 check recorded",
        "1 site: 1 up",
        "maintain: ",
        "nothing to tell",
    ] {
        assert!(log.contains(said), "{log}");
    }
    let page = fs::read_to_string(place("/var/lib/sitewatch/status/index.html")).unwrap();
    assert!(page.contains("the-site"), "{page}");
}
