//! A result as a line for people: verdict, site, status, how long it took and where, and why.

use std::sync::Arc;

use sitewatch::event::{CheckEvent, Verdict};
use sitewatch::site::Site;
use sitewatch::units::milliseconds;
use sitewatch::words::printable;

/// A name that is longer moves what follows it; the others stay in line.
const WIDEST: usize = 40;

/// How lines look.
pub(super) struct Look {
    colours: bool,
    /// Of the column of names.
    width: usize,
}

impl Look {
    /// For lines about these sites.
    pub(super) fn new(colours: bool, sites: &[Arc<Site>]) -> Self {
        let longest = sites.iter().map(|site| site.name.chars().count()).max();
        Self {
            colours,
            width: longest.unwrap_or(0).min(WIDEST),
        }
    }

    /// The line, without its end and without anything that a terminal would obey but our colour.
    pub(super) fn line(&self, event: &CheckEvent<'_>) -> String {
        let (state, colour) = match event.outcome.verdict() {
            Verdict::Up => ("up", 32),
            Verdict::Down => ("down", 31),
            Verdict::Unknown => ("unknown", 33),
        };
        let state = format!("{state:<7}");
        let state = if self.colours {
            format!("\x1b[{colour}m{state}\x1b[0m")
        } else {
            state
        };
        let status = event.status.map(|status| status.to_string());
        let phases: Vec<String> = [
            ("dns", event.dns_us),
            ("connect", event.connect_us),
            ("tls", event.tls_us),
            ("first byte", event.first_byte_us),
            ("body", event.body_us),
        ]
        .into_iter()
        .filter(|(_, took)| took.is_some())
        .map(|(phase, took)| format!("{phase} {}", milliseconds(took)))
        .collect();
        let mut line = format!(
            "{state}  {:<width$}  {:>3}  {:>7}  {}",
            printable(&event.site),
            status.unwrap_or_default(),
            milliseconds(Some(event.total_us)),
            phases.join(", "),
            width = self.width,
        );
        if let Some(error) = &event.error {
            line.push_str("  ");
            line.push_str(&printable(error));
        }
        if event.attempts > 1 {
            line.push_str(&format!("  ({} attempts)", event.attempts));
        }
        if event.maintenance {
            line.push_str("  (in maintenance)");
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use sitewatch::event::Outcome;

    use super::*;

    fn event(json: &str) -> CheckEvent<'_> {
        CheckEvent::decode(json.as_bytes()).unwrap()
    }

    #[test]
    fn columns_stand_below_each_other() {
        let look = Look {
            colours: false,
            width: 8,
        };
        let mut event = event(
            r#"{"v":1,"id":"01938f5e-8b1a-7c3d-9e2f-0a1b2c3d4e5f","site":"shop","url":"https://shop.example/","location":"fra","checked_at":"2026-11-21T02:52:21.000042Z","up":true,"outcome":"up","error":null,"status":200,"remote_addr":null,"http_version":null,"dns_us":1200,"connect_us":9000,"tls_us":20000,"first_byte_us":31000,"body_us":400,"total_us":61600,"body_bytes":null,"body_match":null,"redirects":0,"attempts":1}"#,
        );
        assert_eq!(
            look.line(&event),
            "up       shop      200    62 ms  dns 1.2 ms, connect 9.0 ms, tls 20 ms, first byte 31 ms, body 0.4 ms"
        );
        event.outcome = Outcome::Dns;
        event.site = "longer\u{1b}[2J".into();
        event.error = Some("no\u{1b}[31m host".into());
        event.status = None;
        (event.connect_us, event.tls_us) = (None, None);
        (event.first_byte_us, event.body_us) = (None, None);
        assert_eq!(
            look.line(&event),
            "down     longer\\u{1b}[2J         62 ms  dns 1.2 ms  no\\u{1b}[31m host"
        );
    }
}
