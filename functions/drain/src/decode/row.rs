//! A check as it waits to be written: small, and free of the message it came in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use sitewatch::event::CheckEvent;

/// A site as an event named it. Shared by all its rows, so that a name is kept once however many
/// events carry it, and its id is asked for once a run.
#[derive(Debug)]
pub(crate) struct Site {
    /// Unique name.
    pub(crate) name: String,
    /// URL of the newest event seen in this run.
    pub(crate) url: String,
    /// Its labels, by name. No map, whose first entry alone takes half a kilobyte.
    pub(crate) labels: Box<[(Box<str>, Box<str>)]>,
    /// `websites.id`, once a committed transaction has seen it.
    pub(crate) id: OnceLock<i32>,
}

impl Site {
    fn of(event: &CheckEvent<'_>) -> Self {
        Self {
            name: event.site.clone().into_owned(),
            url: event.url.clone().into_owned(),
            labels: event
                .labels
                .iter()
                .map(|(name, value)| (name.as_ref().into(), value.as_ref().into()))
                .collect(),
            id: OnceLock::new(),
        }
    }

    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        let labels = self.labels.iter();
        size_of::<Self>()
            + self.name.len()
            + self.url.len()
            + labels
                .map(|(name, value)| 2 * size_of::<Box<str>>() + name.len() + value.len())
                .sum::<usize>()
    }

    /// Whether an event of the same name says the same of it.
    fn is_of(&self, event: &CheckEvent<'_>) -> bool {
        self.url == event.url
            && self.labels.len() == event.labels.len()
            && self
                .labels
                .iter()
                .zip(&event.labels)
                .all(|((name, value), theirs)| **name == **theirs.0 && **value == **theirs.1)
    }
}

/// A location of a probe, likewise.
#[derive(Debug)]
pub(crate) struct Location {
    /// Unique name.
    pub(crate) name: String,
    /// `locations.id`, once a committed transaction has seen it.
    pub(crate) id: OnceLock<i16>,
}

/// One check, ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) site: Arc<Site>,
    pub(crate) location: Arc<Location>,
    pub(crate) checked_at: Timestamp,
    pub(crate) scheduled_at: MaybeTime,
    /// What most checks do not have, out of the way.
    pub(crate) texts: Option<Box<Texts>>,
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) remote_addr: Option<IpAddr>,
    pub(crate) total_us: i32,
    pub(crate) dns_us: MaybeNumber,
    pub(crate) connect_us: MaybeNumber,
    pub(crate) tls_us: MaybeNumber,
    pub(crate) first_byte_us: MaybeNumber,
    pub(crate) body_us: MaybeNumber,
    pub(crate) local_wait_us: MaybeNumber,
    pub(crate) body_bytes: MaybeNumber,
    pub(crate) interval_ms: MaybeNumber,
    pub(crate) outcome: i16,
    pub(crate) status: Option<i16>,
    pub(crate) redirects: i16,
    pub(crate) attempts: i16,
    pub(crate) up: Option<bool>,
    pub(crate) body_match: Option<bool>,
    pub(crate) maintenance: bool,
}

/// A whole number from 0 to 2³¹ − 1, or none, in the four bytes of the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaybeNumber(i32);

impl MaybeNumber {
    const NONE: Self = Self(-1);

    /// None also for a number that does not fit.
    fn of(value: Option<impl TryInto<i32>>) -> Self {
        value
            .and_then(|value| value.try_into().ok())
            .map_or(Self::NONE, Self)
    }
}

impl From<MaybeNumber> for Option<i32> {
    fn from(number: MaybeNumber) -> Self {
        (number != MaybeNumber::NONE).then_some(number.0)
    }
}

/// A time to the microsecond, or none, in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaybeTime(i64);

impl MaybeTime {
    const NONE: Self = Self(i64::MIN);

    fn of(value: Option<Timestamp>) -> Self {
        value.map_or(Self::NONE, |time| Self(time.as_microsecond()))
    }
}

impl From<MaybeTime> for Option<Timestamp> {
    fn from(time: MaybeTime) -> Self {
        Timestamp::from_microsecond(time.0).ok()
    }
}

impl Row {
    /// Where redirects led; `None` when there were none.
    pub(crate) fn final_url(&self) -> Option<&str> {
        self.texts.as_ref()?.final_url.as_deref()
    }
}

/// The texts of a check that had something to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) error: Option<String>,
    pub(crate) first_error: Option<String>,
    pub(crate) final_url: Option<String>,
    pub(crate) evidence: Option<String>,
}

/// What a check saw of TLS. The same from check to check of a site, so kept once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) not_after: Option<Timestamp>,
    pub(crate) issuer: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) chain_not_after: Option<Timestamp>,
    pub(crate) chain_subject: Option<String>,
    pub(crate) chain_host: Option<String>,
    pub(crate) tls_version: String,
}

/// Memory of what is known of sites and locations at which it is forgotten: it is asked for again
/// then. About 80,000 sites with a label or two.
const MAX_KNOWN: usize = 32 << 20;

/// The sites and locations met in this run. Its size is that of the list of sites, not of the
/// backlog, and at most [`MAX_KNOWN`].
#[derive(Default)]
pub(super) struct Known {
    /// About how much memory the maps take.
    bytes: usize,
    sites: HashMap<Box<str>, Seen>,
    locations: HashMap<Box<str>, Arc<Location>>,
}

/// What the newest event of a site said of it.
struct Seen {
    site: Arc<Site>,
    certificate: Option<Arc<Certificate>>,
}

impl Known {
    /// Turns a decoded event into a row, and says about how much memory the row takes: its texts,
    /// and what it is the first to say of its site.
    pub(super) fn row(&mut self, mut event: CheckEvent<'_>) -> (Row, usize) {
        if self.bytes > MAX_KNOWN {
            self.bytes = 0;
            self.sites.clear();
            self.locations.clear();
        }
        // Decoding has checked every range; a value that still did not fit would be null or the
        // type's limit rather than another number.
        let mut bytes = size_of::<Row>();
        let (site, certificate) = self.seen(&event, &mut bytes);
        let texts = Texts::of(&mut event);
        bytes += texts.as_ref().map_or(0, |texts| texts.bytes());
        let row = Row {
            site,
            certificate,
            location: self.location(&event),
            checked_at: event.checked_at,
            scheduled_at: MaybeTime::of(event.scheduled_at),
            remote_addr: event.remote_addr,
            total_us: i32::try_from(event.total_us).unwrap_or(i32::MAX),
            dns_us: MaybeNumber::of(event.dns_us),
            connect_us: MaybeNumber::of(event.connect_us),
            tls_us: MaybeNumber::of(event.tls_us),
            first_byte_us: MaybeNumber::of(event.first_byte_us),
            body_us: MaybeNumber::of(event.body_us),
            local_wait_us: MaybeNumber::of(event.local_wait_us),
            body_bytes: MaybeNumber::of(event.body_bytes),
            interval_ms: MaybeNumber::of(event.interval_ms),
            outcome: event.outcome.code(),
            status: event.status.and_then(|status| i16::try_from(status).ok()),
            redirects: i16::try_from(event.redirects).unwrap_or(i16::MAX),
            attempts: i16::try_from(event.attempts).unwrap_or(i16::MAX),
            up: event.up,
            body_match: event.body_match,
            maintenance: event.maintenance,
            texts,
        };
        (row, bytes)
    }

    /// Adds to `bytes` what it had to make.
    fn seen(
        &mut self,
        event: &CheckEvent<'_>,
        bytes: &mut usize,
    ) -> (Arc<Site>, Option<Arc<Certificate>>) {
        if let Some(seen) = self.sites.get_mut(event.site.as_ref()) {
            if !seen.site.is_of(event) {
                self.bytes = self.bytes.saturating_sub(seen.site.bytes());
                seen.site = Arc::new(Site::of(event));
                self.bytes += seen.site.bytes();
                *bytes += seen.site.bytes();
            }
            if event.tls_version.is_none() {
                // No handshake: nothing is said of the certificate.
                return (Arc::clone(&seen.site), None);
            }
            let known = seen.certificate.as_ref();
            if !known.is_some_and(|known| known.is_of(event)) {
                let size = |it: &Option<Arc<Certificate>>| it.as_ref().map_or(0, |it| it.bytes());
                self.bytes = self.bytes.saturating_sub(size(&seen.certificate));
                seen.certificate = Certificate::of(event).map(Arc::new);
                self.bytes += size(&seen.certificate);
                *bytes += size(&seen.certificate);
            }
            return (Arc::clone(&seen.site), seen.certificate.clone());
        }
        let seen = Seen {
            site: Arc::new(Site::of(event)),
            certificate: Certificate::of(event).map(Arc::new),
        };
        let made = seen.site.bytes() + seen.certificate.as_ref().map_or(0, |it| it.bytes());
        // The map's entry, and its key.
        self.bytes += made + 2 * size_of::<Seen>() + event.site.len();
        *bytes += made;
        let both = (Arc::clone(&seen.site), seen.certificate.clone());
        self.sites.insert(event.site.as_ref().into(), seen);
        both
    }

    fn location(&mut self, event: &CheckEvent<'_>) -> Arc<Location> {
        if let Some(location) = self.locations.get(event.location.as_ref()) {
            return Arc::clone(location);
        }
        self.bytes += 2 * event.location.len() + 2 * size_of::<Location>();
        let location = Arc::new(Location {
            name: event.location.clone().into_owned(),
            id: OnceLock::new(),
        });
        self.locations
            .insert(event.location.as_ref().into(), Arc::clone(&location));
        location
    }
}

impl Texts {
    fn bytes(&self) -> usize {
        let texts = [
            &self.error,
            &self.first_error,
            &self.final_url,
            &self.evidence,
        ];
        size_of::<Self>() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }

    fn of(event: &mut CheckEvent<'_>) -> Option<Box<Self>> {
        let texts = [
            &event.error,
            &event.first_error,
            &event.final_url,
            &event.evidence,
        ];
        if texts.iter().all(|text| text.is_none()) {
            return None;
        }
        Some(Box::new(Self {
            error: event.error.take().map(Into::into),
            first_error: event.first_error.take().map(Into::into),
            final_url: event.final_url.take().map(Into::into),
            evidence: event.evidence.take().map(Into::into),
        }))
    }
}

impl Certificate {
    fn bytes(&self) -> usize {
        let texts = [
            &self.issuer,
            &self.error,
            &self.chain_subject,
            &self.chain_host,
        ];
        size_of::<Self>()
            + self.tls_version.len()
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }

    fn of(event: &CheckEvent<'_>) -> Option<Self> {
        Some(Self {
            not_after: event.certificate_not_after,
            issuer: event.certificate_issuer.as_deref().map(str::to_owned),
            error: event.certificate_error.as_deref().map(str::to_owned),
            chain_not_after: event.chain_not_after,
            chain_subject: event.chain_subject.as_deref().map(str::to_owned),
            chain_host: event.chain_host.as_deref().map(str::to_owned),
            tls_version: event.tls_version.as_deref()?.to_owned(),
        })
    }

    fn is_of(&self, event: &CheckEvent<'_>) -> bool {
        self.not_after == event.certificate_not_after
            && self.issuer.as_deref() == event.certificate_issuer.as_deref()
            && self.error.as_deref() == event.certificate_error.as_deref()
            && self.chain_not_after == event.chain_not_after
            && self.chain_subject.as_deref() == event.chain_subject.as_deref()
            && self.chain_host.as_deref() == event.chain_host.as_deref()
            && Some(self.tls_version.as_str()) == event.tls_version.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_or_are_none() {
        let there_and_back = |value: Option<u64>| -> Option<i32> { MaybeNumber::of(value).into() };
        assert_eq!(there_and_back(None), None);
        assert_eq!(there_and_back(Some(0)), Some(0));
        assert_eq!(there_and_back(Some(1 << 31)), None);
        assert_eq!(there_and_back(Some((1 << 31) - 1)), Some(i32::MAX));
    }

    #[test]
    fn times_are_kept_to_the_microsecond_or_are_none() {
        let there_and_back = |value| -> Option<Timestamp> { MaybeTime::of(value).into() };
        assert_eq!(there_and_back(None), None);
        for text in ["0001-01-01T00:00:00Z", "2026-11-21T02:52:20.517001Z"] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(there_and_back(Some(time)), Some(time));
        }
    }

    #[test]
    fn a_row_is_small() {
        // Some ten thousand wait in memory at once.
        assert!(size_of::<Row>() <= 128, "{} bytes", size_of::<Row>());
    }
}
