//! Lines as a table for people.

use std::time::Duration;

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use serde_json::{Map, Value};
use sitewatch::run::human;

use crate::lines::{CheckLine, DayLine, IncidentLine, RunLine, SiteLine};
use crate::words::{lasting, milliseconds, percentage, printable, time};

/// What can be a line of a table.
pub(crate) trait Line {
    /// The headings; those of figures begin with a space, which is not shown.
    const HEADER: &'static [&'static str];

    /// What the line's colour says; `None`: nothing.
    fn state(&self) -> Option<&'static str>;

    /// The line's cells, one a heading.
    fn cells(&self) -> Vec<String>;
}

/// How a table looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// A line is a line, however long.
    Plain,
    /// Fitted to a terminal.
    Framed,
    /// Likewise, with colours.
    Coloured,
}

/// Renders the lines.
pub(crate) fn render<L: Line>(lines: &[L], look: Look) -> String {
    let mut table = Table::new();
    table
        .load_style(match look {
            Look::Plain => NOTHING,
            Look::Framed | Look::Coloured => UTF8_FULL_CONDENSED,
        })
        .set_content_arrangement(match look {
            Look::Plain => ContentArrangement::Disabled,
            Look::Framed | Look::Coloured => ContentArrangement::Dynamic,
        })
        .set_header(L::HEADER.iter().map(|heading| Cell::new(heading.trim())));
    for line in lines {
        table.add_row(line.cells().iter().zip(L::HEADER).map(|(text, heading)| {
            let cell = Cell::new(printable(text));
            if heading.starts_with(' ') {
                return cell.set_alignment(CellAlignment::Right);
            }
            match (look, *heading, line.state()) {
                (Look::Coloured, "state" | "ended", Some(state)) => cell.fg(match state {
                    "up" => Color::Green,
                    "down" => Color::Red,
                    _ => Color::Yellow,
                }),
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

fn place(site: &str, location: Option<&str>) -> String {
    match location {
        Some(location) if location != "default" => format!("{site} ({location})"),
        _ => site.to_owned(),
    }
}

impl Line for SiteLine {
    const HEADER: &'static [&'static str] = &[
        "site",
        "state",
        "since",
        " 24 h",
        " 7 d",
        " 30 d",
        " 90 d",
        " p50",
        " p95",
        " certificate",
        "last error",
    ];

    fn state(&self) -> Option<&'static str> {
        Some(self.state)
    }

    fn cells(&self) -> Vec<String> {
        let why = match (self.checked_at, self.state, &self.last_error) {
            (None, ..) => "never checked".to_owned(),
            (Some(checked_at), "unknown", _) if self.error.is_none() => {
                format!("no check since {}", time(checked_at))
            }
            (Some(_), "up", Some(error)) => match self.last_error_at {
                Some(at) => format!("{}: {error}", time(at)),
                None => error.clone(),
            },
            (_, _, error) => error.clone().unwrap_or_default(),
        };
        vec![
            place(&self.site, self.location.as_deref()),
            self.state.to_owned(),
            self.since.map(time).unwrap_or_default(),
            percentage(self.uptime_24h),
            percentage(self.uptime_7d),
            percentage(self.uptime_30d),
            percentage(self.uptime_90d),
            milliseconds(self.p50_us),
            milliseconds(self.p95_us),
            self.certificate_days
                .map(|days| format!("{days} d"))
                .unwrap_or_default(),
            why,
        ]
    }
}

impl Line for CheckLine {
    const HEADER: &'static [&'static str] = &[
        "checked at",
        "site",
        "state",
        "outcome",
        " status",
        " dns",
        " connect",
        " tls",
        " first byte",
        " body",
        " total",
        "why",
    ];

    fn state(&self) -> Option<&'static str> {
        Some(self.state)
    }

    fn cells(&self) -> Vec<String> {
        vec![
            time(self.checked_at),
            place(&self.site, Some(&self.location)),
            self.state.to_owned(),
            self.outcome.clone(),
            self.status
                .map(|status| status.to_string())
                .unwrap_or_default(),
            milliseconds(self.dns_us),
            milliseconds(self.connect_us),
            milliseconds(self.tls_us),
            milliseconds(self.first_byte_us),
            milliseconds(self.body_us),
            milliseconds(Some(self.total_us)),
            self.error.clone().unwrap_or_default(),
        ]
    }
}

impl Line for IncidentLine {
    const HEADER: &'static [&'static str] = &[
        "site",
        "down from",
        "to",
        " for",
        "ended",
        "outcome",
        " checks",
        "why",
    ];

    fn state(&self) -> Option<&'static str> {
        Some(match self.ended {
            "recovered" => "up",
            "ongoing" => "down",
            _ => "unknown",
        })
    }

    fn cells(&self) -> Vec<String> {
        vec![
            place(&self.site, Some(&self.location)),
            time(self.opened_at),
            self.closed_at.map(time).unwrap_or_default(),
            lasting(self.duration_s),
            self.ended.to_owned(),
            self.outcome.clone(),
            self.checks.to_string(),
            self.error.clone().unwrap_or_default(),
        ]
    }
}

impl Line for DayLine {
    const HEADER: &'static [&'static str] = &[
        "day",
        "site",
        " uptime",
        " checks",
        " down",
        " unknown",
        " maintenance",
        " p50",
        " p95",
        " p99",
    ];

    fn state(&self) -> Option<&'static str> {
        None
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.day.to_string(),
            place(&self.site, Some(&self.location)),
            percentage(self.uptime),
            self.checks.to_string(),
            self.down.to_string(),
            self.unknown.to_string(),
            self.maintenance.to_string(),
            milliseconds(self.p50_us),
            milliseconds(self.p95_us),
            milliseconds(self.p99_us),
        ]
    }
}

impl Line for RunLine {
    const HEADER: &'static [&'static str] =
        &["function", "started at", " took", " exit code", "did"];

    fn state(&self) -> Option<&'static str> {
        None
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.function.clone(),
            time(self.started_at),
            human(Duration::from_millis(
                u64::try_from(self.duration_ms).unwrap_or(0),
            )),
            self.exit_code.to_string(),
            figures(&self.figures),
        ]
    }
}

/// What a run did: its figures, those aside that are nothing.
fn figures(json: &str) -> String {
    let figures: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
    figures
        .iter()
        .filter(|(_, number)| number.as_f64() != Some(0.0))
        .map(|(name, number)| format!("{} {number}", name.replace('_', " ")))
        .collect::<Vec<_>>()
        .join(", ")
}
