//! `notify`: who is told what, on receivers that are real or behave as badly as real ones do.

mod alertmanager;
mod bodies;
mod denied;
mod email;
mod killed;
mod many;
mod refused;
mod told;
mod trap;

use std::path::{Path, PathBuf};

use serde_json::Value;
use sitewatch_tests::command::{Finished, Run};
use sitewatch_tests::python;
use sitewatch_tests::websites::{Request, Website};

use crate::support::{Prepared, record};

/// A file beside this one.
pub(super) fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("e2e/notify")
        .join(name)
}

/// The address of a webhook.
pub(super) fn webhook(receiver: &Website) -> String {
    format!("webhook+{}", receiver.url())
}

/// What a webhook was sent.
pub(super) fn bodies(receiver: &Website) -> Vec<Value> {
    receiver.requests().iter().map(body).collect()
}

pub(super) fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// Event and site of each message, joined.
pub(super) fn told(receiver: &Website) -> Vec<String> {
    bodies(receiver)
        .iter()
        .map(|body| {
            let sites: Vec<&str> = body["incidents"]
                .as_array()
                .unwrap()
                .iter()
                .map(|incident| incident["site"].as_str().unwrap())
                .collect();
            format!("{} {}", body["event"].as_str().unwrap(), sites.join(","))
        })
        .collect()
}

/// Whether these are what a schema wants; it stands in a file.
#[track_caller]
pub(crate) fn judge(schema: &Path, bodies: &[Value]) -> Finished {
    let text: String = bodies.iter().map(|body| format!("{body}\n")).collect();
    Run::program(python::interpreter())
        .arg(beside("judge.py"))
        .arg(schema)
        .stdin(text)
        .run()
        .exits(0)
}

/// What is not sent yet is due at once.
pub(super) fn make_due(prepared: &Prepared) {
    prepared.count(
        "with due as (
             update notifications set next_attempt_at = now() where sent_at is null returning id
         )
         select count(*) from due",
    );
}
