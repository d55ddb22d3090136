//! What one transaction writes.

use crate::decode::{DeadLetter, Decoder, Row};
use crate::read::Message;

/// Messages of one or several partitions, decoded.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The writer it is for: a partition's parts are all for one, and written in their order.
    pub(crate) writer: usize,
    /// What it holds of each partition.
    pub(crate) parts: Vec<Part>,
}

/// Consecutive messages of one partition, decoded.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) partition: i32,
    /// The offset it begins at: what `kafka_offsets` must hold for it to be written.
    pub(crate) from: i64,
    /// The offset after it.
    pub(crate) next: i64,
    rows: Rows,
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// The message behind each row, kept only where PostgreSQL has refused one, and where it cannot
    /// be read again: the refused one must be found and kept as it came.
    pub(crate) originals: Option<Vec<DeadLetter>>,
    /// About how much memory rows and dead letters take.
    bytes: usize,
}

/// Rows in pieces of one size, which the next batch can have again. One vector of them all leaves holes
/// that nothing else fits into, and takes half as much again while it grows.
#[derive(Debug, Default)]
struct Rows(Vec<Vec<Row>>);

/// Rows in a piece, 16 KiB: few enough where many partitions have little each.
const PIECE: usize = 128;

impl Rows {
    fn push(&mut self, row: Row) {
        match self.0.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push(row),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(row);
                self.0.push(piece);
            }
        }
    }

    fn len(&self) -> usize {
        let full = self.0.len().saturating_sub(1);
        full * PIECE + self.0.last().map_or(0, Vec::len)
    }

    fn iter(&self) -> impl Iterator<Item = &Row> {
        self.0.iter().flatten()
    }
}

impl Batch {
    /// The rows of all partitions.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.parts.iter().flat_map(|part| part.rows.iter())
    }

    /// The messages that are no events, with their partitions.
    pub(crate) fn dead_letters(&self) -> impl Iterator<Item = (i32, &DeadLetter)> {
        self.parts
            .iter()
            .flat_map(|part| part.dead_letters.iter().map(|it| (part.partition, it)))
    }

    /// The message behind each row, with its partition; `None` unless all partitions keep them.
    pub(crate) fn originals(&self) -> Option<Vec<(i32, &DeadLetter)>> {
        let mut originals = Vec::new();
        for part in &self.parts {
            let of_part = part.originals.as_ref()?.iter();
            originals.extend(of_part.map(|original| (part.partition, original)));
        }
        Some(originals)
    }

    /// Takes some partitions out.
    pub(crate) fn remove(&mut self, partitions: &[i32]) {
        self.parts
            .retain(|part| !partitions.contains(&part.partition));
    }

    /// Halves a batch of several partitions.
    pub(crate) fn split(mut self) -> [Self; 2] {
        let parts = self.parts.split_off(self.parts.len() / 2);
        let writer = self.writer;
        [self, Self { writer, parts }]
    }
}

impl Part {
    /// An empty part that begins at `from`.
    pub(crate) fn starting_at(partition: i32, from: i64) -> Self {
        Self {
            partition,
            from,
            next: from,
            rows: Rows::default(),
            dead_letters: Vec::new(),
            originals: None,
            bytes: 0,
        }
    }

    /// The same, keeping the message behind each row.
    pub(crate) fn with_originals(self) -> Self {
        Self {
            originals: Some(Vec::new()),
            ..self
        }
    }

    /// Adds a message: a row if it is an event, a dead letter if it is not.
    pub(crate) fn add(&mut self, message: &Message<'_>, decoder: &mut Decoder) {
        let record = message.record();
        match decoder.decode(record.value) {
            Ok((row, bytes)) => {
                self.bytes += bytes;
                self.rows.push(row);
                if let Some(originals) = &mut self.originals {
                    let original = DeadLetter::of(message, String::new());
                    self.bytes += original.bytes();
                    originals.push(original);
                }
                self.next = record.offset + 1;
            }
            Err(reason) => {
                self.add_dead_letter(DeadLetter::of(message, reason), record.offset + 1);
            }
        }
    }

    /// Adds a dead letter, behind which the part goes on at `next`.
    pub(crate) fn add_dead_letter(&mut self, dead_letter: DeadLetter, next: i64) {
        self.bytes += dead_letter.bytes();
        self.dead_letters.push(dead_letter);
        self.next = next;
    }

    /// Messages in it.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.dead_letters.len()
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether writing it would change nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.next == self.from
    }

    /// Takes the part out, leaving an empty one that begins where it ends.
    pub(crate) fn take(&mut self) -> Self {
        let mut following = Self::starting_at(self.partition, self.next);
        if self.originals.is_some() {
            following = following.with_originals();
        }
        std::mem::replace(self, following)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Window;
    use crate::fake::event;

    #[test]
    fn a_part_moves_on_past_dead_letters_and_holes() {
        let mut decoder = Decoder::new(Window::ours());
        let mut part = Part::starting_at(0, 5);
        assert!(part.is_idle());
        part.add(
            &Message::Value {
                partition: 0,
                offset: 7,
                value: Some(b"no event"),
            },
            &mut decoder,
        );
        assert_eq!((part.from, part.next, part.len()), (5, 8, 1));

        let taken = part.take();
        assert_eq!((taken.from, taken.next), (5, 8));
        assert_eq!((part.from, part.next, part.bytes()), (8, 8, 0));
    }

    #[test]
    fn rows_keep_their_order_over_pieces() {
        let mut decoder = Decoder::new(Window::ours());
        let mut part = Part::starting_at(0, 0);
        let numbers: Vec<i32> = (0..).take(2 * PIECE + 1).collect();
        for (number, before) in numbers.iter().zip(0..) {
            assert_eq!(part.len(), before);
            let value = event(*number);
            let message = Message::Value {
                partition: 0,
                offset: i64::from(*number),
                value: Some(&value),
            };
            part.add(&message, &mut decoder);
        }
        let batch = Batch {
            writer: 0,
            parts: vec![part],
        };
        assert!(batch.rows().map(|row| row.total_us).eq(numbers));
    }

    #[test]
    fn a_batch_loses_partitions_and_is_halved() {
        let batch = |partitions: &[i32]| Batch {
            writer: 1,
            parts: partitions
                .iter()
                .map(|partition| Part::starting_at(*partition, 0))
                .collect(),
        };
        let partitions =
            |batch: &Batch| -> Vec<i32> { batch.parts.iter().map(|part| part.partition).collect() };
        let mut five = batch(&[0, 1, 2, 3, 4]);
        five.remove(&[1, 3]);
        assert_eq!(partitions(&five), [0, 2, 4]);
        let [first, second] = five.split();
        assert_eq!((partitions(&first), first.writer), (vec![0], 1));
        assert_eq!((partitions(&second), second.writer), (vec![2, 4], 1));
    }

    #[test]
    fn a_batch_has_its_messages_only_if_all_partitions_kept_them() {
        let kept = || Part::starting_at(0, 0).with_originals();
        let parts = |parts| Batch { writer: 0, parts };
        assert!(parts(vec![kept(), kept()]).originals().is_some());
        assert!(
            parts(vec![kept(), Part::starting_at(1, 0)])
                .originals()
                .is_none()
        );
    }
}
