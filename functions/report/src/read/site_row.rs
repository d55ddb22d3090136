//! A line of the state of sites as the server sent it: what is asked for is decoded, and no more.
//! Whoever reads all lines once for each of a dozen figures has most of the work in that.

use jiff::{SignedDuration, Timestamp};
use postgres::Row;

use super::coverage::Watched;
use super::{Key, labels};
use crate::filter::Labels;
use crate::states;

/// What is read of all that `sites.sql` has.
pub(super) const COLUMNS: &str =
    "website_id, location_id, site, location, state, since, checked_at,
    dns_us, connect_us, tls_us, first_byte_us, body_us, total_us, certificate_not_after, verdict,
    is_first, chain_not_after, chain_subject, chain_host, first_scheduled_at, newest_at, interval_ms";

/// A row that begins with [`COLUMNS`]; next are the labels, where they are asked for.
pub(crate) struct SiteRow<'a>(pub(super) &'a Row);

impl<'a> SiteRow<'a> {
    /// `None` for a site that was never checked.
    pub(crate) fn key(&self) -> Option<Key> {
        let location_id: Option<i16> = self.0.get(1);
        location_id.map(|location_id| (self.0.get(0), location_id))
    }

    /// Whether it is the first line of its site: the one that the site is counted by.
    pub(crate) fn is_first(&self) -> bool {
        self.0.get(15)
    }

    /// The site's name.
    pub(crate) fn site(&self) -> &'a str {
        self.0.get(2)
    }

    /// The site's labels; only of rows that have them.
    pub(crate) fn labels(&self) -> Labels {
        labels(self.0.get(22))
    }

    /// Where the probe ran; `None` for a site that was never checked.
    pub(crate) fn location(&self) -> Option<&'a str> {
        self.0.get(3)
    }

    /// The site as seen from there.
    pub(crate) fn state(&self) -> &'static str {
        states::word(self.0.get(4))
    }

    /// Since when it is up or down; `None` otherwise.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.0.get(5)
    }

    /// When the newest check began.
    pub(crate) fn checked_at(&self) -> Option<Timestamp> {
        self.0.get(6)
    }

    /// How long the phases of the newest check took, in microseconds: of the name's lookup, the
    /// connection, TLS, the first byte, the body, and the whole; `None` for what did not happen.
    pub(crate) fn phases_us(&self) -> [Option<i32>; 6] {
        [7, 8, 9, 10, 11, 12].map(|column| self.0.get(column))
    }

    /// When the certificate that was seen last expires.
    pub(crate) fn certificate_not_after(&self) -> Option<Timestamp> {
        self.0.get(13)
    }

    /// The verdict on the site.
    pub(crate) fn verdict(&self) -> &'static str {
        states::word(self.0.get(14))
    }

    /// When the first expires of all certificates that the check depended on; `None`: not known.
    pub(crate) fn chain_not_after(&self) -> Option<Timestamp> {
        self.0.get(16)
    }

    /// Whose that certificate is; `None`: it names nobody.
    pub(crate) fn chain_subject(&self) -> Option<&'a str> {
        self.0.get(17)
    }

    /// The host that sent it.
    pub(crate) fn chain_host(&self) -> Option<&'a str> {
        self.0.get(18)
    }

    /// For which time the site should have been looked at; `None`: nobody said how often.
    pub(crate) fn watched(&self, now: Timestamp) -> Option<Watched> {
        let interval_ms: Option<i32> = self.0.get(21);
        let interval = SignedDuration::from_millis(interval_ms?.into());
        let (first, newest): (Option<Timestamp>, Option<Timestamp>) =
            (self.0.get(19), self.0.get(20));
        Some(Watched::new(first?, newest?, interval, now))
    }

    /// The time that the checks of the last 24 hours cover as far as they are rolled up, in
    /// milliseconds; only of rows for metrics.
    pub(crate) fn covered_ms_24h(&self) -> i64 {
        self.0.get(23)
    }
}
