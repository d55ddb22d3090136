//! Waking a check that waits for its site when the run must end.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, Weak};

/// The connection that one worker is waiting on, for another thread to cut.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    stream: Mutex<Weak<TcpStream>>,
    interrupted: AtomicBool,
}

impl Interrupt {
    /// Says which connection to cut. Called before connecting: that wait can be cut too.
    pub(super) fn watch(&self, stream: &std::sync::Arc<TcpStream>) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) =
            std::sync::Arc::downgrade(stream);
        if self.interrupted() {
            cut(stream);
        }
    }

    /// Ends what the worker waits for, now and from now on.
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        let stream = self
            .stream
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .upgrade();
        if let Some(stream) = stream {
            cut(&stream);
        }
    }

    pub(crate) fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }
}

fn cut(stream: &TcpStream) {
    // Fails when it is closed already, which is as good.
    drop(stream.shutdown(Shutdown::Both));
}
