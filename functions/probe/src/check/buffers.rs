//! ureq's buffers, held only while there is something in them.
//!
//! A check spends nearly all its time waiting for its site. With thousands of them waiting, buffers
//! that are there from the first byte to the last are most of the memory; these are made when
//! bytes are about to move.

use memchr::memmem;
use ureq::unversioned::transport::Buffers;

/// The output buffer. A request's head goes out in several pieces if it must, but each of its lines
/// has to fit as a whole; see [`WireBuffers::for_lines_of`].
const OUTPUT: usize = 8 * 1024;
/// A page of 5 KB and its head in one read.
const INPUT: usize = 8 * 1024;

/// Buffers that come and go.
#[derive(Debug, Default)]
pub(super) struct WireBuffers {
    output: Vec<u8>,
    /// The longest line of the request's head.
    line: usize,
    input: Vec<u8>,
    /// How much of `input` holds bytes, and how many of these are used up.
    filled: usize,
    consumed: usize,
    /// Whether the last look at the input used anything up.
    progress: bool,
    /// Interim responses (1xx) used up.
    interim: u32,
    /// Whether the head of the response was used up.
    headed: bool,
    /// How much of the input was looked through for the end of a head, and how much ureq was shown.
    searched: usize,
    shown: usize,
}

impl WireBuffers {
    /// Buffers for a request whose head has no line longer than this.
    pub(super) fn for_lines_of(line: usize) -> Self {
        Self {
            line,
            ..Self::default()
        }
    }

    /// Whether ureq should look at the input: each time it parses a head from its beginning, so one
    /// that comes byte by byte would cost the square of its length. It looks when a head may be
    /// complete, and while none is, whenever there is twice as much.
    pub(super) fn is_worth_a_look(&mut self) -> bool {
        if self.headed {
            return true;
        }
        let input = self
            .input
            .get(self.consumed..self.filled)
            .unwrap_or_default();
        let mut look = input.len() < INPUT / 2 || input.len() >= 2 * self.shown;
        if !look {
            // The end of a line and an empty one, whose first bytes may have been there before.
            let new = input
                .get(self.searched.saturating_sub(3)..)
                .unwrap_or_default();
            look = memmem::find(new, b"\n\r\n")
                .or(memmem::find(new, b"\n\n"))
                .is_some();
        }
        self.searched = input.len();
        if look {
            self.shown = input.len();
        }
        look
    }

    /// Gives the output buffer's memory back: what was in it is sent.
    pub(super) fn release_output(&mut self) {
        self.output = Vec::new();
    }

    /// Interim responses (1xx) so far. ureq uses them up without a word.
    pub(super) fn interim(&self) -> u32 {
        self.interim
    }

    /// Moves what is unused to the front and makes room behind it.
    fn make_room(&mut self) {
        self.input.drain(..self.consumed);
        self.filled -= self.consumed;
        self.consumed = 0;
        // A head that is not complete yet is looked at as a whole, so it must fit as a whole; how
        // large it may become is limited by ureq's `max_response_header_size`.
        self.input.resize(self.filled + INPUT, 0);
    }
}

impl Buffers for WireBuffers {
    fn output(&mut self) -> &mut [u8] {
        self.output.resize(OUTPUT.max(self.line), 0);
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        self.input
            .get(self.consumed..self.filled)
            .unwrap_or_default()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        if self.input.len() < self.filled + INPUT / 2 {
            self.make_room();
        }
        self.input.get_mut(self.filled..).unwrap_or_default()
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled = (self.filled + amount).min(self.input.len());
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        if amount > 0 && !self.headed {
            // A head is used up as a whole: "HTTP/1.1 103 Early Hints" and what belongs to it.
            self.headed = self.input().get(9) != Some(&b'1');
            self.interim += u32::from(!self.headed);
            (self.searched, self.shown) = (0, 0);
        }
        self.consumed = (self.consumed + amount).min(self.filled);
        if self.consumed == self.filled {
            self.consumed = 0;
            self.filled = 0;
        }
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.output.resize(OUTPUT, 0);
        if self.input.len() < self.filled + INPUT {
            self.make_room();
        }
        (
            self.input.get_mut(self.filled..).unwrap_or_default(),
            &mut self.output,
        )
    }

    fn can_use_input(&self) -> bool {
        self.consumed < self.filled && self.progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut buffers = WireBuffers::default();
        let all: Vec<u8> = (0..60_000_u32).map(|number| (number % 251) as u8).collect();
        let (mut put, mut got) = (0, Vec::<u8>::new());
        while got.len() < all.len() {
            let room = buffers.input_append_buf();
            let amount = room.len().min(all.len() - put).min(3_000);
            room[..amount].copy_from_slice(&all[put..put + amount]);
            put += amount;
            buffers.input_appended(amount);
            let take = buffers.input().len().min(2_500);
            got.extend(&buffers.input()[..take]);
            buffers.input_consume(take);
        }
        assert_eq!(got, all);
    }

    #[test]
    fn interim_responses_are_counted_and_bodies_that_look_like_them_are_not() {
        let mut buffers = WireBuffers::default();
        for head in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ] {
            buffers.input_append_buf()[..head.len()].copy_from_slice(head.as_bytes());
            buffers.input_appended(head.len());
            buffers.input_consume(0);
            buffers.input_consume(head.len());
        }
        assert_eq!(buffers.interim(), 2);
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_is_looked_at_a_few_times() {
        let mut buffers = WireBuffers::default();
        let head = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(200_000));
        let mut looks = 0;
        for byte in head.bytes() {
            buffers.input_append_buf()[0] = byte;
            buffers.input_appended(1);
            let worth = buffers.is_worth_a_look();
            looks += usize::from(worth && buffers.input().len() > INPUT);
        }
        // At every doubling, and at the end.
        assert!((5..10).contains(&looks), "{looks}");
    }

    #[test]
    fn an_incomplete_head_is_kept_whole() {
        let mut buffers = WireBuffers::default();
        for piece in 0..20 {
            buffers.input_append_buf()[..1_000].fill(piece);
            buffers.input_appended(1_000);
            buffers.input_consume(0);
            assert!(!buffers.can_use_input());
        }
        assert_eq!(buffers.input().len(), 20_000);
        assert_eq!(buffers.input()[19_999], 19);
    }
}
