//! Filters, files, columns, metrics.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::path::Path;
use std::thread;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use sitewatch::postgres::SCHEMA_VERSION;
use sitewatch_tests::prometheus;
use sitewatch_tests::websites::{Behaviour, Website};

use crate::support::{Prepared, down, lines, up};

use super::history::json;

fn filled() -> Prepared {
    let prepared = Prepared::new("report");
    let mut labelled = up("blog-de", 60);
    labelled.labels.insert("team".into(), "web".into());
    let mut odd = up("a\"b\\c", 60);
    odd.url = "https://odd.example/".into();
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[down("shop", 60), up("blog-en", 60), labelled, odd]))
        .run()
        .exits(0);
    prepared
}

#[test]
fn filters_choose_sites() {
    let prepared = filled();
    for (variables, expected) in [
        (vec![("REPORT_SITE", "blog-*")], vec!["blog-de", "blog-en"]),
        (
            vec![("REPORT_SITE", "shop,blog-de")],
            vec!["shop", "blog-de"],
        ),
        (vec![("REPORT_LABEL", "team=web")], vec!["blog-de"]),
        (vec![("REPORT_STATE", "down")], vec!["shop"]),
        (
            vec![("REPORT_STATE", "up"), ("REPORT_SITE", "shop")],
            vec![],
        ),
    ] {
        let shown = prepared
            .report()
            .vars(variables.clone())
            .var("REPORT_FORMAT", "json")
            .run()
            .exits(0);
        let sites: Vec<String> = json(&shown.stdout)
            .iter()
            .map(|line| line["site"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(sites, expected, "{variables:?}");
    }
    let recent = prepared
        .report()
        .var("REPORT_KIND", "recent")
        .var("REPORT_SITE", "shop")
        .var("REPORT_SINCE", "10m")
        .var("REPORT_FORMAT", "json")
        .run()
        .exits(0);
    assert_eq!(json(&recent.stdout).len(), 1);
}

#[test]
fn a_site_that_is_down_is_told_by_the_exit_code_when_asked_for() {
    let prepared = filled();
    prepared.report().run().exits(0);
    let asked = || prepared.report().var("REPORT_FAIL_ON_DOWN", "true");
    for kind in ["sites", "recent", "incidents", "days", "sla"] {
        let of_kind = || asked().var("REPORT_KIND", kind);
        of_kind().run().exits(1);
        of_kind().var("REPORT_SITE", "blog-*").run().exits(0);
    }
}

#[test]
fn every_column_is_documented() {
    let prepared = filled();
    prepared.maintain().run().exits(0);
    // A day that is over, so that there is one.
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[up("shop", 200_000), down("shop", 190_000)]))
        .run()
        .exits(0);
    prepared.maintain().run().exits(0);
    // Nobody is there to take it.
    prepared
        .notify("webhook+http://127.0.0.1:1/")
        .run()
        .exits(75);
    let text = documentation();
    let report = |kind: &str| prepared.report().var("REPORT_KIND", kind);
    for kind in [
        "sites",
        "recent",
        "incidents",
        "days",
        "runs",
        "notifications",
        "sla",
    ] {
        let (_, section) = text.split_once(&format!("\n## {kind}\n")).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let csv = report(kind)
            .var("REPORT_FORMAT", "csv")
            .run()
            .exits(0)
            .stdout;
        let header = csv
            .lines()
            .next()
            .unwrap_or_else(|| panic!("{kind} has no header"));
        for column in header.split(',') {
            assert!(section.contains(&format!("`{column}`")), "{kind}: {column}");
        }
        for documented in first_cells(section) {
            assert!(
                header.split(',').any(|column| column == documented),
                "{kind} has no {documented}"
            );
        }
        let json = report(kind).var("REPORT_FORMAT", "json").run().exits(0);
        let line = json.stdout.lines().next().unwrap();
        let places: Vec<usize> = header
            .split(',')
            .map(|column| {
                let at = line.find(&format!("\"{column}\":"));
                at.unwrap_or_else(|| panic!("{kind}: {column} in {line}"))
            })
            .collect();
        assert!(places.is_sorted(), "{kind}: {line}");
        let none = report(kind)
            .var("REPORT_SITE", "no-such-site")
            .var("REPORT_FORMAT", "csv")
            .run()
            .exits(0);
        assert_eq!(none.stdout.lines().next(), Some(header), "{kind}");
    }
}

/// What stands between backquotes in the first cells of a section's tables.
fn first_cells(section: &str) -> impl Iterator<Item = &str> {
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('|'))
        .flat_map(|(cell, _)| cell.split('`').step_by(2))
        .filter(|name| !name.trim().is_empty())
}

#[test]
fn every_metric_is_documented() {
    let prepared = filled();
    let metrics = prepared
        .report()
        .var("REPORT_FORMAT", "prometheus")
        .var("REPORT_PROMETHEUS_LABELS", "team")
        .run()
        .exits(0)
        .stdout;
    let written: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" gauge"))
        .collect();
    let text = documentation();
    let (_, section) = text.split_once("\n## prometheus\n").unwrap();
    assert_eq!(written, first_cells(section).collect());
}

fn documentation() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/report/README.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_file_is_written_whole_and_its_trouble_is_told() {
    let prepared = filled();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sites.csv");
    prepared
        .report()
        .var("REPORT_FORMAT", "csv")
        .var("REPORT_OUTPUT", &path)
        .run()
        .exits(0)
        .stdout_is("");
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 5);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    prepared
        .report()
        .var("REPORT_OUTPUT", directory.path().join("none/sites.txt"))
        .run()
        .exits(78)
        .logs(&format!("ERROR report: REPORT_OUTPUT is {0}/none/sites.txt, and there is no directory {0}/none; make it (exit code 78)\n", directory.path().display()));
}

#[test]
fn only_a_file_is_replaced_by_what_is_written() {
    let prepared = filled();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let report = |to: &Path| {
        let run = prepared.report().var("REPORT_FORMAT", "csv");
        run.var("REPORT_OUTPUT", to).run().exits(0)
    };

    let pipe = path("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let reader = thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read_to_string(pipe).unwrap()
    });
    report(&pipe);
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(reader.join().unwrap().lines().count(), 5);

    let (file, link) = (path("file"), path("link"));
    std::fs::write(&file, "old").unwrap();
    symlink("file", &link).unwrap();
    report(&link);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 5);
}

#[test]
fn metrics_are_prometheus_text_with_odd_names_escaped() {
    let prepared = filled();
    // Of a topic, which standard input is not.
    prepared
        .client()
        .batch_execute("insert into kafka_offsets values ('a topic', 3, 17)")
        .unwrap();
    let text = prepared
        .report()
        .var("REPORT_FORMAT", "prometheus")
        .run()
        .exits(0)
        .stdout;
    let migrations = format!(
        r#"sitewatch_function_last_run_items{{function="setup",figure="migrations"}} {SCHEMA_VERSION}.0"#
    );
    for line in [
        "# TYPE sitewatch_site_up gauge",
        r#"sitewatch_site_up{site="shop",location="default"} 0.0"#,
        r#"sitewatch_site_up{site="a\"b\\c",location="default"} 1.0"#,
        r#"sitewatch_site_response_seconds{site="shop",location="default",phase="total"} 0.0735"#,
        r#"sitewatch_function_last_run_exit_code{function="drain"} 0.0"#,
        r#"sitewatch_function_last_run_items{function="drain",figure="recorded"} 4.0"#,
        &migrations,
        r#"sitewatch_probe_sites{location="default"} 4.0"#,
        r#"sitewatch_kafka_next_offset{topic="a topic",partition="3"} 17"#,
        "sitewatch_rollups_waiting 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(!text.contains("# EOF"), "{text}");
    prometheus::check_metrics(&text).unwrap();
    let wrong = format!("{text}# HELP x_hours x\n# TYPE x_hours gauge\nx_hours 1\n");
    assert!(prometheus::check_metrics(&wrong).is_err());
}

#[test]
fn metrics_are_pushed_to_a_gateway() {
    let prepared = filled();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut taken = Vec::new();
        let mut buffer = [0; 65_536];
        loop {
            let text = String::from_utf8_lossy(&taken).into_owned();
            let complete = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let length = head
                    .lines()
                    .find_map(|line| {
                        line.to_lowercase()
                            .strip_prefix("content-length: ")?
                            .parse()
                            .ok()
                    })
                    .unwrap_or(usize::MAX);
                body.len() >= length
            });
            if complete {
                connection
                    .write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
                    .unwrap();
                return text;
            }
            let read = connection.read(&mut buffer).unwrap();
            assert!(read > 0, "cut off: {text}");
            taken.extend_from_slice(&buffer[..read]);
        }
    });
    let pushed = || {
        prepared.report().var("REPORT_FORMAT", "prometheus").var(
            "PROMETHEUS_PUSHGATEWAY_URL",
            format!("http://u:hunter2@{address}"),
        )
    };
    pushed()
        .var("REPORT_OUTPUT", "metrics.prom")
        .run()
        .exits(78)
        .logs(r#"ERROR report: REPORT_OUTPUT is set, but metrics go to PROMETHEUS_PUSHGATEWAY_URL instead; wants one of the two
ERROR report: see `report --help` for every variable it reads (exit code 78)
"#);
    pushed().run().exits(0).stdout_is("");
    let taken = gateway.join().unwrap();
    assert!(
        taken.starts_with("PUT /metrics/job/sitewatch HTTP/1.1\r\n"),
        "{taken}"
    );
    assert!(
        taken
            .to_lowercase()
            .contains("authorization: basic dTpodW50ZXIy".to_lowercase().as_str()),
        "{taken}"
    );
    assert!(taken.contains("sitewatch_site_up{"), "{taken}");

    pushed()
        .run()
        .exits(69)
        .logs("ERROR report: the Pushgateway at 127.0.0.1 did not take the metrics: Connection refused (os error 111); check PROMETHEUS_PUSHGATEWAY_URL (exit code 69)\n");
}

/// A login page says 200 to everything.
#[test]
fn a_pushgateway_that_redirects_has_not_taken_the_metrics() {
    let prepared = filled();
    let login = Website::up("log in");
    for (to, told) in [
        (
            format!("{}login?for=hunter2", login.url()),
            login.url().trim_end_matches('/').to_owned(),
        ),
        (
            "/login?for=hunter2".to_owned(),
            "another path of its own".to_owned(),
        ),
    ] {
        let redirects = Website::start(Behaviour::Redirect { to, hops: 1 });
        prepared
            .report()
            .var("REPORT_FORMAT", "prometheus")
            .var("PROMETHEUS_PUSHGATEWAY_URL", redirects.url())
            .run()
            .exits(69)
            .logs(&format!("ERROR report: the Pushgateway at 127.0.0.1 did not take the metrics: 302 Found: it redirects to {told}; redirects are not followed; it says \"elsewhere\"; check PROMETHEUS_PUSHGATEWAY_URL (exit code 69)\n"));
        assert_eq!(redirects.requests().len(), 1);
    }
    assert_eq!(login.connections(), 0);
}

#[test]
fn a_terminal_gets_colours_and_lines_that_fit_and_a_pipe_gets_everything() {
    let prepared = filled();
    let shown = |columns: u16| {
        prepared
            .report()
            .stdout_on_terminal()
            .columns(columns)
            .run()
            .exits(0)
            .stdout
    };
    let narrow = shown(60);
    assert!(narrow.contains("\u{1b}[38;5;9m down"), "{narrow}");
    assert!(!narrow.contains("30 d"), "{narrow}");
    assert!(!narrow.contains("expected 200-399"), "{narrow}");
    // The heading and four sites.
    assert_eq!(narrow.lines().count(), 5, "{narrow}");
    let wide = shown(200);
    for part in ["30 d", "status 500, expected 200-399"] {
        assert!(wide.contains(part), "{part} in\n{wide}");
    }
    let plain = prepared
        .report()
        .var("NO_COLOR", "1")
        .var("LOG_LEVEL", "error")
        .stdout_on_terminal()
        .columns(60)
        .run()
        .exits(0)
        .stdout;
    assert!(plain.contains("down"), "{plain}");
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let piped = prepared.report().run().exits(0).stdout;
    assert!(!piped.contains('\u{1b}'), "{piped}");
    assert!(piped.contains("expected 200-399"), "{piped}");
    // What is broken comes first.
    assert!(piped.lines().nth(1).unwrap().contains("shop"), "{piped}");
}
