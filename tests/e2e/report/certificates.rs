//! What expires first on the whole way to a site: whose certificate, and which server sends it.

use jiff::SignedDuration;
use sitewatch::event::CheckEvent;

use super::history::json;
use crate::support::{Prepared, lines, now, up};

/// A check of a site whose own certificate has thirty days left, and the first on the way so many
/// hours.
fn with_chain(site: &str, hours: i64, subject: &str, host: &str) -> CheckEvent<'static> {
    let mut event = up(site, 60);
    event.chain_not_after =
        Some(now() + SignedDuration::from_hours(hours) + SignedDuration::from_mins(10));
    event.chain_subject = Some(subject.to_owned().into());
    event.chain_host = Some(host.to_owned().into());
    event
}

#[test]
fn what_expires_first_is_told_with_whose_it_is_and_who_sends_it() {
    let prepared = Prepared::new("report");
    let mut own = with_chain("own", 24 * 20, "own.example", "own.example");
    own.certificate_not_after = own.chain_not_after;
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[
            with_chain("shop", 9, "Example CA, <R3>", "login.example"),
            own,
            // Of a probe that does not look at chains yet.
            up("old", 60),
        ]))
        .run()
        .exits(0);
    let format = |format: &str| {
        let report = prepared.report().var("REPORT_FORMAT", format);
        report.run().exits(0).stdout
    };

    let sites = json(&format("json"));
    let site = |name: &str| sites.iter().find(|site| site["site"] == name).unwrap();
    let shop = site("shop");
    assert_eq!(shop["certificate_days"], 29);
    assert_eq!(shop["chain_days"], 0);
    assert_eq!(shop["chain_subject"], "Example CA, <R3>");
    assert_eq!(shop["chain_host"], "login.example");
    let expires = now() + SignedDuration::from_mins(9 * 60 + 10);
    assert_eq!(shop["chain_not_after"], expires.to_string());
    for field in [
        "chain_not_after",
        "chain_days",
        "chain_subject",
        "chain_host",
    ] {
        assert!(site("old")[field].is_null(), "{field}");
    }

    let table = format("table");
    let line = |name: &str| table.lines().find(|line| line.contains(name)).unwrap();
    assert!(line("shop").contains(" 9 h"), "{table}");
    assert!(line("own").contains(" 20 d"), "{table}");
    assert!(line("old").contains(" 29 d"), "{table}");

    let metrics = format("prometheus");
    let sample = r#"sitewatch_site_chain_certificate_expiry_timestamp_seconds{site="shop",location="default",host="login.example",subject="Example CA, <R3>"} "#;
    assert!(metrics.contains(sample), "{metrics}");

    let page = format("html");
    for part in [
        "<dt>certificate</dt><dd>9 h</dd></div><div><dt>of</dt><dd>Example CA, &#60;R3&#62;, sent by login.example</dd>",
        "<dt>certificate</dt><dd>20 d</dd></div></dl>",
        "<dt>certificate</dt><dd>29 d</dd></div></dl>",
        r#"data-label="Whose">Example CA, &#60;R3&#62;, sent by login.example</td>"#,
        r#"data-label="Whose">its own</td>"#,
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
}
