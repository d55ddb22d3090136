//! What one transaction writes.

use crate::decode::{DeadLetter, Decoder, Row};
use crate::read::Message;

/// Consecutive messages of one partition, decoded.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) partition: i32,
    /// The offset it begins at: what `kafka_offsets` must hold for it to be written.
    pub(crate) from: i64,
    /// The offset after it.
    pub(crate) next: i64,
    pub(crate) rows: Vec<Row>,
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// The message behind each row, kept only where PostgreSQL has refused one, and where it cannot
    /// be read again: the refused one must be found and kept as it came.
    pub(crate) originals: Option<Vec<DeadLetter>>,
    /// About how much memory rows and dead letters take.
    bytes: usize,
}

impl Batch {
    /// An empty batch that begins at `from`.
    pub(crate) fn starting_at(partition: i32, from: i64) -> Self {
        Self {
            partition,
            from,
            next: from,
            rows: Vec::new(),
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

    /// Makes room for this many rows: growing by doubling would hold half as much again for a while.
    pub(crate) fn expect(&mut self, rows: usize) {
        self.rows.reserve_exact(rows);
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

    /// Adds a dead letter, behind which the batch goes on at `next`.
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

    /// Takes the batch out, leaving an empty one that begins where it ends.
    pub(crate) fn take(&mut self) -> Self {
        let mut following = Self::starting_at(self.partition, self.next);
        // The next is mostly as large.
        following.expect(self.rows.len());
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

    #[test]
    fn a_batch_moves_on_past_dead_letters_and_holes() {
        let mut decoder = Decoder::new(Window::ours());
        let mut batch = Batch::starting_at(0, 5);
        assert!(batch.is_idle());
        batch.add(
            &Message::Value {
                partition: 0,
                offset: 7,
                value: Some(b"no event"),
            },
            &mut decoder,
        );
        assert_eq!((batch.from, batch.next, batch.len()), (5, 8, 1));

        let taken = batch.take();
        assert_eq!((taken.from, taken.next), (5, 8));
        assert_eq!((batch.from, batch.next, batch.bytes()), (8, 8, 0));
    }
}
