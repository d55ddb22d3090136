//! What a channel is told: which events, of which sites.

use std::collections::BTreeMap;

use sitewatch::wildcard;

use crate::event::Event;

/// Everything, unless something is said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    /// The events; `None`: all.
    pub(super) events: Option<Vec<Event>>,
    /// What must hold of a site.
    selectors: Vec<Selector>,
}

/// Something that must hold of a site.
#[derive(Clone, Debug)]
struct Selector {
    /// The label; `None`: the site's name.
    label: Option<String>,
    /// Of which one must fit, `*` standing for any text.
    patterns: Vec<String>,
    /// Whether none may fit instead.
    is_negated: bool,
}

impl Route {
    /// Adds what must hold: `team` and `web,shop*`, `team!` and `web`, `site` and `shop`.
    ///
    /// # Errors
    /// When either is empty.
    pub(super) fn select(&mut self, key: &str, value: &str) -> Result<(), String> {
        let (key, is_negated) = match key.strip_suffix('!') {
            Some(key) => (key, true),
            None => (key, false),
        };
        let label = match key {
            "site" => None,
            _ => Some(key.strip_prefix("label.").unwrap_or(key).to_owned()),
        };
        if label.as_deref() == Some("") || value.is_empty() {
            return Err("after # wants name=value, neither of them empty".to_owned());
        }
        self.selectors.push(Selector {
            label,
            patterns: value.split(',').map(str::to_owned).collect(),
            is_negated,
        });
        Ok(())
    }

    /// Whether this event is told.
    pub(crate) fn takes_event(&self, event: Event) -> bool {
        self.events
            .as_ref()
            .is_none_or(|events| events.contains(&event))
    }

    /// Whether a site of this name with these labels is told of.
    pub(crate) fn takes_site(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.selectors.iter().all(|selector| {
            let value = match &selector.label {
                None => Some(name),
                Some(label) => labels.get(label).map(String::as_str),
            };
            let fits = value.is_some_and(|value| {
                selector
                    .patterns
                    .iter()
                    .any(|pattern| wildcard::matches(pattern, value))
            });
            fits != selector.is_negated
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_selectors_must_hold() {
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let mut route = Route::default();
        assert!(route.takes_site("any", &labels(&[])));
        for (key, value) in [
            ("team", "web,shop*"),
            ("env!", "test"),
            ("label.site", "x"),
            ("site", "a*"),
        ] {
            route.select(key, value).expect("a selector");
        }
        for (name, pairs, taken) in [
            ("abc", &[("team", "web"), ("site", "x")][..], true),
            (
                "abc",
                &[("team", "shop-2"), ("site", "x"), ("env", "live")],
                true,
            ),
            (
                "abc",
                &[("team", "web"), ("site", "x"), ("env", "test")],
                false,
            ),
            ("abc", &[("site", "x")], false),
            ("bc", &[("team", "web"), ("site", "x")], false),
        ] {
            assert_eq!(
                route.takes_site(name, &labels(pairs)),
                taken,
                "{name} {pairs:?}"
            );
        }
        for (key, value) in [("", "x"), ("team", ""), ("!", "x")] {
            assert!(route.select(key, value).is_err());
        }
    }
}
