//! The messages between whoever sends and the thread that produces. They stay ours until their fate
//! is known, so that a thread that hangs can be left behind without losing one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::{Delivery, KafkaError, Undelivered};

/// What may wait, as with librdkafka: bytes and messages.
const ROOM_BYTES: usize = 32 * 1024 * 1024;
const ROOM_MESSAGES: usize = 100_000;

#[derive(Clone)]
pub(super) struct Item {
    pub(super) id: u64,
    pub(super) partition: i32,
    pub(super) key: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Item {
    fn size(&self) -> usize {
        self.key.len() + self.payload.len()
    }

    fn undelivered(self, reason: KafkaError) -> Delivery {
        let (key, payload) = (self.key, self.payload);
        let undelivered = Undelivered {
            reason,
            key,
            payload,
        };
        Delivery {
            id: self.id,
            result: Err(Box::new(undelivered)),
        }
    }
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Item>>,
    waiting_bytes: usize,
    /// Taken by the thread, fate unknown.
    sending: Vec<Arc<Item>>,
    deliveries: Vec<Delivery>,
    /// Why nothing gets through at the moment.
    trouble: Option<KafkaError>,
    /// No more will come; the thread ends when nothing waits.
    closing: bool,
    /// Everything has been given up; the thread has no say any more.
    abandoned: bool,
}

impl Queue {
    /// Returns the item when there was no room until `deadline`.
    pub(super) fn push(&self, item: Item, deadline: Instant) -> Result<(), Item> {
        let mut state = self.state.lock();
        while state.waiting_bytes + item.size() > ROOM_BYTES && !state.waiting.is_empty()
            || state.waiting.len() >= ROOM_MESSAGES
        {
            if Instant::now() >= deadline {
                return Err(item);
            }
            self.changed.wait_until(&mut state, deadline);
        }
        state.waiting_bytes += item.size();
        state.waiting.push_back(Arc::new(item));
        self.changed.notify_all();
        Ok(())
    }

    /// Waits for messages and takes up to `bytes` of them, at least one. `None`: no more will come.
    pub(super) fn take(&self, bytes: usize) -> Option<Vec<Arc<Item>>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closing || state.abandoned {
                return None;
            }
            self.changed.wait(&mut state);
        }
        let mut batch = Vec::new();
        let mut taken = 0;
        while let Some(item) = state.waiting.front() {
            if !batch.is_empty() && taken + item.size() > bytes {
                break;
            }
            taken += item.size();
            batch.extend(state.waiting.pop_front());
        }
        state.waiting_bytes -= taken;
        state.sending.clone_from(&batch);
        self.changed.notify_all();
        Some(batch)
    }

    /// The fates of some messages of the batch; `rest` is what is still to be sent.
    pub(super) fn settle(
        &self,
        fates: Vec<(Arc<Item>, Result<(), KafkaError>)>,
        rest: &[Arc<Item>],
    ) {
        let mut state = self.state.lock();
        if state.abandoned {
            return;
        }
        state.sending = rest.to_vec();
        if !fates.is_empty() {
            state.trouble = None;
        }
        state
            .deliveries
            .extend(fates.into_iter().map(|(item, fate)| match fate {
                Ok(()) => Delivery {
                    id: item.id,
                    result: Ok(()),
                },
                Err(reason) => Arc::unwrap_or_clone(item).undelivered(reason),
            }));
        self.changed.notify_all();
    }

    /// Notes why the thread gets nowhere; `false` when it may stop trying.
    pub(super) fn note(&self, trouble: KafkaError) -> bool {
        let mut state = self.state.lock();
        state.trouble = Some(trouble);
        !state.abandoned
    }

    pub(super) fn take_deliveries(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.state.lock().deliveries)
    }

    /// Announces that no more will come, and waits until all is settled or `deadline` has passed.
    /// Whether all is settled.
    pub(super) fn close(&self, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        state.closing = true;
        self.changed.notify_all();
        while !(state.waiting.is_empty() && state.sending.is_empty()) {
            if Instant::now() >= deadline {
                return false;
            }
            self.changed.wait_until(&mut state, deadline);
        }
        true
    }

    /// Gives up whatever is not settled.
    pub(super) fn abandon(&self, reason: &KafkaError) {
        let mut state = self.state.lock();
        state.abandoned = true;
        let reason = state.trouble.take().unwrap_or_else(|| reason.clone());
        let sending = std::mem::take(&mut state.sending);
        let waiting = std::mem::take(&mut state.waiting);
        for item in sending.into_iter().chain(waiting) {
            let item = Arc::unwrap_or_clone(item);
            state.deliveries.push(item.undelivered(reason.clone()));
        }
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: u64, bytes: usize) -> Item {
        Item {
            id,
            partition: 0,
            key: Vec::new(),
            payload: vec![7; bytes],
        }
    }

    fn away() -> KafkaError {
        KafkaError::Unreachable {
            brokers: "b".into(),
            cause: "gone".into(),
        }
    }

    #[test]
    fn a_batch_has_at_least_one_message_and_no_more_bytes_than_asked_for() {
        let queue = Queue::default();
        for (id, bytes) in [(1, 100), (2, 30), (3, 30)] {
            queue.push(item(id, bytes), Instant::now()).ok().unwrap();
        }

        let ids = |batch: Option<Vec<Arc<Item>>>| -> Vec<u64> {
            batch.unwrap().iter().map(|item| item.id).collect()
        };
        assert_eq!(ids(queue.take(64)), [1]);
        assert_eq!(ids(queue.take(64)), [2, 3]);
    }

    #[test]
    fn a_full_queue_returns_the_message_after_the_deadline() {
        let queue = Queue::default();
        queue
            .push(item(1, ROOM_BYTES), Instant::now())
            .ok()
            .unwrap();

        let returned = queue.push(item(2, 1), Instant::now()).err().unwrap();

        assert_eq!(returned.id, 2);
    }

    #[test]
    fn what_is_given_up_comes_back_whole_and_once() {
        let queue = Queue::default();
        for id in 1..=3 {
            queue.push(item(id, 10), Instant::now()).ok().unwrap();
        }
        let batch = queue.take(15).unwrap();
        assert!(!queue.close(Instant::now()));

        queue.abandon(&away());
        queue.settle(vec![(Arc::clone(&batch[0]), Ok(()))], &[]);

        let deliveries = queue.take_deliveries();
        let ids: Vec<u64> = deliveries.iter().map(|delivery| delivery.id).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert!(deliveries.iter().all(|delivery| {
            delivery
                .result
                .as_ref()
                .is_err_and(|lost| lost.payload == [7; 10])
        }));
        assert!(queue.take(1).is_none());
    }
}
