//! `probe` over real sockets: what it says about websites that misbehave in every way there is.

mod denied;
mod evidence;
mod files;
mod hostile;
mod network;
mod options;
mod others;
mod outcomes;
mod publishing;
mod running;
mod spool;
mod tls;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sitewatch::event::{CheckEvent, Outcome};
use sitewatch_tests::command::{Finished, Run};

/// A run of `probe` over these sites, results on standard output.
pub(crate) fn probe(sites: &[Value]) -> Run {
    Run::probe()
        .var("SITES", Value::from(sites.to_vec()).to_string())
        .var("PROBE_SINK", "stdout")
}

/// A site of this name.
pub(crate) fn site(name: &str, url: &str, more: &Value) -> Value {
    let mut site = more.clone();
    site["name"] = name.into();
    site["url"] = url.into();
    site
}

/// The results of a run, by the name of the site. A line that is no event fails the test.
#[track_caller]
pub(crate) fn events(finished: &Finished) -> BTreeMap<String, CheckEvent<'_>> {
    finished
        .stdout
        .lines()
        .map(|line| {
            let event = CheckEvent::decode(line.as_bytes())
                .unwrap_or_else(|error| panic!("{error} in {line}\n{finished}"));
            (event.site.to_string(), event)
        })
        .collect()
}

/// Checks one site and returns its result.
#[track_caller]
pub(crate) fn check(url: &str, more: &Value) -> CheckEvent<'static> {
    check_with(url, more, &[])
}

/// The same with further variables.
#[track_caller]
pub(crate) fn check_with(url: &str, more: &Value, vars: &[(&str, &str)]) -> CheckEvent<'static> {
    let finished = probe(&[site("site", url, more)])
        .vars(vars.iter().copied())
        .run()
        .exits(0);
    let line: &'static str = finished.stdout.trim_end().to_owned().leak();
    CheckEvent::decode(line.as_bytes())
        .unwrap_or_else(|error| panic!("{error} in {line}\n{finished}"))
}

#[track_caller]
pub(crate) fn assert_is(event: &CheckEvent<'_>, outcome: Outcome, error: &str) {
    let said = event.error.as_deref().unwrap_or_default();
    assert!(
        event.outcome == outcome && said.contains(error),
        "expected {outcome:?} with {error:?}, got {event:#?}"
    );
}

/// No fields beyond name and URL.
pub(crate) fn plain() -> Value {
    json!({})
}
