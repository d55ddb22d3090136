//! Results on their way from the checks to the thread that talks to Kafka.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::message::Message;

/// Results held while Kafka is being reached or is slow: some megabytes. Then no further checks
/// begin; those under way still find room.
const CAPACITY: usize = 10_000;

/// A bounded queue that is emptied by the batch: a thread that is woken for every single result
/// costs more than publishing it does.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
    closed: bool,
}

impl Queue {
    pub(super) fn push(&self, message: Message) {
        let mut state = self.state.lock();
        let was_empty = state.messages.is_empty();
        state.messages.push_back(message);
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Whether it holds as much as it should.
    pub(super) fn is_full(&self) -> bool {
        self.state.lock().messages.len() >= CAPACITY
    }

    /// Says that nothing more comes.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_all();
    }

    /// Lets more of them come for a while; for as long as more may come at all.
    pub(super) fn linger(&self, time: Duration) {
        let mut state = self.state.lock();
        self.filled
            .wait_while_for(&mut state, |state| !state.closed, time);
    }

    /// Everything there is, waiting up to `timeout` for something; and whether more may come.
    pub(super) fn take(&self, timeout: Duration) -> (VecDeque<Message>, bool) {
        let mut state = self.state.lock();
        if state.messages.is_empty() && !state.closed {
            self.filled.wait_for(&mut state, timeout);
        }
        (std::mem::take(&mut state.messages), !state.closed)
    }
}
