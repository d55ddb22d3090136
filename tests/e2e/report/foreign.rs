//! Names and errors that strangers wrote: shown as they are, and obeyed by nobody who reads them.

use std::collections::BTreeSet;

use serde_json::Value;
use sitewatch::words::{is_blank, is_obeyed};
use sitewatch_tests::command::Run;

use super::history::json;
use crate::support::{Prepared, down, last_line, lines, up};

/// Formulas, a C1 control, an override of direction, spaces of no width.
const NAMES: [&str; 9] = [
    "=1+1",
    "+2",
    "-3+4",
    "@SUM(A1)",
    "＝1",
    "c\u{9b}2J",
    "\u{202e}live",
    "sh\u{200b}op",
    "sh\u{200d}op",
];

fn filled() -> Prepared {
    let prepared = Prepared::new("report");
    let events: Vec<_> = NAMES
        .iter()
        .map(|name| {
            let mut event = down(name, 60);
            event.url = "https://shop.example/".into();
            event.location = "\u{2066}fra".into();
            event.error = Some("=HYPERLINK(1)\u{85}\u{202e}".into());
            event
        })
        .collect();
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&events))
        .run()
        .exits(0);
    prepared
}

/// The cells of a record; none of these has a quote or a comma in a cell.
fn cells(record: &str) -> Vec<&str> {
    record
        .split(',')
        .map(|cell| cell.trim_matches('"'))
        .collect()
}

#[test]
fn no_format_shows_what_a_reader_would_obey() {
    let prepared = filled();
    for (kind, formats) in [
        ("sites", &["table", "json", "csv", "html", "prometheus"][..]),
        ("recent", &["table", "json", "csv"]),
        ("incidents", &["table", "json", "csv"]),
    ] {
        for format in formats {
            let shown = prepared
                .report()
                .var("REPORT_KIND", kind)
                .var("REPORT_FORMAT", format)
                .run()
                .exits(0)
                .stdout;
            let obeyed: BTreeSet<char> = shown
                .chars()
                .filter(|c| is_obeyed(*c) && *c != '\n')
                .collect();
            assert!(obeyed.is_empty(), "{kind}, {format}: {obeyed:?}\n{shown}");
            if *format == "json" {
                let names: BTreeSet<String> = json(&shown)
                    .iter()
                    .map(|line| line["site"].as_str().unwrap().to_owned())
                    .collect();
                let sent = NAMES.iter().map(|name| (*name).to_owned()).collect();
                assert_eq!(names, sent, "{kind}: what a program reads is what was sent");
            } else {
                assert!(
                    shown.contains("sh\\") && shown.contains("u{200b}op"),
                    "{shown}"
                );
            }
        }
    }
}

#[test]
fn no_cell_of_a_csv_file_is_a_formula_and_numbers_are_numbers() {
    let prepared = filled();
    let mut expired = up("numbers", 60);
    expired.certificate_not_after = Some(expired.checked_at - jiff::SignedDuration::from_hours(99));
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[expired]))
        .run()
        .exits(0);
    let mut texts = BTreeSet::new();
    for kind in ["sites", "recent", "incidents"] {
        let shown = prepared
            .report()
            .var("REPORT_KIND", kind)
            .var("REPORT_FORMAT", "csv")
            .run()
            .exits(0)
            .stdout;
        for record in shown.lines() {
            for cell in cells(record) {
                let begins = cell.starts_with(['=', '+', '-', '@', '＝']);
                assert!(!begins || cell.parse::<i64>().is_ok(), "{kind}: {cell}");
                texts.insert(cell.to_owned());
            }
        }
    }
    for text in ["'=1+1", "'+2", "'-3+4", "'@SUM(A1)", "'＝1", "-4"] {
        assert!(texts.contains(text), "{text} in {texts:?}");
    }
}

#[test]
fn a_name_of_which_nothing_can_be_seen_is_refused() {
    let prepared = Prepared::new("report");
    let blank = [
        "\u{200b}",
        " \u{3000}",
        "\u{3164}",
        "\u{2800}",
        "\u{202e}\u{ad}",
    ];
    for name in blank {
        assert!(is_blank(name));
        let list = serde_json::json!([{"name": name, "url": "https://shop.example/"}]);
        let refused = Run::probe()
            .var("SITES", list.to_string())
            .var("PROBE_SINK", "stdout")
            .run()
            .exits(78);
        assert!(
            refused.stderr.contains("name has nothing that can be seen")
                || refused.stderr.contains("name is empty"),
            "{name:?}: {}",
            refused.stderr
        );
        Run::probe()
            .var("SITES", "https://shop.example/")
            .var("PROBE_SINK", "stdout")
            .var("PROBE_LOCATION", name)
            .run()
            .exits(78)
            .logs(&format!(r#"ERROR probe: PROBE_LOCATION is {name:?}: nothing of it can be seen; wants a name of at most 100 characters, for example fra1
ERROR probe: see `probe --help` for every variable it reads (exit code 78)
"#));
    }
    let mut events: Vec<_> = blank.iter().map(|name| up(name, 60)).collect();
    for event in &mut events {
        event.url = "https://shop.example/".into();
    }
    let mut nowhere = up("shop", 60);
    nowhere.location = "\u{200b}".into();
    events.push(nowhere);
    let run = prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&events))
        .run()
        .exits(0);
    assert_eq!(last_line(&run.stderr), "0 checks recorded, 6 dead-lettered");
    let reasons: BTreeSet<String> = prepared.reasons().into_values().collect();
    assert_eq!(
        reasons.into_iter().collect::<Vec<_>>(),
        [
            "location: nothing of it can be seen",
            "site: nothing of it can be seen"
        ]
    );
}

#[test]
fn a_log_line_shows_what_it_does_not_obey() {
    let prepared = Prepared::new("report");
    for format in ["text", "json"] {
        let said = prepared
            .report()
            .var("LOG_FORMAT", format)
            .var("REPORT_OUTPUT", "no\u{202e}such\u{9b}directory/x")
            .run()
            .exits(78)
            .stderr;
        assert!(!said.chars().any(|c| is_obeyed(c) && c != '\n'), "{said}");
        assert!(said.contains("u{202e}such"), "{said}");
        if format == "json" {
            let _: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
        }
    }
}
