//! Who is told what: the addresses in `NOTIFY_URLS`, each with what it is told after its `#`.
//!
//! `slack+https://hooks.slack.com/services/…#team=web&events=down,up` is a channel that is told of
//! sites with the label `team=web` that are down or up again.

mod route;

pub(crate) use route::Route;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use sitewatch::settings::parse;
use sitewatch::words::nearest;
use url::Url;

use crate::channel::{self, Address, KINDS, Network, OPTIONS, Receiver, decoded};
use crate::event::Event;

/// The longest that an attempt may take, unless an address says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest name of a channel, in characters; as the constraint in the database has it.
const MAX_NAME: usize = 100;

/// Somebody to tell.
pub(crate) struct Channel {
    /// What rows and logs know it by: never the address.
    pub(crate) name: String,
    /// What it is told.
    pub(crate) route: Route,
    /// How.
    pub(crate) receiver: Box<dyn Receiver>,
}

/// Everything else is secret.
impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({})", self.name)
    }
}

/// Reads the addresses.
///
/// # Errors
/// Everything that is wrong, each with the number and the kind of its address, but no secret.
pub(crate) fn channels(text: &str, network: &Network) -> Result<Vec<Channel>, Vec<String>> {
    let mut channels: Vec<Channel> = Vec::new();
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for (index, address) in text.split_whitespace().enumerate() {
        let number = index + 1;
        match channel(address, network) {
            Ok(channel) if !names.insert(channel.name.clone()) => problems.push(format!(
                "address {number}: there is another channel named {:?}; give it a name of its own: #name=…",
                channel.name
            )),
            Ok(channel) => channels.push(channel),
            Err(why) => problems.push(format!("address {number}{}: {why}", kind_of(address))),
        }
    }
    if channels.is_empty() && problems.is_empty() {
        problems.push("holds no address".to_owned());
    }
    if problems.is_empty() {
        Ok(channels)
    } else {
        Err(problems)
    }
}

/// How an address is called in a problem: by what stands before `://`, if that is known.
fn kind_of(address: &str) -> String {
    let scheme = address.split("://").next().unwrap_or_default();
    let kind = scheme.split('+').next().unwrap_or_default();
    if KINDS.contains(&kind) {
        format!(" ({kind})")
    } else {
        String::new()
    }
}

fn channel(text: &str, network: &Network) -> Result<Channel, String> {
    let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (scheme, _) = address.split_once("://").ok_or_else(|| {
        "wants KIND+https://…, with one of the kinds in `notify --help`".to_owned()
    })?;
    let (kind, url) = match scheme.split_once('+') {
        Some((kind, "http" | "https")) => (kind, address.get(kind.len() + 1..).unwrap_or_default()),
        None if matches!(scheme, "smtp" | "smtps") => (scheme, address),
        None if matches!(scheme, "http" | "https") => {
            return Err(
                "does not say what is there; wants webhook+, slack+, … before https://".to_owned(),
            );
        }
        Some((kind, _)) => return Err(unknown(kind)),
        None => return Err(unknown(scheme)),
    };
    if !KINDS.contains(&kind) || (kind.starts_with("smtp") != (kind == scheme)) {
        return Err(unknown(kind));
    }
    let url = Url::parse(url).map_err(|error| format!("is no URL: {error}"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host".to_owned());
    }
    let mut name = kind.to_owned();
    let mut timeout = TIMEOUT;
    let mut options = BTreeMap::new();
    let mut route = Route::default();
    for part in fragment.split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| "after # wants name=value, several separated by &".to_owned())?;
        let (key, value) = (decoded(key), decoded(value));
        match key.as_str() {
            "name" => name = value,
            "timeout" => {
                timeout = parse::positive_duration(&value)
                    .map_err(|why| format!("timeout= wants a duration such as 10s {why}"))?;
            }
            "events" => route.events = Some(events(&value)?),
            _ if OPTIONS.contains(&key.as_str()) => {
                options.insert(key, value);
            }
            _ => route.select(&key, &value)?,
        }
    }
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(format!("name= wants 1 to {MAX_NAME} characters"));
    }
    let mut address = Address {
        kind,
        url,
        timeout,
        options,
        network,
    };
    let receiver = channel::receiver(&mut address)?;
    if let Some((option, _)) = address.options.first_key_value() {
        return Err(format!(
            "{option}= is nothing for {kind}; a label of that name is written label.{option}=…"
        ));
    }
    Ok(Channel {
        name,
        route,
        receiver,
    })
}

fn events(text: &str) -> Result<Vec<Event>, String> {
    text.split(',')
        .map(|word| {
            Event::parse(word.trim()).ok_or_else(|| {
                let words: Vec<&str> = Event::ALL.into_iter().map(Event::word).collect();
                format!("events= wants {}", words.join(", "))
            })
        })
        .collect()
}

/// What is wrong with a kind. It is not repeated: what stands there by mistake may be secret.
fn unknown(kind: &str) -> String {
    match nearest(kind, KINDS.iter().copied()).filter(|known| *known != kind) {
        Some(known) => format!("is of no kind that there is; did you mean {known}?"),
        None => "is of no kind that there is; see `notify --help`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        channels(text, &Network::default())
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn every_mistake_is_told_at_once_and_no_secret_with_it() {
        let text = "
            slack+https://hooks.slack.com/services/T0/B0/hidden-1#events=down,upp
            https://hooks.example/hidden-2
            slack+ftp://hidden-3.example/
            telegram+https://api.telegram.org/hidden-4
            pagerduty+https://events.pagerduty.com
            webhook+https://hooks.example/#secret=hidden
            ntfy+https://ntfy.sh/#secret=hidden-6
            slack+https://hooks.slack.com/ok
            slack+https://hooks.slack.com/ok2
            hidden-7
            smtp://u:hidden-8@h?from=a@example.org&to=b#team
            alertmanager+http://h:9093#expires=never
            teams+https://h/x#secret=hidden-9";
        let found = problems(text);
        assert_eq!(found.len(), 12, "{found:#?}");
        for (problem, part) in found.iter().zip([
            "address 1 (slack): events= wants down, degraded, up",
            "address 2: does not say what is there",
            "address 3 (slack): is of no kind that there is; see `notify --help`",
            "address 4 (telegram): wants telegram+https://",
            "address 5 (pagerduty): wants pagerduty+https://",
            "address 6 (webhook): secret= wants 16 bytes or more",
            "address 7 (ntfy): wants ntfy+https://",
            "address 9: there is another channel named \"slack\"",
            "address 10: wants KIND+https://",
            "address 11 (smtp): after # wants name=value",
            "address 12 (alertmanager): expires= wants a duration",
            "address 13 (teams): secret= is nothing for teams",
        ]) {
            assert!(problem.starts_with(part), "{problem} for {part}");
            assert!(!problem.contains("hidden"), "{problem}");
        }
        assert_eq!(problems(" \n"), ["holds no address"]);
    }

    #[test]
    fn channels_have_names_and_show_nothing_else() {
        let text = "slack+https://hooks.slack.com/services/T0/B0/hidden
            slack+https://hooks.slack.com/services/T0/B0/hidden2#name=web%20team&team=web
            webhook+https://hooks.example/?t=hidden#secret=hidden-hidden-hidden&timeout=3s
            telegram+https://api.telegram.org/bot1:hidden?chat_id=-100
            pagerduty+https://hidden@events.eu.pagerduty.com
            ntfy+https://tk_hidden@ntfy.sh/topic
            teams+https://prod.example:443/workflows/1?sig=hidden
            alertmanager+http://localhost:9093/prefix#expires=15m
            smtps://user:hidden@mail.example?from=a@example.org&to=b@example.org";
        let channels = channels(text, &Network::default()).expect("all are right");
        let shown = format!("{channels:?}");
        assert_eq!(
            shown,
            "[Channel(slack), Channel(web team), Channel(webhook), Channel(telegram), Channel(pagerduty), Channel(ntfy), Channel(teams), Channel(alertmanager), Channel(smtps)]"
        );
    }
}
