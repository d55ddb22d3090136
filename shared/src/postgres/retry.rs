//! Transactions that PostgreSQL asks to be tried again.

use std::thread;
use std::time::Duration;

use postgres::error::SqlState;

/// How often a transaction is tried in all.
const MAX_ATTEMPTS: u32 = 5;

/// The wait before the second attempt; each further one is twice as long. 0.3 s in all, beside
/// the second that PostgreSQL takes to notice a deadlock (`deadlock_timeout`).
const BACKOFF: Duration = Duration::from_millis(20);

/// Does `work`, which is a whole transaction, and does it again, up to five times in all, when
/// PostgreSQL undid it because of what others did at the same moment. `work` must not keep anything
/// of an attempt that failed.
///
/// # Errors
/// PostgreSQL's, of the last attempt.
pub fn retried<T>(
    mut work: impl FnMut() -> Result<T, postgres::Error>,
) -> Result<T, postgres::Error> {
    let mut backoff = BACKOFF;
    for _ in 1..MAX_ATTEMPTS {
        match work() {
            Err(error) if is_transient(&error) => {
                log::debug!(
                    "a transaction is tried again: {}",
                    super::root_cause(&error)
                );
                thread::sleep(backoff);
                backoff *= 2;
            }
            result => return result,
        }
    }
    work()
}

/// Whether the same transaction may pass now that the other one is over: a serialization failure, a
/// deadlock, a partition that both were about to make.
fn is_transient(error: &postgres::Error) -> bool {
    error.code().is_some_and(|state| {
        [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::DUPLICATE_TABLE,
        ]
        .contains(state)
    })
}
