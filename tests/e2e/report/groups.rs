//! The status page by groups of sites, and how much of it there is.

use sitewatch::event::CheckEvent;

use crate::support::{Prepared, down, record, up};

/// A check of a site of a team; of none where that is empty.
fn of(team: &str, check: CheckEvent<'static>) -> CheckEvent<'static> {
    let labels = [("team".into(), team.to_owned().into())];
    CheckEvent {
        labels: labels.into_iter().filter(|_| !team.is_empty()).collect(),
        ..check
    }
}

fn checked(events: &[CheckEvent<'_>]) -> Prepared {
    let prepared = Prepared::new("groups");
    record(&prepared, events);
    prepared
}

/// What the page has: headings of groups with whether they are open, sites, and what is not drawn.
fn outline(page: &str) -> Vec<String> {
    let (_, sites) = page.split_once("<h2 id=\"sites\">").unwrap();
    let (sites, _) = sites.split_once("</section>").unwrap();
    let mut outline = Vec::new();
    for line in sites.lines() {
        let heading = |level: &str| {
            let (_, rest) = line.split_once(&format!("<{level}>"))?;
            Some(rest.split_once(&format!("</{level}>"))?.0.to_owned())
        };
        let told = || {
            let (_, rest) = line.split_once("<span class=\"quiet\">")?;
            Some(rest.split_once("</span>")?.0.to_owned())
        };
        if line.starts_with("<details class=\"group\"") {
            outline.push(
                if line.contains(" open") {
                    "open"
                } else {
                    "folded"
                }
                .to_owned(),
            );
        } else if line.starts_with("<summary><h3>") {
            outline.push(format!("{}: {}", heading("h3").unwrap(), told().unwrap()));
        } else if let Some(site) = heading("h3").or_else(|| heading("h4")) {
            outline.push(site);
        } else if let Some((_, rest)) = line.split_once("Not drawn here: ") {
            outline.push(format!("left: {}", rest.trim_end_matches("</p>")));
        }
    }
    outline
}

#[test]
fn sites_are_in_sections_by_the_value_of_a_label() {
    let prepared = checked(&[
        of("web", up("shop", 30)),
        of("web", up("blog", 30)),
        of("web", down("api", 30)),
        of("<b>ops", up("dns", 30)),
        of("", up("alone", 30)),
        of("data", up("lake", 30)),
        of("data", down("wall", 30)),
        of("data", down("ware", 30)),
    ]);
    let page = |variables: &[(&str, &str)]| {
        let report = prepared.report().var("REPORT_FORMAT", "html");
        report.vars(variables.iter().copied()).run().exits(0).stdout
    };
    assert_eq!(
        outline(&page(&[])),
        [
            "api", "wall", "ware", "alone", "blog", "dns", "lake", "shop"
        ]
    );
    assert_eq!(
        outline(&page(&[("REPORT_GROUP_BY", "team")])),
        [
            "folded",
            "&#60;b&#62;ops: 1 up",
            "dns",
            "open",
            "data: 2 down, 1 up",
            "wall",
            "ware",
            "lake",
            "open",
            "web: 1 down, 2 up",
            "api",
            "blog",
            "shop",
            "folded",
            "Other sites: 1 up",
            "alone",
        ]
    );
    // What is not up comes first, wherever it is; what is left is shared.
    let few = page(&[("REPORT_GROUP_BY", "team"), ("REPORT_MAX_SITES", "7")]);
    assert_eq!(
        outline(&few),
        [
            "folded",
            "&#60;b&#62;ops: 1 up",
            "dns",
            "open",
            "data: 2 down, 1 up",
            "wall",
            "ware",
            "lake",
            "open",
            "web: 1 down, 2 up",
            "api",
            "blog",
            "left: 1 up",
            "folded",
            "Other sites: 1 up",
            "alone",
        ]
    );
    let few = page(&[("REPORT_MAX_SITES", "2"), ("REPORT_GROUP_BY", "absent")]);
    assert_eq!(
        outline(&few),
        [
            "open",
            "Other sites: 3 down, 5 up",
            "api",
            "wall",
            "left: 1 down, 5 up"
        ]
    );
    let few = page(&[("REPORT_MAX_SITES", "4")]);
    assert_eq!(
        outline(&few),
        ["api", "wall", "ware", "alone", "left: 4 up"]
    );
    assert!(few.contains("<p class=\"overall down\">3 of 8 sites are down</p>"));
}

#[test]
fn whoever_runs_it_is_told_how_to_see_the_rest() {
    let prepared = checked(&[up("shop", 30), up("blog", 30)]);
    let report = |most: &str| {
        let report = prepared.report().var("REPORT_FORMAT", "html");
        report.var("REPORT_MAX_SITES", most).run()
    };
    report("1").exits(0).logs(
        "INFO  report: the page draws 1 of 2 lines of sites: see REPORT_MAX_SITES; REPORT_SITE, REPORT_LABEL and REPORT_STATE make a page of some sites, REPORT_FORMAT=json and csv have all\n\
         INFO  report: 2 sites: 2 up, 0 down, 0 unknown\n",
    );
    report("0").exits(78).stderr_has(
        "REPORT_MAX_SITES is \"0\": not from 1 to 10000; wants a whole number from 1 to 10000",
    );
}
