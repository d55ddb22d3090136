//! Lines as a table, JSON or CSV, on standard output.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use jiff::Timestamp;
use serde::Serialize;
use sitewatch::run::Failure;
use url::Url;

use crate::settings::Format;

/// What can be a line of a table.
pub(crate) trait Line: Serialize {
    /// The table's headings.
    const HEADER: &'static [&'static str];

    /// What the line's colour says.
    fn state(&self) -> &'static str;

    /// The line's cells, one a heading.
    fn cells(&self) -> Vec<String>;
}

/// Prints the lines.
///
/// # Errors
/// When standard output cannot be written to, other than because its reader has seen enough.
pub(crate) fn print<L: Line>(format: Format, lines: &[L]) -> Result<(), Failure> {
    let text = match format {
        Format::Table => table(lines, std::io::stdout().is_terminal()),
        Format::Json => json(lines)?,
        Format::Csv => csv(lines)?,
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Unavailable(format!(
            "standard output cannot be written to: {error}"
        ))),
        _ => Ok(()),
    }
}

fn table<L: Line>(lines: &[L], terminal: bool) -> String {
    let mut table = Table::new();
    table
        .load_style(if terminal {
            UTF8_FULL_CONDENSED
        } else {
            NOTHING
        })
        // In a pipe a line is a line, however long.
        .set_content_arrangement(if terminal {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        })
        .set_header(L::HEADER.iter().map(Cell::new));
    for line in lines {
        table.add_row(line.cells().iter().zip(L::HEADER).map(|(text, heading)| {
            let cell = Cell::new(printable(text));
            match *heading {
                "state" if terminal => match line.state() {
                    "up" => cell.fg(Color::Green),
                    "down" => cell.fg(Color::Red),
                    _ => cell.fg(Color::Yellow),
                },
                "up 24 h" | "status" | "dns" | "connect" | "tls" | "first byte" | "body"
                | "total" => cell.set_alignment(CellAlignment::Right),
                _ => cell,
            }
        }));
    }
    let mut text: String = table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    if lines.is_empty() {
        text.push_str("nothing recorded yet\n");
    }
    text
}

fn json<L: Line>(lines: &[L]) -> Result<String, Failure> {
    lines
        .iter()
        .map(|line| serde_json::to_string(line).map(|json| json + "\n"))
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::Defect(format!("a line could not be written as JSON: {error}")))
}

fn csv<L: Line>(lines: &[L]) -> Result<String, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::Defect(format!("a line could not be written as CSV: {error}"))
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.serialize(line).map_err(|error| wrong(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| wrong(&error))?;
    String::from_utf8(bytes).map_err(|error| wrong(&error))
}

/// The word for a value of `up`.
pub(crate) fn state(up: Option<bool>) -> &'static str {
    match up {
        Some(true) => "up",
        Some(false) => "down",
        None => "unknown",
    }
}

/// Microseconds as a person reads them; empty for what did not happen.
pub(crate) fn milliseconds(microseconds: Option<i32>) -> String {
    match microseconds {
        None => String::new(),
        Some(us) if us < 10_000 => format!("{:.1} ms", f64::from(us) / 1_000.0),
        Some(us) if us < 1_000_000 => format!("{:.0} ms", f64::from(us) / 1_000.0),
        Some(us) => format!("{:.2} s", f64::from(us) / 1_000_000.0),
    }
}

/// A time in UTC, to the second.
pub(crate) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The URL without user name and password.
pub(crate) fn without_credentials(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            // Both only fail for URLs that cannot have them, which this one has.
            let cleared = parsed.set_username("").is_ok() && parsed.set_password(None).is_ok();
            if cleared {
                parsed.into()
            } else {
                String::new()
            }
        }
        Ok(parsed) if !parsed.cannot_be_a_base() => url.to_owned(),
        // Not a URL of a website: then what looks like credentials is cut by hand.
        _ => url
            .rsplit_once('@')
            .map_or(url, |(_, rest)| rest)
            .to_owned(),
    }
}

/// A terminal must not obey what a table holds.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_at_most_before_the_unit_changes() {
        for (us, text) in [
            (None, ""),
            (Some(412), "0.4 ms"),
            (Some(12_340), "12 ms"),
            (Some(1_234_000), "1.23 s"),
        ] {
            assert_eq!(milliseconds(us), text);
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(without_credentials("https://u:p@h/x"), "https://h/x");
        assert_eq!(
            without_credentials("https://h/x?a=b@c"),
            "https://h/x?a=b@c"
        );
        assert_eq!(without_credentials("u:p@h"), "h");
    }
}
