//! `cron/systemd/`, judged by systemd's own tools without systemd running.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use sitewatch::run::Exit;
use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::shared;

use super::{BIN, open_directory, reads, text};
use crate::documents::{FUNCTIONS, root};
use crate::support::{Prepared, last_line, unique};

/// `systemd-analyze` counts in tenths: at most 1.9.
const MAX_EXPOSURE: &str = "--threshold=19";

/// What a function that failed may exit with.
const FAILURES: [Exit; 5] = [
    Exit::Usage,
    Exit::Unavailable,
    Exit::InternalError,
    Exit::Unfinished,
    Exit::Configuration,
];

fn units(extension: &str) -> Vec<PathBuf> {
    let mut units: Vec<PathBuf> = fs::read_dir(root().join("cron/systemd"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    units.sort();
    units
}

/// The values of each setting, in order.
fn settings(unit: &str) -> BTreeMap<String, Vec<String>> {
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in text(&format!("cron/systemd/{unit}"))
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
    {
        settings
            .entry(name.to_owned())
            .or_default()
            .push(value.to_owned());
    }
    settings
}

fn seconds(text: &str) -> f64 {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let factor = match unit {
        "s" => 1.0,
        "m" | "min" => 60.0,
        _ => panic!("{text} is in no unit that is used here"),
    };
    number.parse::<f64>().unwrap() * factor
}

fn environment(settings: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, String> {
    settings["Environment"]
        .iter()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn every_unit_is_clean_and_every_service_is_closed() {
    let directory = open_directory();
    let bin = directory.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for function in FUNCTIONS {
        symlink(Run::function(function).executable(), bin.join(function)).unwrap();
    }
    let analyze = |arguments: &[&str]| {
        arguments
            .iter()
            .fold(Run::program("systemd-analyze"), |run, argument| {
                run.arg(argument)
            })
            // Nobody's session and no pager are asked.
            .var("SYSTEMD_PAGER", "")
            .timeout(Duration::from_secs(60))
            .run()
    };
    for unit in units("service").into_iter().chain(units("timer")) {
        let copy = directory.path().join(unit.file_name().unwrap());
        let installed = fs::read_to_string(&unit)
            .unwrap()
            .replace(BIN, bin.to_str().unwrap());
        fs::write(&copy, installed).unwrap();
    }
    for unit in units("service").into_iter().chain(units("timer")) {
        let copy = directory.path().join(unit.file_name().unwrap());
        let copy = copy.to_str().unwrap();
        analyze(&["verify", "--man=no", copy])
            .exits(0)
            .stdout_is("")
            .stderr_is("");
        if copy.ends_with(".service") {
            analyze(&["security", "--offline=true", MAX_EXPOSURE, copy])
                .exits(0)
                .stdout_has("Overall exposure level");
        }
    }
}

#[test]
fn there_is_a_service_for_every_function_and_a_timer_for_all_but_setup() {
    let names = |extension: &str| -> Vec<String> {
        units(extension)
            .iter()
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    let mut expected = FUNCTIONS.map(|function| format!("sitewatch-{function}"));
    expected.sort();
    assert_eq!(names("service"), expected);
    let timers: Vec<&String> = expected
        .iter()
        .filter(|name| *name != "sitewatch-setup")
        .collect();
    assert_eq!(names("timer").iter().collect::<Vec<_>>(), timers);
}

#[test]
fn a_service_names_only_what_its_function_reads_and_exits_with() {
    for function in FUNCTIONS {
        let settings = settings(&format!("sitewatch-{function}.service"));
        assert_eq!(settings["ExecStart"], [format!("{BIN}/{function}")]);
        for name in environment(&settings).keys() {
            assert!(reads(function, name), "{function} does not read {name}");
        }
        for codes in ["SuccessExitStatus", "RestartPreventExitStatus"] {
            for code in settings
                .get(codes)
                .into_iter()
                .flatten()
                .flat_map(|codes| codes.split_whitespace())
            {
                let ours = FAILURES.iter().any(|exit| exit.code().to_string() == code);
                assert!(ours, "{function}: {code}");
            }
        }
        let credentials: Vec<&str> = settings
            .get("LoadCredential")
            .into_iter()
            .flatten()
            .map(|credential| credential.split(':').next().unwrap())
            .collect();
        let named = environment(&settings);
        let named: Vec<&str> = named
            .values()
            .filter_map(|value| value.strip_prefix("%d/"))
            .collect();
        assert_eq!(named, credentials, "{function}");
    }
}

#[test]
fn a_program_ends_by_itself_before_systemd_ends_it() {
    let probe = settings("sitewatch-probe.service");
    let deadline = seconds(&environment(&probe)["PROBE_DEADLINE"]);
    let timeout = seconds(&probe["TimeoutStartSec"][0]);
    let period = seconds(&environment(&probe)["PROBE_PERIOD"]);
    assert!(deadline < timeout && timeout < period);
    let drain = settings("sitewatch-drain.service");
    let deadline = seconds(&environment(&drain)["DRAIN_DEADLINE"]);
    assert!(deadline < seconds(&drain["TimeoutStartSec"][0]));
}

#[test]
fn the_drop_in_for_kafkas_certificates_wins_over_the_directory_that_cron_reads() {
    let readme = text("cron/README.md");
    let (_, rest) = readme.split_once("```ini\n").unwrap();
    let (drop_in, _) = rest.split_once("```").unwrap();
    let values = |name: &'static str| {
        drop_in
            .lines()
            .filter_map(move |line| line.strip_prefix(name)?.strip_prefix('='))
    };
    let kafka = shared::kafka(Version::V4_1);
    let credentials = tempfile::tempdir().unwrap();
    for credential in values("LoadCredential") {
        let (name, source) = credential.split_once(':').unwrap();
        let file = source.rsplit('/').next().unwrap();
        fs::copy(
            kafka.certificate_dir().join(file),
            credentials.path().join(name),
        )
        .unwrap();
    }
    let env = text("cron/env.example");
    let closed = env
        .lines()
        .find_map(|line| line.strip_prefix("#KAFKA_CERT_DIR="))
        .unwrap();
    let topic = unique("dropin");
    kafka.create_topic(&topic, 1);
    let prepared = Prepared::new("dropin");
    let drain = prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.ssl_bootstrap())
        .var("KAFKA_TOPIC", &topic)
        // systemd gives it after `Environment=`, so nothing there can take it away.
        .var("KAFKA_CERT_DIR", closed);
    let drain = values("Environment")
        .map(|pair| pair.split_once('=').unwrap())
        .fold(drain, |drain, (name, value)| {
            let directory = credentials.path().to_str().unwrap();
            drain.var(name, value.replace("%d", directory))
        });
    let drain = drain.run().exits(0);
    assert_eq!(last_line(&drain.stderr), "0 checks recorded");
}
