//! `notify`: tells people what the sites' verdicts changed to, and exits.

mod channel;
mod decide;
mod deliver;
mod event;
mod message;
mod outbox;
mod read;
mod routing;
mod settings;
mod summary;
mod trial;
mod work;

use std::process::ExitCode;

use sitewatch::run::{self, Function};
use sitewatch::settings::var;

const NOTIFY: Function = Function {
    name: "notify",
    about: "tells people what is down, up again or about to expire: decided once, delivered at least once, and exits",
    version: env!("CARGO_PKG_VERSION"),
    deadline: Some(&var::NOTIFY_DEADLINE),
};

fn main() -> ExitCode {
    run::main(&NOTIFY, settings::read, |settings, run| {
        work::notify(&settings, run)
    })
}
