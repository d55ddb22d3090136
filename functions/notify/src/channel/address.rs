//! An address taken apart: what its kind makes a receiver of.

use std::collections::BTreeMap;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

use super::Network;

/// What stands in an address for its receiver.
pub(crate) struct Address<'a> {
    /// Which kind of channel.
    pub(crate) kind: &'a str,
    /// The address without its kind and its fragment.
    pub(crate) url: Url,
    /// The longest that one attempt may take.
    pub(crate) timeout: Duration,
    /// What in the fragment is for the receiver: each is taken out by whoever reads it.
    pub(crate) options: BTreeMap<String, String>,
    /// The way to it.
    pub(crate) network: &'a Network,
}

impl Address<'_> {
    /// A value of the query.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        self.url
            .query_pairs()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
            .filter(|value| !value.is_empty())
    }
}

/// User and password of a URL, decoded; `None`: neither is there.
pub(super) fn login(url: &Url) -> Option<(String, Option<String>)> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    Some((decoded(url.username()), url.password().map(decoded)))
}

/// Text with `%` and two digits for what has a meaning of its own.
pub(crate) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
