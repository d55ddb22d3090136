//! Pages, feeds and badges in other languages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::SignedDuration;
use sitewatch::event::{CheckEvent, Outcome};

use crate::support::{Prepared, down, lines, now, up};

type Words = BTreeMap<String, String>;

fn words(language: &str) -> Words {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../functions/report")
        .join(format!("words.{language}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Names and reasons without a letter, so that letters are words.
fn named(name: &'static str, check: CheckEvent<'static>) -> CheckEvent<'static> {
    CheckEvent {
        site: name.into(),
        evidence: check.error.as_ref().map(|_| "501".into()),
        error: check.error.map(|_| "500".into()),
        location: "22".into(),
        ..check
    }
}

/// Sites in every state, and what else a page may show.
fn prepared() -> Prepared {
    let prepared = Prepared::new("words");
    prepared
        .client()
        .batch_execute(
            r#"insert into websites (name, url, settings) values
                 ('0', 'https://x.example/', '{}'), ('9', 'https://x.example/', '{"agree": "majority"}')"#,
        )
        .unwrap();
    let soon = Some(now() + SignedDuration::from_hours(50));
    let mut events = vec![
        named("1", up("x", 30)),
        named("2", down("x", 30)),
        named("2", up("x", 7_200)),
        named("11", down("x", 30)),
        named("3", down("x", 3_600)),
        named("3", up("x", 30)),
        named("4", down("x", 9_000)),
        CheckEvent {
            up: None,
            outcome: Outcome::Local,
            ..named("5", down("x", 30))
        },
        CheckEvent {
            certificate_not_after: soon,
            ..named("6", up("x", 30))
        },
        CheckEvent {
            chain_not_after: soon,
            chain_subject: Some("77".into()),
            chain_host: Some("777".into()),
            ..named("7", up("x", 30))
        },
        CheckEvent {
            chain_not_after: Some(now()),
            chain_host: Some("888".into()),
            ..named("8", up("x", 30))
        },
    ];
    // One that some locations see down, and one that was watched for some days.
    for location in ["11", "22", "33"] {
        let check = if location == "11" { down } else { up };
        events.push(CheckEvent {
            location: location.into(),
            ..named("9", check("x", 30))
        });
    }
    for step in (0..3 * 144).filter(|step| step % 100 > 20) {
        let check = up("x", 30 + step * 600);
        events.push(CheckEvent {
            scheduled_at: Some(check.checked_at),
            interval_ms: Some(600_000),
            ..named("10", check)
        });
    }
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&events))
        .run()
        .exits(0);
    prepared.maintain().run().exits(0);
    prepared
}

/// Everything that words are in, in these words.
fn told(prepared: &Prepared, file: &Path) -> String {
    let directory = tempfile::tempdir().unwrap();
    let announcements = directory.path().join("announcements.txt");
    std::fs::write(&announcements, "***").unwrap();
    let report = |variables: &[(&str, &str)]| {
        let report = prepared.report().var("REPORT_WORDS_FILE", file);
        let report = report
            .var("REPORT_TITLE", "*")
            .vars(variables.iter().copied());
        report.run().exits(0).stdout
    };
    [
        report(&[("REPORT_FORMAT", "html"), ("REPORT_EVIDENCE", "true")]),
        report(&[("REPORT_FORMAT", "html"), ("REPORT_SITE", "1")]),
        report(&[
            ("REPORT_FORMAT", "html"),
            ("REPORT_SITE", "2,3"),
            ("REPORT_ANNOUNCEMENTS", announcements.to_str().unwrap()),
        ]),
        report(&[("REPORT_FORMAT", "html"), ("REPORT_SITE", "1,8")]),
        report(&[("REPORT_FORMAT", "html"), ("REPORT_SITE", "none")]),
        report(&[
            ("REPORT_FORMAT", "html"),
            ("REPORT_GROUP_BY", "team"),
            ("REPORT_MAX_SITES", "9"),
        ]),
        report(&[
            ("REPORT_FORMAT", "html"),
            ("REPORT_KIND", "sla"),
            ("REPORT_GROUP_BY", "team"),
        ]),
        report(&[
            ("REPORT_FORMAT", "html"),
            ("REPORT_KIND", "sla"),
            ("REPORT_GROUP_BY", "team"),
            ("REPORT_SITE", "1"),
        ]),
        report(&[
            ("REPORT_FORMAT", "html"),
            ("REPORT_KIND", "sla"),
            ("REPORT_SITE", "none"),
        ]),
        report(&[("REPORT_FORMAT", "atom"), ("REPORT_KIND", "incidents")]),
        report(&[("REPORT_FORMAT", "badge"), ("REPORT_SITE", "2")]),
    ]
    .concat()
}

/// What people read of documents: the texts between tags, and of attributes those that are told.
fn read(documents: &str) -> Vec<String> {
    let mut read = Vec::new();
    let mut rest = documents;
    while let Some((text, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').unwrap();
        read.push(text.trim().to_owned());
        for attribute in ["data-label=\"", "aria-label=\"", "data-text=\""] {
            if let Some((_, value)) = tag.split_once(attribute) {
                let value = value.split_once('"').unwrap().0;
                // The browser fills these in.
                read.push(value.replace("{count}", "").replace("{all}", ""));
            }
        }
        rest = match tag.split(' ').next().unwrap() {
            name @ ("style" | "script" | "id" | "updated" | "published" | "generator") => {
                after.split_once(&format!("</{name}>")).unwrap().1
            }
            _ => after,
        };
    }
    read.retain(|text| !text.is_empty());
    read
}

/// A word that is its name, with all that is filled in.
fn marked(key: &str, text: &str) -> String {
    let names: String = text
        .split('{')
        .skip(1)
        .filter_map(|part| Some(format!(" {{{}}}", part.split_once('}')?.0)))
        .collect();
    format!("⟦{key}⟧{names}")
}

#[test]
fn every_word_is_one_of_the_file() {
    let prepared = prepared();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("words.json");
    let mut marks: Words = words("en")
        .into_iter()
        .map(|(key, text)| (key.clone(), marked(&key, &text)))
        .collect();
    for (key, text) in [
        ("lang", "ar"),
        ("dir", "rtl"),
        ("decimal_mark", "٫"),
        ("list_separator", "، "),
        // What is foreign to HTML is text.
        ("as_of", "⟦as_of⟧<b>&\"{time}"),
    ] {
        marks.insert(key.to_owned(), text.to_owned());
    }
    std::fs::write(&file, serde_json::to_string(&marks).unwrap()).unwrap();
    let told = told(&prepared, &file);
    assert!(told.contains("<html lang=\"ar\" dir=\"rtl\">"));
    assert!(told.contains("xml:lang=\"ar\""));
    assert!(told.contains("⟦as_of⟧&#60;b&#62;&#38;&#34;2"), "{told}");
    let mut used = BTreeSet::new();
    for text in read(&told) {
        for (at, part) in text.split(['⟦', '⟧']).enumerate() {
            if at % 2 == 1 {
                used.insert(part.to_owned());
                continue;
            }
            // Times end in Z; units have the same names everywhere.
            let part = part.replace("&#60;b&#62;", " ");
            let left: Vec<&str> = part
                .split(|c: char| !c.is_alphabetic())
                .filter(|word| !["", "Z", "d", "h", "min", "s", "ms"].contains(word))
                .collect();
            assert_eq!(left, Vec::<&str>::new(), "in {text:?}");
            assert!(!part.contains(". ") && !part.contains(", "), "{text:?}");
        }
    }
    let unused: Vec<&String> = marks.keys().filter(|key| !used.contains(*key)).collect();
    // What is no text, and what thousands of incidents, a period that is over or a single hole show.
    assert_eq!(
        unused,
        [
            "bar_hole_one",
            "decimal_mark",
            "dir",
            "lang",
            "list_separator",
            "more",
            "sla_met"
        ]
    );
}

#[test]
fn in_german_no_english_is_left() {
    let prepared = prepared();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/report/words.de.json");
    let told = told(&prepared, &file);
    assert!(told.contains("<html lang=\"de\" dir=\"ltr\">"));
    let (english, german) = (words("en"), words("de"));
    let read = read(&told);
    for (key, text) in &english {
        let own = &german[key];
        // A part of a sentence that is long enough to be none by chance, else all of it.
        for part in text.split(['{', '}']).step_by(2) {
            let is_own = |text: &str| own.contains(text.trim());
            let found = read.iter().find(|read| {
                if part.trim().len() > 6 {
                    read.contains(part.trim())
                } else {
                    *read == text
                }
            });
            if let Some(found) = found {
                assert!(is_own(part), "{key}: {part:?} in {found:?}");
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_file_of_words_is_told() {
    let prepared = Prepared::new("words");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("words.json");
    let report = || {
        let report = prepared.report().var("REPORT_FORMAT", "html");
        report.var("REPORT_WORDS_FILE", &file)
    };
    for (json, why) in [
        (
            r#"{"sties": "Seiten", "since": "seit"}"#,
            r#""since" has the placeholders none, and wants {time}; "sties" is not the name of a word; did you mean "sites"?"#,
        ),
        (
            "[1]",
            "it is no JSON object of texts: invalid type: sequence, expected a map at line 1 column 0",
        ),
    ] {
        std::fs::write(&file, json).unwrap();
        report().run().exits(78).stderr_has(&format!(
            "REPORT_WORDS_FILE is \"{}\": {why}; wants the path of a JSON file of words",
            file.display()
        ));
    }
    std::fs::write(&file, r#"{"sites": "Seiten"}"#).unwrap();
    let page = report().run().exits(0).stdout;
    assert!(page.contains("<h2 id=\"sites\">Seiten</h2>"), "{page}");
    assert!(page.contains("<h2 id=\"incidents\">Incidents</h2>"));
}
