//! What several stories need: a migrated database, events, what the tables hold.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use postgres::{Client, Row};
use sitewatch::event::{CheckEvent, Outcome, VERSION};
use sitewatch_tests::command::Run;
use sitewatch_tests::postgres::{Database, Postgres};
use sitewatch_tests::shared;

/// A database of its own with the schema of this release.
pub(crate) struct Prepared {
    pub(crate) database: Database,
    /// What the questions below are asked through: a login costs more than any of them, and some
    /// are asked until the answer is the one that is waited for.
    asking: Mutex<Option<Client>>,
}

impl Prepared {
    /// A copy of the database that `setup`, the executable a person would use, migrated once per
    /// process: copying takes half the time of the migrations, whose number grows.
    #[track_caller]
    pub(crate) fn new(prefix: &str) -> Self {
        static MIGRATED: LazyLock<Database> = LazyLock::new(|| {
            let database = shared::postgres().create_database("migrated");
            Run::setup()
                .var("DATABASE_URL", database.url())
                .var("SETUP_TOPIC", "false")
                .run()
                .exits(0);
            database.closed()
        });
        Self::of(shared::postgres().copy_database(&MIGRATED, prefix))
    }

    fn of(database: Database) -> Self {
        Self {
            database,
            asking: Mutex::default(),
        }
    }

    /// The same on a server of the test's own, which has to outlive it.
    #[track_caller]
    pub(crate) fn on(server: &Postgres, prefix: &str) -> Self {
        let database = server.create_database(prefix);
        Run::setup()
            .var("DATABASE_URL", database.url())
            .var("SETUP_TOPIC", "false")
            .run()
            .exits(0);
        Self::of(database)
    }

    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    pub(crate) fn client(&self) -> Client {
        self.database.client()
    }

    #[track_caller]
    fn ask(&self, query: &str) -> Vec<Row> {
        let mut asking = self.asking.lock();
        // The server may have been started again meanwhile.
        if let Some(client) = asking.as_mut()
            && let Ok(rows) = client.query(query, &[])
        {
            return rows;
        }
        asking.insert(self.client()).query(query, &[]).unwrap()
    }

    /// A single number.
    #[track_caller]
    pub(crate) fn count(&self, query: &str) -> i64 {
        self.ask(query)[0].get(0)
    }

    /// What is recorded, as (site, microseconds since 1970, outcome), in order.
    pub(crate) fn checks(&self) -> Vec<(String, i64, String)> {
        self.ask(
            "select websites.name, (extract(epoch from checked_at) * 1000000)::int8, outcomes.word
                 from checks
                 join websites on websites.id = website_id
                 join outcomes on outcomes.code = outcome
                 order by 1, 2",
        )
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
    }

    /// Why messages are dead letters, by partition and offset.
    pub(crate) fn reasons(&self) -> BTreeMap<(Option<i32>, Option<i64>), String> {
        self.ask("select partition, message_offset, reason from dead_letters")
            .iter()
            .map(|row| ((row.get(0), row.get(1)), row.get(2)))
            .collect()
    }

    pub(crate) fn drain(&self) -> Run {
        Run::drain().var("DATABASE_URL", self.url())
    }

    pub(crate) fn maintain(&self) -> Run {
        Run::maintain().var("DATABASE_URL", self.url())
    }

    pub(crate) fn report(&self) -> Run {
        Run::report().var("DATABASE_URL", self.url())
    }

    /// Told to these addresses.
    pub(crate) fn notify(&self, urls: &str) -> Run {
        Run::notify()
            .var("DATABASE_URL", self.url())
            .var("NOTIFY_URLS", urls)
    }
}

/// When this test began to look at the clock, in whole seconds. It stands still from then on, so that
/// a second's turn does not make two checks one, and is no other test's: each test is a thread.
pub(crate) fn now() -> Timestamp {
    thread_local! {
        static NOW: OnceCell<Timestamp> = const { OnceCell::new() };
    }
    NOW.with(|now| {
        *now.get_or_init(|| {
            let whole = jiff::TimestampRound::new()
                .smallest(jiff::Unit::Second)
                .mode(jiff::RoundMode::Trunc);
            Timestamp::now().round(whole).unwrap()
        })
    })
}

/// A check that found everything as it should be, `seconds_ago`.
pub(crate) fn up(site: &str, seconds_ago: i64) -> CheckEvent<'static> {
    let now = now();
    CheckEvent {
        v: VERSION,
        id: uuid::Uuid::now_v7(),
        site: site.to_owned().into(),
        url: format!("https://{site}.example/").into(),
        location: "default".into(),
        checked_at: now - SignedDuration::from_secs(seconds_ago),
        scheduled_at: None,
        interval_ms: None,
        up: Some(true),
        outcome: Outcome::Up,
        error: None,
        status: Some(200),
        remote_addr: Some("192.0.2.7".parse().unwrap()),
        http_version: Some("1.1".into()),
        dns_us: Some(1_000),
        connect_us: Some(2_000),
        tls_us: Some(30_000),
        first_byte_us: Some(40_000),
        body_us: Some(500),
        total_us: 73_500,
        local_wait_us: Some(10),
        clock: None,
        body_bytes: Some(5_000),
        body_match: Some(true),
        certificate_not_after: Some(now + SignedDuration::from_hours(24 * 30)),
        certificate_issuer: None,
        certificate_error: None,
        chain_not_after: None,
        chain_subject: None,
        chain_host: None,
        tls_version: Some("TLSv1.3".into()),
        redirects: 0,
        final_url: None,
        attempts: 1,
        first_error: None,
        evidence: None,
        maintenance: false,
        labels: BTreeMap::new(),
    }
}

/// A check that found a wrong status.
pub(crate) fn down(site: &str, seconds_ago: i64) -> CheckEvent<'static> {
    CheckEvent {
        up: Some(false),
        outcome: Outcome::Status,
        status: Some(500),
        error: Some("status 500, expected 200-399".into()),
        ..up(site, seconds_ago)
    }
}

/// What of a check makes a state; the time in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) at: i64,
    pub(crate) up: Option<bool>,
    pub(crate) maintenance: bool,
}

/// What is so after some checks of a site from a location: as `report` has to have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) checked_at: i64,
    /// None: unknown.
    pub(crate) up: Option<bool>,
    pub(crate) since: Option<i64>,
}

impl State {
    /// From all checks, in order of time. The newest one's verdict, a failure in maintenance being
    /// none; since the first of the unbroken row of checks that count (known, not in maintenance) with
    /// that verdict.
    pub(crate) fn of(checks: &[Known]) -> Self {
        let newest = checks.last().expect("a state comes from a check");
        let up = newest.up.filter(|up| *up || !newest.maintenance);
        let since = checks
            .iter()
            .rev()
            .filter(|check| check.up.is_some() && !check.maintenance)
            .take_while(|check| check.up == up)
            .last()
            .map(|check| check.at);
        Self {
            checked_at: newest.at,
            up,
            since,
        }
    }
}

/// Has `drain` record these.
pub(crate) fn record(prepared: &Prepared, events: &[CheckEvent<'_>]) {
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(events))
        .run()
        .exits(0);
}

/// Proves that two texts are the same; what is shown is the first line that is not.
#[track_caller]
pub(crate) fn same_lines(found: &str, expected: &str, when: &str) {
    let differs = expected
        .lines()
        .zip(found.lines())
        .find(|(expected, found)| expected != found);
    assert_eq!(differs, None, "{when}");
    assert_eq!(expected.lines().count(), found.lines().count(), "{when}");
}

/// JSON lines.
pub(crate) fn lines(events: &[CheckEvent<'_>]) -> Vec<u8> {
    events
        .iter()
        .flat_map(|event| {
            let mut line = event.to_json();
            line.push(b'\n');
            line
        })
        .collect()
}

/// A name that no other test uses.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::now_v7().simple())
}

/// The last line of what a run said, without time, level and how long it took.
pub(crate) fn last_line(stderr: &str) -> String {
    let line = stderr.lines().last().unwrap_or_default();
    let after = line.split_once(": ").map_or(line, |(_, text)| text);
    after
        .rsplit_once(" in ")
        .map_or(after, |(text, _)| text)
        .to_owned()
}
