//! Counts by bucket as the rollups store them: an integer for each bucket that holds something, the
//! count in its lower 22 bits. `migrations/V5__rollups.sql` has the definition; the SQL functions
//! `histogram_bucket` and `histogram_element` are the same.

/// Bits of an element that hold the count; the bucket is above them.
const COUNT_BITS: u32 = 22;

/// The most that an element can count: from there on it stands for "so many or more".
const MAX_COUNT: i32 = (1 << COUNT_BITS) - 1;

/// Buckets to each factor of e: sixteen to each doubling.
const PER_E: f64 = 23.083_120_654_223_414;

/// The elements, in the buckets' order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram(Vec<i32>);

impl Histogram {
    /// Counts some more in a bucket.
    pub(crate) fn count(&mut self, bucket: i32, counted: i32) {
        let known = |element: &i32| element >> COUNT_BITS;
        match self.0.binary_search_by_key(&bucket, known) {
            Ok(at) => {
                if let Some(element) = self.0.get_mut(at) {
                    *element += counted.min(MAX_COUNT - (*element & MAX_COUNT));
                }
            }
            Err(at) => self.0.insert(at, (bucket << COUNT_BITS) | counted),
        }
    }

    /// Adds another one, by its elements.
    pub(crate) fn add(&mut self, elements: &[i32]) {
        for element in elements {
            self.count(element >> COUNT_BITS, element & MAX_COUNT);
        }
    }

    /// What is stored.
    pub(crate) fn elements(&self) -> &[i32] {
        &self.0
    }
}

/// The bucket of a time in microseconds: 16 * log2, rounded down.
pub(crate) fn bucket(microseconds: i32) -> i32 {
    if microseconds > 1 {
        (f64::from(microseconds).ln() * PER_E).floor() as i32
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_full_ones_stay_full() {
        let mut histogram = Histogram::default();
        for microseconds in [1_000, 1, 2, 0, 1_000] {
            histogram.count(bucket(microseconds), 1);
        }
        let found: Vec<(i32, i32)> = histogram
            .elements()
            .iter()
            .map(|element| (element >> COUNT_BITS, element & MAX_COUNT))
            .collect();
        assert_eq!(found, [(0, 2), (16, 1), (159, 2)]);

        let mut full = Histogram(vec![MAX_COUNT]);
        full.add(&[2, (16 << COUNT_BITS) | 3]);
        assert_eq!(full.elements(), [MAX_COUNT, (16 << COUNT_BITS) | 3]);
    }
}
