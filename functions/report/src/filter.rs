//! Which sites are shown.

use std::collections::BTreeMap;

use sitewatch::wildcard;

use crate::states::STATES;

/// A site's labels, as `websites.labels` has them.
pub(crate) type Labels = BTreeMap<String, String>;

/// What was asked for; everything when nothing was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Patterns of names, of which one must fit.
    pub(crate) names: Option<Vec<String>>,
    /// Labels that must all be there.
    pub(crate) labels: Labels,
    /// States, of which one must hold.
    pub(crate) states: Option<Vec<&'static str>>,
}

impl Filter {
    /// Whether every site is shown, whatever its name and labels.
    pub(crate) fn takes_every_site(&self) -> bool {
        self.names.is_none() && self.labels.is_empty()
    }

    /// Whether a site of this name with these labels is shown.
    pub(crate) fn takes_site(&self, name: &str, labels: &Labels) -> bool {
        let is_named = self.names.as_ref().is_none_or(|patterns| {
            patterns
                .iter()
                .any(|pattern| wildcard::matches(pattern, name))
        });
        is_named
            && self
                .labels
                .iter()
                .all(|(name, value)| labels.get(name) == Some(value))
    }

    /// Whether what is in this state is shown.
    pub(crate) fn takes_state(&self, state: &str) -> bool {
        self.states
            .as_ref()
            .is_none_or(|states| states.contains(&state))
    }
}

/// `shop,blog-*`.
pub(crate) fn names(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err(String::new());
    }
    Ok(names)
}

/// `team=web,env=live`.
pub(crate) fn labels(text: &str) -> Result<Labels, String> {
    text.split(',')
        .map(str::trim)
        .filter(|label| !label.is_empty())
        .map(|label| match label.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok((name.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err(format!("{label:?} has no name and value")),
        })
        .collect()
}

/// `down,degraded`.
pub(crate) fn states(text: &str) -> Result<Vec<&'static str>, String> {
    text.split(',')
        .map(|word| {
            STATES
                .into_iter()
                .find(|state| state.eq_ignore_ascii_case(word.trim()))
                .ok_or_else(|| format!("{word:?} is no state"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_whole_and_stars_stand_for_any_text() {
        let filter = Filter {
            names: Some(names("shop, blog-*,a.b").unwrap()),
            ..Filter::default()
        };
        for (name, taken) in [
            ("shop", true),
            ("shop2", false),
            ("blog-", true),
            ("blog-of-mine", true),
            ("my-blog-x", false),
            ("a.b", true),
            ("axb", false),
        ] {
            assert_eq!(filter.takes_site(name, &Labels::new()), taken, "{name}");
        }
    }

    #[test]
    fn all_labels_must_hold_and_one_state() {
        let filter = Filter {
            labels: labels("team=web, env=live").unwrap(),
            states: Some(states("Down,unknown").unwrap()),
            names: None,
        };
        let of = |pairs: &[(&str, &str)]| -> Labels {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        assert!(filter.takes_site("x", &of(&[("team", "web"), ("env", "live"), ("more", "")])));
        assert!(!filter.takes_site("x", &of(&[("team", "web")])));
        assert!(filter.takes_state("down") && !filter.takes_state("up"));
        assert!(labels("team").is_err() && states("broken").is_err());
    }
}
