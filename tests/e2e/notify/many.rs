//! Many messages at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sitewatch_tests::wait;
use sitewatch_tests::websites::{Behaviour, Page, Website};

use super::{make_due, record, told, webhook};
use crate::support::{Prepared, down, up};

#[test]
fn a_channel_takes_several_at_once_and_those_of_an_incident_in_their_order() {
    const SITES: usize = 60;
    /// What one receiver is asked at the same time.
    const MOST: usize = 10;
    let prepared = Prepared::new("notify");
    let notify = |url: &str| prepared.notify(url).var("NOTIFY_GROUP_OVER", "0");
    let notify = |url: &str| notify(url).var("NOTIFY_FLAP_WINDOW", "0s");
    let names: Vec<String> = (0..SITES).map(|number| format!("site-{number}")).collect();
    let away = Website::start(Behaviour::Refuses);
    let failed: Vec<_> = names.iter().map(|name| down(name, 70)).collect();
    record(&prepared, &failed);
    notify(&webhook(&away)).run().exits(75);
    let recovered: Vec<_> = names.iter().map(|name| up(name, 10)).collect();
    record(&prepared, &recovered);
    make_due(&prepared);

    let (asking, most) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let receiver = {
        let (asking, most) = (Arc::clone(&asking), Arc::<AtomicUsize>::clone(&most));
        Website::start(Behaviour::custom(move |_, out| {
            let at_once = asking.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(at_once, Ordering::SeqCst);
            // The first ones wait for company.
            wait::holds_within(wait::SOON, || most.load(Ordering::SeqCst) == MOST);
            std::thread::sleep(Duration::from_millis(20));
            asking.fetch_sub(1, Ordering::SeqCst);
            out.write_all(&Page::ok("taken").header("Connection", "close").bytes())
        }))
    };
    notify(&format!("{}#timeout=60s", webhook(&receiver)))
        .run()
        .exits(0);
    assert_eq!(most.load(Ordering::SeqCst), MOST);
    let told = told(&receiver);
    assert_eq!(told.len(), 2 * SITES);
    for name in &names {
        let place = |event: &str| {
            told.iter()
                .position(|one| *one == format!("{event} {name}"))
        };
        assert!(place("down").unwrap() < place("up").unwrap(), "{name}");
    }
}
