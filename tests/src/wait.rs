//! Waiting for something to become true, with an end and a reason.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Between two looks: runs of the functions are timed this exactly, and it still leaves the CPU alone.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// What ends by itself has ended after this, on a machine that has much else to do as well; what
/// hangs in a test takes a minute or more.
pub const SOON: Duration = Duration::from_secs(40);

/// Waits until `condition` holds.
///
/// # Panics
/// When `timeout` passes first, naming `what` was waited for.
#[track_caller]
pub fn until(what: &str, timeout: Duration, mut condition: impl FnMut() -> bool) {
    assert!(
        holds_within(timeout, &mut condition),
        "waited {timeout:?} in vain for: {what}"
    );
}

/// Waits until `value` gives something, and returns it.
///
/// # Panics
/// When `timeout` passes first, naming `what` was waited for.
#[track_caller]
pub fn for_some<T>(what: &str, timeout: Duration, mut value: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    until(what, timeout, || {
        found = value();
        found.is_some()
    });
    found.expect("`until` returns only when there is a value")
}

/// Whether `condition` comes to hold before `timeout` passes. It is looked at once even when
/// `timeout` is zero.
pub fn holds_within(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + timeout;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}
