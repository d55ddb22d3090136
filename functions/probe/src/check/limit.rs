//! Limits of the site's time: what we take ourselves does not shorten them.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::trace::Trace;

/// Does `work`, of which the site's part may take as long as `limit`; `None`: it took longer.
///
/// When the time seems to be up the connection itself is asked once more: what had arrived by then
/// counts, however late we are. And time that was not the site's is added.
///
/// `work` stays where its caller pinned it: moved in here, it would be copied and kept thrice.
pub(super) async fn within<T>(
    trace: &Trace,
    limit: Duration,
    work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let in_all = trace.charged() + limit;
    let before = trace.limit(in_all);
    trace.limit(in_all.min(before));
    let done = until(trace, limit, in_all, work).await;
    trace.limit(before);
    done
}

async fn until<T>(
    trace: &Trace,
    limit: Duration,
    in_all: Duration,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let mut deadline = Instant::now() + limit;
    loop {
        let done = match tokio::time::timeout_at(deadline.into(), work.as_mut()).await {
            Ok(done) => Some(done),
            Err(_) => {
                trace.set_last_look(true);
                let done = once(work.as_mut()).await;
                trace.set_last_look(false);
                done
            }
        };
        // The last thing that arrived may have come after the time was up.
        if trace.charged() > in_all {
            return None;
        }
        if done.is_some() {
            return done;
        }
        let left = in_all.saturating_sub(trace.charged_or_waited());
        if left.is_zero() {
            trace.up(in_all);
            return None;
        }
        deadline = Instant::now() + left;
    }
}

/// Polls a future once.
async fn once<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|context| {
        Poll::Ready(match work.as_mut().poll(context) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::check::trace::Phase;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work)
    }

    #[test]
    fn what_we_take_ourselves_does_not_shorten_the_sites_time() {
        let limit = Duration::from_millis(60);
        let trace = Trace::start();
        trace.enter(Phase::Connect);
        let began = Instant::now();
        let done = block_on(within(
            &trace,
            limit,
            pin!(async {
                // Ours: between an arrival and the next sending.
                std::thread::sleep(Duration::from_millis(40));
                trace.sending();
                tokio::time::sleep(Duration::from_millis(40)).await;
                trace.happened_now();
            }),
        ));
        assert!(began.elapsed() >= Duration::from_millis(80));
        assert!(done.is_some());
    }

    #[test]
    fn the_time_is_up_when_the_site_had_all_of_it() {
        let limit = Duration::from_millis(30);
        let trace = Trace::start();
        trace.enter(Phase::FirstByte);
        let done = block_on(within(&trace, limit, pin!(std::future::pending::<()>())));
        assert!(done.is_none());
        assert_eq!(trace.charged(), limit);
    }

    #[test]
    fn what_arrived_after_the_time_is_too_late_even_if_nobody_looked_before() {
        let trace = Trace::start();
        trace.enter(Phase::FirstByte);
        let done = block_on(within(
            &trace,
            Duration::from_millis(5),
            pin!(async {
                // As a thread that lost its CPU.
                std::thread::sleep(Duration::from_millis(20));
                trace.arrived(Some(std::time::SystemTime::now()));
            }),
        ));
        assert!(done.is_none());
    }

    #[test]
    fn what_has_no_time_is_in_time_if_it_is_there_when_we_look() {
        let limit = Duration::from_millis(5);
        let trace = Trace::start();
        trace.enter(Phase::FirstByte);
        let done = block_on(within(
            &trace,
            limit,
            pin!(async {
                std::thread::sleep(Duration::from_millis(20));
                trace.happened_now();
            }),
        ));
        assert!(done.is_some());
        assert_eq!(trace.charged(), limit);
    }
}
