//! Receivers that take nothing, take it later, or never say.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sitewatch_tests::websites::{Behaviour, Page, Website};

use super::{make_due, record, told, webhook};
use crate::support::{Prepared, down, last_line, up};

/// Answers with each page once, then with 200.
fn answering(pages: Vec<Page>) -> Website {
    let asked = AtomicUsize::new(0);
    Website::start(Behaviour::custom(move |_, out| {
        let answer = match asked.fetch_add(1, Ordering::SeqCst) {
            at if at < pages.len() => pages[at].clone(),
            _ => Page::ok("taken"),
        };
        // It does close it: what is not told so would be sent on it, and may fail in another way.
        out.write_all(&answer.header("Connection", "close").bytes())
    }))
}

fn pending(prepared: &Prepared) -> i64 {
    prepared.count("select count(*) from notifications where sent_at is null")
}

#[test]
fn what_is_not_taken_is_sent_again_under_the_same_key() {
    let busy = Page::new(503, "come back");
    let cases: [(&str, Website); 5] = [
        ("503 Service Unavailable: come back", answering(vec![busy])),
        ("no answer in time", Website::start(Behaviour::NeverAnswers)),
        ("", Website::start(Behaviour::ClosesWithoutAnswer)),
        ("", Website::start(Behaviour::Resets)),
        (
            "it redirects to another path of its own",
            answering(vec![Page::new(302, "").header("Location", "/login")]),
        ),
    ];
    for (why, receiver) in cases {
        let prepared = Prepared::new("notify");
        record(&prepared, &[down("shop", 70)]);
        let url = format!("{}#timeout=1s", webhook(&receiver));
        let refused = prepared.notify(&url).run().exits(75);
        let refused = refused.stderr_has("1 message left for a later run");
        assert!(refused.stderr.contains(why), "{why}: {}", refused.stderr);
        // Not before its time.
        assert_eq!(
            last_line(&prepared.notify(&url).run().exits(0).stderr),
            "nothing to tell"
        );
        make_due(&prepared);
        let good = Website::up("taken");
        prepared.notify(&webhook(&good)).run().exits(0);
        assert_eq!(told(&good), ["down shop"]);
        if let Some(first) = receiver.requests().first() {
            assert_eq!(first.body, good.requests()[0].body);
            assert_eq!(
                first.header("webhook-id"),
                good.requests()[0].header("webhook-id")
            );
        }
        assert_eq!(pending(&prepared), 0);
    }
}

#[test]
fn a_receiver_says_when_it_wants_to_be_asked_again() {
    let prepared = Prepared::new("notify");
    let wait = |seconds: &str| Page::new(429, "slower").header("Retry-After", seconds);
    let receiver = answering(vec![wait("1"), wait("7200")]);
    record(&prepared, &[down("shop", 70)]);
    let url = webhook(&receiver);
    // It waits for a second, but not for hours.
    let asked = Instant::now();
    prepared.notify(&url).run().exits(75);
    assert!(asked.elapsed() >= Duration::from_secs(1));
    let put_off = "select count(*) from notifications
         where sent_at is null and next_attempt_at > now() + interval '110 minutes'";
    assert_eq!(prepared.count(put_off), 1);
    make_due(&prepared);
    prepared.notify(&url).run().exits(0);
    assert_eq!(pending(&prepared), 0);

    // Whoever wants to be asked later is asked no more, whatever else there is to tell.
    let away = answering(vec![wait("7200"); 60]);
    let failed: Vec<_> = (0..60).map(|n| down(&format!("site-{n}"), 60)).collect();
    record(&prepared, &failed);
    let run = prepared
        .notify(&webhook(&away))
        .var("NOTIFY_GROUP_OVER", "0")
        .run()
        .exits(75);
    assert_eq!(run.stderr.matches("did not take").count(), 1, "{run}");
    assert!(away.requests().len() <= 10, "{}", away.requests().len());
    assert_eq!(prepared.count(put_off), 60);
}

/// Takes one message in half a second and refuses the others meanwhile, as chats do.
#[test]
fn a_receiver_that_takes_one_at_a_time_is_told_all_of_it() {
    let prepared = Prepared::new("notify");
    let free_again = Mutex::new(Instant::now());
    let receiver = Website::start(Behaviour::custom(move |_, out| {
        let mut free_again = free_again.lock();
        let answer = if *free_again <= Instant::now() {
            *free_again = Instant::now() + Duration::from_millis(500);
            Page::ok("taken")
        } else {
            Page::new(429, "slower").header("Retry-After", "1")
        };
        out.write_all(&answer.header("Connection", "close").bytes())
    }));
    let failed: Vec<_> = (0..8).map(|n| down(&format!("site-{n}"), 60)).collect();
    record(&prepared, &failed);
    prepared
        .notify(&webhook(&receiver))
        .var("NOTIFY_GROUP_OVER", "0")
        .run()
        .exits(0);
    assert!(receiver.requests().len() > 8, "none was refused");
    assert_eq!(pending(&prepared), 0);
}

#[test]
fn a_slow_channel_holds_up_none_of_the_others() {
    let prepared = Prepared::new("notify");
    record(&prepared, &[down("shop", 70)]);
    let silent = Website::start(Behaviour::NeverAnswers);
    let good = Website::up("taken");
    let urls = format!(
        "{}#name=silent&timeout=30s {}",
        webhook(&silent),
        webhook(&good)
    );
    let run = prepared.notify(&urls).spawn();
    sitewatch_tests::wait::until("the other is told", Duration::from_secs(60), || {
        prepared.count("select count(*) from notifications where sent_at is not null") == 1
    });
    run.signal(sitewatch_tests::command::Signal::TERM);
    run.wait().exits(75).stderr_has("ended by a signal");
    assert_eq!(told(&good), ["down shop"]);
    assert_eq!(pending(&prepared), 1);
}

/// A day passes for the rows, and not for anything else.
#[test]
fn a_receiver_that_is_away_for_a_day_is_told_all_of_it_in_order() {
    let prepared = Prepared::new("notify");
    let nobody = sitewatch_tests::port::reserve();
    let away = format!("webhook+http://127.0.0.1:{nobody}/");
    let minutes_pass = |minutes: i32| {
        prepared.count(&format!(
            "with older as (
                 update notifications
                 set decided_at = decided_at - interval '{minutes} minutes',
                     next_attempt_at = next_attempt_at - interval '{minutes} minutes'
                 returning id
             )
             select count(*) from older"
        ));
    };
    record(&prepared, &[down("shop", 70)]);
    let mut attempts = 0;
    for half_hour in 0..48 {
        if half_hour == 20 {
            record(&prepared, &[up("shop", 10), down("blog", 10)]);
        }
        let before = prepared.count("select coalesce(sum(attempts), 0) from notifications");
        let run = prepared.notify(&away).var("NOTIFY_GIVE_UP", "2d").run();
        let tried = prepared.count("select coalesce(sum(attempts), 0) from notifications") - before;
        run.exits(if tried > 0 { 75 } else { 0 });
        attempts += tried;
        minutes_pass(30);
    }
    // Ever more seldom, and at least once an hour.
    assert!((24..=60).contains(&attempts), "{attempts}");

    let back = Website::up("taken");
    let notify = || {
        minutes_pass(60);
        prepared
            .notify(&webhook(&back))
            .var("NOTIFY_GIVE_UP", "2d")
            .run()
            .exits(0);
    };
    notify();
    notify();
    let mut told = told(&back);
    let place = |of: &str| told.iter().position(|one| one == of);
    assert!(place("down shop") < place("up shop"), "{told:?}");
    told.sort_unstable();
    assert_eq!(told, ["down blog", "down shop", "up shop"]);
    assert_eq!(pending(&prepared), 0);
}

#[test]
fn what_nobody_takes_is_given_up_once_and_nothing_overtakes_it() {
    let prepared = Prepared::new("notify");
    record(&prepared, &[down("shop", 70)]);
    let wrong = Website::start(Behaviour::Page(Page::new(400, "no such hook")));
    let notify = |give_up: &str| {
        prepared
            .notify(&webhook(&wrong))
            .var("NOTIFY_GIVE_UP", give_up)
            .run()
    };
    notify("1d").exits(75);
    record(&prepared, &[up("shop", 10)]);
    // Its end waits for its beginning.
    assert_eq!(last_line(&notify("1d").exits(0).stderr), "nothing to tell");
    assert_eq!(wrong.requests().len(), 1);
    make_due(&prepared);
    notify("1ms").exits(75).stderr_has("was given up: 400");
    make_due(&prepared);
    notify("1ms").exits(75).stderr_has("1 message given up");
    assert_eq!(last_line(&notify("1ms").exits(0).stderr), "nothing to tell");
    assert_eq!(
        prepared.count("select count(*) from notifications where given_up_at is not null"),
        2
    );
    // A channel that is named no more.
    record(&prepared, &[down("blog", 10)]);
    notify("1d").exits(75);
    let other = format!("{}#name=other&events=up", webhook(&wrong));
    prepared
        .notify(&other)
        .var("NOTIFY_GIVE_UP", "1ms")
        .run()
        .exits(75)
        .stderr_has("1 message given up");
    assert_eq!(pending(&prepared), 3);
}

#[test]
fn secrets_are_in_no_log_no_error_and_no_row() {
    let prepared = Prepared::new("notify");
    record(&prepared, &[down("shop", 70)]);
    // It repeats what it was asked.
    let echo = Website::start(Behaviour::custom(|request, out| {
        let said = format!(
            "{} {:?} {}",
            request.target,
            request.headers,
            String::from_utf8_lossy(&request.body)
        );
        out.write_all(&Page::new(400, said).bytes())
    }));
    let host = echo.url().replace("http://", "");
    let urls = format!(
        "slack+http://{host}services/hidden-1
         webhook+http://user:hidden-2@{host}?token=hidden-3#secret=hidden-4-hidden-4
         telegram+http://{host}bot12:hidden-5?chat_id=-100
         pagerduty+http://hidden6hidden6hidden6hidden6hi@{host}
         ntfy+http://hidden-7@{host}topic
         teams+http://{host}workflows/hidden-8?sig=hidden-9
         smtp://user:hidden-0@127.0.0.1:1?from=a@example.org&to=b@example.org"
    );
    let run = prepared
        .notify(&urls)
        .var("LOG_LEVEL", "trace")
        .var("LOG_FORMAT", "json")
        .run()
        .exits(75);
    let rows = prepared
        .client()
        .query(
            "select n::text from notifications as n union all select i::text from notified_incidents as i",
            &[],
        )
        .unwrap();
    let mut all = run.stderr.clone() + &run.stdout;
    for row in &rows {
        all += row.get(0);
    }
    assert!(all.contains("slack did not take"), "{all}");
    assert!(!all.contains("hidden"), "{all}");
}
