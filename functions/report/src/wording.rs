//! The words of pages, feeds and badges: the English ones, but for those that a file has in their place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};

use serde::Deserialize;
use sitewatch::words::nearest;

use crate::counts::Counts;
use crate::lines::SiteLine;
use crate::states;
use crate::words::{milliseconds, percentage, share_of_time, validity};

/// All words, in English, and what stands for what in them.
const ENGLISH: &str = include_str!("../words.en.json");

/// The words by the names that a file of them has: `words.en.json` says what each is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    pub(crate) lang: String,
    pub(crate) dir: String,
    pub(crate) decimal_mark: String,
    pub(crate) list_separator: String,
    pub(crate) site: String,
    pub(crate) sites: String,
    pub(crate) uptime: String,
    pub(crate) incidents: String,
    pub(crate) as_of: String,
    pub(crate) more: String,
    pub(crate) announcements: String,
    pub(crate) state_up: String,
    pub(crate) state_degraded: String,
    pub(crate) state_down: String,
    pub(crate) state_unknown: String,
    pub(crate) state_unmonitored: String,
    pub(crate) state_count: String,
    pub(crate) overall_none: String,
    pub(crate) overall_up_one: String,
    pub(crate) overall_up_many: String,
    pub(crate) overall_one: String,
    pub(crate) overall_many: String,
    pub(crate) no_site_checked: String,
    pub(crate) search: String,
    pub(crate) found: String,
    pub(crate) other_sites: String,
    pub(crate) not_drawn: String,
    pub(crate) from_location: String,
    pub(crate) since: String,
    pub(crate) verdict: String,
    pub(crate) never_checked: String,
    pub(crate) no_check_since: String,
    pub(crate) bar: String,
    pub(crate) bar_no_checks: String,
    pub(crate) bar_hole_one: String,
    pub(crate) bar_hole_many: String,
    pub(crate) covered: String,
    pub(crate) median: String,
    pub(crate) percentile: String,
    pub(crate) within: String,
    pub(crate) certificate: String,
    pub(crate) certificate_of: String,
    pub(crate) certificate_expired: String,
    pub(crate) sent_by: String,
    pub(crate) subject_sent_by: String,
    pub(crate) evidence: String,
    pub(crate) plots: String,
    pub(crate) plot: String,
    pub(crate) plot_day: String,
    pub(crate) plot_week: String,
    pub(crate) plot_quarter: String,
    pub(crate) incidents_none: String,
    pub(crate) incident_from: String,
    pub(crate) incident_to: String,
    pub(crate) incident_for: String,
    pub(crate) incident_why: String,
    pub(crate) incident_ongoing: String,
    pub(crate) incident_unknown: String,
    pub(crate) certificates: String,
    pub(crate) certificate_whose: String,
    pub(crate) certificate_its_own: String,
    pub(crate) certificate_expires: String,
    pub(crate) certificate_left: String,
    pub(crate) footer: String,
    pub(crate) sla_title: String,
    pub(crate) sla_heading: String,
    pub(crate) sla_groups: String,
    pub(crate) sla_group: String,
    pub(crate) sla_group_one: String,
    pub(crate) sla_group_many: String,
    pub(crate) sla_no_sites: String,
    pub(crate) sla_down_for: String,
    pub(crate) sla_covered: String,
    pub(crate) sla_budget: String,
    pub(crate) sla_left: String,
    pub(crate) sla_target: String,
    pub(crate) sla_met: String,
    pub(crate) sla_missed: String,
    pub(crate) sla_unknown: String,
    pub(crate) sla_footer: String,
    pub(crate) feed_title: String,
    pub(crate) feed_over: String,
    pub(crate) feed_over_text: String,
    pub(crate) feed_ongoing: String,
    pub(crate) feed_ongoing_text: String,
    pub(crate) feed_unknown: String,
    pub(crate) feed_unknown_text: String,
}

impl Words {
    /// The English ones.
    pub(crate) fn english() -> Self {
        serde_json::from_str(ENGLISH).expect("the English words are all there, which a test shows")
    }

    /// A state, for people.
    pub(crate) fn state(&self, state: &str) -> &str {
        match state {
            states::UP => &self.state_up,
            states::DEGRADED => &self.state_degraded,
            states::DOWN => &self.state_down,
            states::UNMONITORED => &self.state_unmonitored,
            _ => &self.state_unknown,
        }
    }

    /// `3 down, 96 up`: how many sites are in which state, the worst first; empty without any.
    pub(crate) fn counts(&self, counts: Counts) -> String {
        let parts: Vec<String> = counts
            .worst_first()
            .map(|(count, state)| self.count(count, state))
            .collect();
        parts.join(&self.list_separator)
    }

    /// `3 down`.
    pub(crate) fn count(&self, count: usize, state: &str) -> String {
        let state = self.state(state);
        fill(&self.state_count, &[("count", &count), ("state", &state)])
    }

    /// What [`percentage`] says.
    pub(crate) fn percentage(&self, value: Option<f64>) -> String {
        self.decimal(&percentage(value))
    }

    /// What [`share_of_time`] says.
    pub(crate) fn share_of_time(&self, value: Option<f64>) -> String {
        self.decimal(&share_of_time(value))
    }

    /// What [`milliseconds`] says.
    pub(crate) fn milliseconds(&self, microseconds: Option<impl Into<f64>>) -> String {
        self.decimal(&milliseconds(microseconds))
    }

    /// How long a certificate is still good for: what [`validity`] says.
    pub(crate) fn validity(&self, seconds: i64) -> String {
        match seconds {
            ..0 => self.certificate_expired.clone(),
            _ => validity(seconds),
        }
    }

    /// Whose the certificate that expires first is and who sends it, where it is not the site's own;
    /// else `None`.
    pub(crate) fn first_to_expire(&self, line: &SiteLine) -> Option<String> {
        let (subject, host) = line.first_to_expire()?;
        Some(match subject {
            Some(subject) => fill(
                &self.subject_sent_by,
                &[("subject", &subject), ("host", &host)],
            ),
            None => fill(&self.sent_by, &[("host", &host)]),
        })
    }

    /// A number of ours with its unit.
    pub(crate) fn decimal(&self, number: &str) -> String {
        number.replace('.', &self.decimal_mark)
    }
}

/// A text with values in the places of their `{names}`.
pub(crate) fn fill(text: &str, values: &[(&str, &dyn Display)]) -> String {
    let mut filled = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, name, after)) = next_name(rest) {
        filled.push_str(before);
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            write!(filled, "{value}").expect("writing to a String cannot fail");
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// What is before the first `{name}`, the name, and what is after it.
fn next_name(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

fn names(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut rest = text;
    while let Some((_, name, after)) = next_name(rest) {
        names.insert(name);
        rest = after;
    }
    names
}

/// The words of a file, and the English ones where it has none.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn read(path: &str) -> Result<Words, String> {
    parse(&crate::announcements::text(path)?)
}

fn parse(json: &str) -> Result<Words, String> {
    let english: BTreeMap<String, String> =
        serde_json::from_str(ENGLISH).map_err(|error| error.to_string())?;
    let own: BTreeMap<String, String> =
        serde_json::from_str(json.trim_start_matches('\u{feff}'))
            .map_err(|error| format!("it is no JSON object of texts: {error}"))?;
    let problems: Vec<String> = own
        .iter()
        .filter_map(|(key, text)| problem(&english, key, text))
        .collect();
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    let words: BTreeMap<String, String> = english.into_iter().chain(own).collect();
    // As JSON once more: to read so many fields from something else is 200 KB of machine code more.
    serde_json::to_string(&words)
        .and_then(|words| serde_json::from_str(&words))
        .map_err(|error| error.to_string())
}

/// What is wrong with a word of a file; `None`: nothing.
fn problem(english: &BTreeMap<String, String>, key: &str, text: &str) -> Option<String> {
    let Some(original) = english.get(key) else {
        let hint = nearest(key, english.keys().map(String::as_str))
            .map_or_else(String::new, |known| format!("; did you mean {known:?}?"));
        return Some(format!("{key:?} is not the name of a word{hint}"));
    };
    let (wanted, found) = (names(original), names(text));
    if wanted != found {
        let listed = |names: &BTreeSet<&str>| match names.len() {
            0 => "none".to_owned(),
            _ => names.iter().map(|name| format!("{{{name}}}")).collect(),
        };
        return Some(format!(
            "{key:?} has the placeholders {}, and wants {}",
            listed(&found),
            listed(&wanted)
        ));
    }
    // XML has no way to write these.
    if text.contains(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Some(format!("{key:?} has a control character"));
    }
    if text.trim().is_empty() {
        return Some(format!("{key:?} is empty"));
    }
    match key {
        "dir" if !matches!(text, "ltr" | "rtl") => Some(format!("{key:?} is neither ltr nor rtl")),
        "lang" if !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
            Some(format!("{key:?} is no language tag, such as de or pt-BR"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GERMAN: &str = include_str!("../words.de.json");

    #[test]
    fn german_has_every_word_in_the_order_of_english() {
        let keys = |json: &str| -> Vec<String> {
            json.lines()
                .filter_map(|line| Some(line.trim().split_once("\": \"")?.0.to_owned()))
                .collect()
        };
        assert_eq!(keys(GERMAN), keys(ENGLISH));
        parse(ENGLISH).unwrap();
        assert_eq!(parse(GERMAN).unwrap().lang, "de");
    }

    #[test]
    fn what_a_file_does_not_say_is_english() {
        let unchanged = parse("{}").unwrap();
        assert_eq!(format!("{unchanged:?}"), format!("{:?}", Words::english()));
        let words = parse(r#"{"sites": "Seiten", "decimal_mark": ","}"#).unwrap();
        assert_eq!(
            (words.sites.as_str(), words.site.as_str()),
            ("Seiten", "Site")
        );
        assert_eq!(words.percentage(Some(99.57)), "99,57 %");
    }

    #[test]
    fn every_problem_of_a_file_is_told() {
        let problems = parse(
            r#"{"sitez": "", "since": "seit {zeit}", "site": "{x}", "plots": "Zeiten", "colour_of": "",
                "uptime": "\u0007", "incidents": " ", "dir": "up", "lang": "de_DE"}"#,
        )
        .unwrap_err();
        assert_eq!(
            problems,
            "\"colour_of\" is not the name of a word; \
             \"dir\" is neither ltr nor rtl; \
             \"incidents\" is empty; \
             \"lang\" is no language tag, such as de or pt-BR; \
             \"plots\" has the placeholders none, and wants {site}; \
             \"since\" has the placeholders {zeit}, and wants {time}; \
             \"site\" has the placeholders {x}, and wants none; \
             \"sitez\" is not the name of a word; did you mean \"site\"?; \
             \"uptime\" has a control character"
        );
        for json in ["[]", "{\"site\": 1}", "{"] {
            let problem = parse(json).unwrap_err();
            assert!(
                problem.starts_with("it is no JSON object of texts: "),
                "{problem}"
            );
        }
    }

    #[test]
    fn what_is_filled_in_is_not_looked_at_again() {
        let filled = fill("{a}, {b}{c} { d", &[("a", &"{b}"), ("b", &1)]);
        assert_eq!(filled, "{b}, 1 { d");
    }
}
