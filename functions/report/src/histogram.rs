//! Response times as the rollups keep them: sparse histograms that can be added up.
//!
//! Sixteen buckets to each doubling; `migrations/V5__rollups.sql` has the definition and why a
//! percentile read from them is at most 2.2 % off.

use std::error::Error;

use postgres::types::{FromSql, Type, accepts};

/// Bits of an element that hold the count; the bucket is above them.
const COUNT_BITS: u32 = 22;
const COUNT_MASK: i32 = (1 << COUNT_BITS) - 1;

/// Buckets to a doubling.
const PER_DOUBLING: f64 = 16.0;

/// Counts per bucket, in the buckets' order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram(Vec<(u16, u32)>);

impl Histogram {
    /// Adds the elements of a stored histogram.
    pub(crate) fn add(&mut self, elements: impl IntoIterator<Item = i32>) {
        self.put(elements.into_iter().map(parts));
    }

    /// Takes the elements of a stored histogram away, which was added before.
    pub(crate) fn take(&mut self, elements: impl IntoIterator<Item = i32>) {
        for (bucket, count) in elements.into_iter().map(parts) {
            if let Ok(at) = self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket)
                && let Some((_, counted)) = self.0.get_mut(at)
            {
                *counted = counted.saturating_sub(count);
            }
        }
    }

    /// Adds another one.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.put(other.0.iter().copied());
    }

    fn put(&mut self, counts: impl Iterator<Item = (u16, u32)>) {
        // What is added is in the buckets' order, mostly, and in the buckets that are there.
        let mut next = 0;
        for (bucket, count) in counts {
            let found = match self.0.get(next) {
                Some((known, _)) if *known == bucket => Ok(next),
                _ => self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket),
            };
            let (Ok(at) | Err(at)) = found;
            match self.0.get_mut(at) {
                Some((_, counted)) if found.is_ok() => *counted = counted.saturating_add(count),
                _ => self.0.insert(at, (bucket, count)),
            }
            next = at + 1;
        }
    }

    /// Microseconds that this fraction of the measurements did not exceed; `None` without any.
    pub(crate) fn percentile(&self, fraction: f64) -> Option<i32> {
        let all: u64 = self.0.iter().map(|(_, count)| u64::from(*count)).sum();
        // Counts are far below 2^52, where a float still tells neighbours apart.
        let wanted = (fraction * all as f64).max(1.0);
        let mut seen = 0_u64;
        for (bucket, count) in &self.0 {
            seen += u64::from(*count);
            if seen as f64 >= wanted {
                return Some(middle(*bucket));
            }
        }
        None
    }
}

/// The bucket of an element, and its count.
fn parts(element: i32) -> (u16, u32) {
    (
        u16::try_from(element >> COUNT_BITS).unwrap_or(u16::MAX),
        u32::try_from(element & COUNT_MASK).unwrap_or(0),
    )
}

/// The elements of a stored histogram, where they were received: there are hundreds of thousands.
/// Each comes with its length, four bytes, before it.
pub(crate) struct Elements<'a>(&'a [[u8; 8]]);

impl<'a> FromSql<'a> for Elements<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        // How many dimensions, whether any element is null, their type, and of each dimension its
        // size and where it begins.
        let elements = match raw {
            [0, 0, 0, 0, ..] => raw.get(12..),
            [0, 0, 0, 1, 0, 0, 0, 0, ..] => raw.get(20..),
            _ => None,
        };
        match elements.map(<[u8]>::as_chunks) {
            Some((elements, [])) => Ok(Self(elements)),
            _ => Err("not a list of numbers".into()),
        }
    }

    accepts!(INT4_ARRAY);
}

impl Elements<'_> {
    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = i32> {
        let value = |[_, _, _, _, value @ ..]: &[u8; 8]| i32::from_be_bytes(*value);
        self.0.iter().map(value)
    }
}

/// The value that is as far, in per cent, from both ends of the bucket.
fn middle(bucket: u16) -> i32 {
    let low = (f64::from(bucket) / PER_DOUBLING).exp2();
    let middle = 2.0 * low / (1.0 + (-1.0 / PER_DOUBLING).exp2());
    // Buckets end below 2^31.
    middle.round().min(f64::from(i32::MAX)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(microseconds: i32) -> i32 {
        let bucket = (f64::from(microseconds).log2() * PER_DOUBLING).floor() as i32;
        (bucket << COUNT_BITS) | 1
    }

    #[test]
    fn percentiles_are_at_most_two_per_cent_off_whatever_the_size() {
        for value in [1, 7, 100, 1_234, 98_765, 1_000_000, 30_000_000, i32::MAX] {
            let mut histogram = Histogram::default();
            histogram.add([element(value)]);
            let found = histogram.percentile(0.5).unwrap();
            let off = (f64::from(found) / f64::from(value) - 1.0).abs();
            // A microsecond is as fine as it gets.
            assert!(
                off <= 0.0217 || (found - value).abs() <= 1,
                "{value}: {found}"
            );
        }
        assert_eq!(Histogram::default().percentile(0.5), None);
    }

    #[test]
    fn histograms_add_up_in_any_order() {
        let parts = [
            [element(10), element(5_000)],
            [element(10), element(70)],
            [element(900_000), element(5_000)],
        ];
        let mut one = Histogram::default();
        let mut other = Histogram::default();
        for part in &parts {
            one.add(*part);
        }
        for part in parts.iter().rev() {
            other.add(*part);
        }
        assert_eq!(one, other);
        assert_eq!(one.percentile(0.0), Some(middle(53)));
        assert!(one.percentile(0.99).unwrap() > 850_000);
    }

    #[test]
    fn elements_are_read_as_postgresql_sends_them() {
        let mut raw = Vec::new();
        // One dimension, no null, int4; three elements, the first of which is the first.
        for number in [1, 0, 23, 3, 1] {
            raw.extend(i32::to_be_bytes(number));
        }
        for element in [7, -1, i32::MAX] {
            raw.extend(i32::to_be_bytes(4));
            raw.extend(i32::to_be_bytes(element));
        }
        let read = |raw: &[u8]| {
            Elements::from_sql(&Type::INT4_ARRAY, raw).map(|read| read.iter().collect::<Vec<_>>())
        };
        assert_eq!(read(&raw).unwrap(), [7, -1, i32::MAX]);
        // An empty array has no dimension.
        let empty = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23];
        assert!(read(&empty).unwrap().is_empty());
        assert!(read(raw.get(..12).unwrap()).is_err());
    }
}
