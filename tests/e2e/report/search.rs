//! Finding a site on the status page, in a real browser.

use std::fs;

use super::browser::{Shown, browse};
use crate::support::Prepared;

/// Sites of five teams, the first of each team down; and the page of them.
fn page(sites: u32, variables: &[(&str, &str)]) -> String {
    let prepared = Prepared::new("search");
    prepared
        .client()
        .batch_execute(&format!(
            "insert into locations (name) values ('default');
             insert into websites (name, url, labels)
             select 'Büro ' || n, 'https://' || n || '.example/', jsonb_build_object('team', 'team-' || n % 5)
             from generate_series(1, {sites}) as n;
             insert into website_states (website_id, location_id, checked_at, first_known_at, last_up_at, outcome, up)
             select id, 1, now(), now(), now(), 0, true from websites"
        ))
        .unwrap();
    let report = prepared.report().var("REPORT_FORMAT", "html");
    report.vars(variables.iter().copied()).run().exits(0).stdout
}

/// What a page, in a frame of its own with its own policy, is after each of some steps.
fn after(page: &str, steps: &str) -> (Vec<String>, Shown) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("frame.html");
    let attribute = page.replace('&', "&amp;").replace('"', "&quot;");
    // The browser tells of the document once it is loaded: a frame that is being written holds that up.
    let html = format!(
        r##"<!doctype html><iframe width="320" height="700" srcdoc="{attribute}"></iframe><script>
        const frame = document.querySelector("iframe");
        const held = document.body.appendChild(document.createElement("iframe")).contentDocument;
        held.open();
        const told = [];
        frame.onload = async () => {{
            const shown = frame.contentDocument;
            const input = shown.querySelector("#query");
            const seen = (selector) => [...shown.querySelectorAll(selector)].filter((element) => element.checkVisibility()).length;
            const look = async () => {{
                // After the frame in which the page does its part.
                await new Promise((done) => frame.contentWindow.requestAnimationFrame(() => setTimeout(done)));
                told.push([
                    seen(".site"), seen(".group"), seen(".group[open]"), shown.querySelector("output").textContent,
                ].join(" "));
            }};
            const type = (text) => {{
                input.value = text;
                input.dispatchEvent(new Event("input"));
                return look();
            }};
            {steps}
            document.title = told.join("|");
            held.close();
        }};
        </script>"##
    );
    fs::write(&path, html).unwrap();
    let shown = browse(&path, &["--dump-dom".to_owned()]);
    let title = shown.dom.split_once("<title>");
    let (_, title) = title.unwrap_or_else(|| panic!("{:?}", shown.console));
    let title = title.split_once("</title>").unwrap().0;
    (title.split('|').map(str::to_owned).collect(), shown)
}

#[test]
fn a_site_is_found_by_its_name_or_its_group_and_nothing_else_runs() {
    let html = page(40, &[("REPORT_GROUP_BY", "team")]);
    // Whole and readable for whoever runs no scripts.
    assert!(html.contains("<div id=\"search\" role=\"search\" hidden>"));
    assert_eq!(html.matches("<article class=\"site\">").count(), 40);
    let (told, shown) = after(
        &html,
        r#"
        await look();
        await type("buro 3");
        await type("TEAM-2 büro");
        shown.querySelector(".group:not([hidden])").open = false;
        await type("nothing");
        input.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", cancelable: true }));
        await look();
        shown.querySelector("summary").click();
        await look();
        await type("39");
        await type("");
        "#,
    );
    assert_eq!(
        told,
        [
            "0 5 0 ",
            "16 5 5 16 of 40",
            "8 1 1 8 of 40",
            "0 0 0 0 of 40",
            "0 5 0 ",
            "8 5 1 ",
            "1 1 1 1 of 40",
            "8 5 1 ",
        ]
    );
    assert_eq!(shown.console, Vec::<String>::new());
    let changed = html.replacen("\"use strict\";", "\"use strict\"; ", 1);
    let (_, shown) = after(&changed, "");
    assert_eq!(shown.console.len(), 1, "{:?}", shown.console);
}

#[test]
fn ten_thousand_sites_are_searched_and_a_few_need_no_search() {
    let few = page(9, &[]);
    assert!(
        !few.contains("<script") && !few.contains("script-src"),
        "{few}"
    );
    let (told, shown) = after(
        &page(10_000, &[]),
        r#"
        await type("99");
        await type("9999");
        await type("");
        "#,
    );
    assert_eq!(
        told,
        ["280 0 0 280 of 10000", "1 0 0 1 of 10000", "10000 0 0 "]
    );
    assert_eq!(shown.console, Vec::<String>::new());
}
