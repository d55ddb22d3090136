//! Times as RFC 3339 in UTC with six decimals, always: fixed width sorts and diffs well, and
//! PostgreSQL keeps no more.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serializer};

const FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

pub(super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&time.strftime(FORMAT))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    Timestamp::deserialize(from).map(to_microseconds)
}

/// Others may write more decimals; two times that PostgreSQL cannot tell apart are one.
fn to_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::new(time.as_second(), time.subsec_nanosecond() / 1_000 * 1_000).unwrap_or(time)
}

pub(super) mod optional {
    use super::{Deserialize, Deserializer, FORMAT, Serializer, Timestamp, to_microseconds};

    #[expect(
        clippy::ref_option,
        reason = "serde's `with` passes the field by reference"
    )]
    pub(in crate::event) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => to.collect_str(&time.strftime(FORMAT)),
            None => to.serialize_none(),
        }
    }

    pub(in crate::event) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Option::<Timestamp>::deserialize(from).map(|time| time.map(to_microseconds))
    }
}
