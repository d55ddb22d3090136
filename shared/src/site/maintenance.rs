//! Times in which a site's checks are made and marked, so that they are not counted.

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

/// A maintenance window: once, or every week.
#[derive(Clone, Debug, PartialEq)]
pub enum MaintenanceWindow {
    /// From one instant up to another.
    Once {
        /// The first instant inside.
        from: Timestamp,
        /// The first instant after it.
        until: Timestamp,
    },
    /// On some days of the week, from one time of day up to another; past midnight when the end
    /// is not after the start.
    Weekly {
        /// The days on which it starts.
        days: Vec<Weekday>,
        /// The first time of day inside.
        start: Time,
        /// The first time of day after it.
        end: Time,
        /// Whose clocks are meant.
        zone: TimeZone,
    },
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

const WANTS: &str = r#"wants {"from": "2026-11-21T02:00:00Z", "until": "…"} or {"days": ["sat", "sun"], "start": "02:00", "end": "04:00", "timezone": "Europe/Berlin"}"#;

impl MaintenanceWindow {
    /// Reads one window.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let Value::Object(fields) = value else {
            return Err(format!("is no object; {WANTS}"));
        };
        let known: &[&str] = if fields.contains_key("from") || fields.contains_key("until") {
            &["from", "until"]
        } else {
            &["days", "start", "end", "timezone"]
        };
        if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("has the unknown field {name:?}; {WANTS}"));
        }
        if known.len() == 2 {
            let (from, until) = (instant(fields, "from")?, instant(fields, "until")?);
            if from >= until {
                return Err("ends before it begins".to_owned());
            }
            return Ok(Self::Once { from, until });
        }
        Ok(Self::Weekly {
            days: days(fields)?,
            start: time(fields, "start")?,
            end: time(fields, "end")?,
            zone: zone(fields)?,
        })
    }

    /// Whether the instant lies inside.
    #[must_use]
    pub fn contains(&self, instant: Timestamp) -> bool {
        match self {
            Self::Once { from, until } => (*from..*until).contains(&instant),
            Self::Weekly {
                days,
                start,
                end,
                zone,
            } => {
                let local = instant.to_zoned(zone.clone());
                let (today, now) = (local.weekday(), local.time());
                if start < end {
                    days.contains(&today) && (*start..*end).contains(&now)
                } else {
                    (days.contains(&today) && now >= *start)
                        || (days.contains(&today.previous()) && now < *end)
                }
            }
        }
    }
}

fn string<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("has a {name} that is no text; {WANTS}")),
    }
}

fn required<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    string(fields, name)?.ok_or_else(|| format!("has no {name}; {WANTS}"))
}

fn instant(fields: &Map<String, Value>, name: &str) -> Result<Timestamp, String> {
    let text = required(fields, name)?;
    text.parse()
        .map_err(|_| format!("has {name} {text:?}, which is no RFC 3339 time; {WANTS}"))
}

fn time(fields: &Map<String, Value>, name: &str) -> Result<Time, String> {
    let text = required(fields, name)?;
    text.parse()
        .map_err(|_| format!("has {name} {text:?}, which is no time of day; {WANTS}"))
}

fn zone(fields: &Map<String, Value>) -> Result<TimeZone, String> {
    let Some(name) = string(fields, "timezone")? else {
        return Ok(TimeZone::UTC);
    };
    TimeZone::get(name).map_err(|_| {
        format!("has the timezone {name:?}, which is not in this machine's database; wants a name such as Europe/Berlin")
    })
}

fn days(fields: &Map<String, Value>) -> Result<Vec<Weekday>, String> {
    let names = match fields.get("days") {
        None | Some(Value::Null) => return Ok(DAYS.map(|(_, day)| day).to_vec()),
        Some(Value::Array(names)) => names,
        Some(_) => return Err(format!("has days that are no list; {WANTS}")),
    };
    names
        .iter()
        .map(|name| {
            DAYS.iter()
                .find(|(known, _)| {
                    name.as_str()
                        .is_some_and(|name| name.eq_ignore_ascii_case(known))
                })
                .map(|(_, day)| *day)
                .ok_or_else(|| {
                    format!(
                        "has the day {name}, which is not one of mon, tue, wed, thu, fri, sat, sun"
                    )
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inside(window: &Value, instant: &str) -> bool {
        MaintenanceWindow::parse(window)
            .unwrap()
            .contains(instant.parse().unwrap())
    }

    #[test]
    fn once() {
        let window = json!({"from": "2026-11-21T02:00:00Z", "until": "2026-11-21T04:00:00Z"});
        assert!(!inside(&window, "2026-11-21T01:59:59Z"));
        assert!(inside(&window, "2026-11-21T02:00:00Z"));
        assert!(!inside(&window, "2026-11-21T04:00:00Z"));
    }

    #[test]
    fn every_week_past_midnight() {
        // 2026-11-21 is a Saturday.
        let window = json!({"days": ["Sat"], "start": "23:00", "end": "01:00"});
        assert!(!inside(&window, "2026-11-21T00:30:00Z"));
        assert!(inside(&window, "2026-11-21T23:00:00Z"));
        assert!(inside(&window, "2026-11-22T00:59:59Z"));
        assert!(!inside(&window, "2026-11-22T23:30:00Z"));
    }

    #[test]
    fn by_the_clocks_of_a_time_zone() {
        let window = json!({"start": "02:00", "end": "03:00", "timezone": "Europe/Berlin"});
        assert!(inside(&window, "2026-11-21T01:30:00Z"));
        assert!(inside(&window, "2026-07-01T00:30:00Z"));
        assert!(!inside(&window, "2026-07-01T01:30:00Z"));
    }

    #[test]
    fn mistakes_are_named() {
        for (window, says) in [
            (json!("daily"), "is no object"),
            (json!({"from": "2026-11-21T02:00:00Z"}), "has no until"),
            (
                json!({"from": "tomorrow", "until": "2026-11-21T02:00:00Z"}),
                "no RFC 3339 time",
            ),
            (json!({"start": "02:00", "end": "25:00"}), "no time of day"),
            (
                json!({"start": "02:00", "end": "03:00", "day": ["mon"]}),
                r#"unknown field "day""#,
            ),
            (
                json!({"days": ["noday"], "start": "02:00", "end": "03:00"}),
                "not one of mon",
            ),
            (
                json!({"start": "02:00", "end": "03:00", "timezone": "Mars/Base"}),
                "Mars/Base",
            ),
        ] {
            let error = MaintenanceWindow::parse(&window).unwrap_err();
            assert!(error.contains(says), "{window}: {error}");
        }
    }
}
