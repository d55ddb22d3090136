//! Any PostgreSQL people run: few rights, sockets, several hosts, certificates, other schemas.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use sitewatch_tests::certificates::{CertificateAuthority, Validity};
use sitewatch_tests::command::{Finished, Run};
use sitewatch_tests::kafka::Version;
use sitewatch_tests::port;
use sitewatch_tests::postgres::{DATABASE, PASSWORD, Postgres, Tls, USER};
use sitewatch_tests::shared;
use sitewatch_tests::websites::Website;

use super::{Dice, Ledger};
use crate::support::{down, last_line, lines, unique, up};

/// What follows `-- name` in the SQL of migrations/README.md, by name, word for word.
fn grants() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/README.md");
    let text = fs::read_to_string(path).unwrap();
    let mut grants: Vec<(String, String)> = Vec::new();
    for block in text.split("```sql\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        for line in block.lines().filter(|line| !line.is_empty()) {
            match line.strip_prefix("-- ") {
                Some(title) => {
                    let name = title.split([',', ' ']).next().unwrap();
                    grants.push((name.to_owned(), String::new()));
                }
                None => {
                    let (_, statements) = grants.last_mut().expect("a name comes first");
                    statements.push_str(line);
                    statements.push('\n');
                }
            }
        }
    }
    grants
}

/// A server of its own: roles belong to a server, not to a database.
struct Roles {
    server: Postgres,
}

impl Roles {
    fn new() -> Self {
        let server = Postgres::start(None);
        // What the README has a superuser do where PostgreSQL is older than 15.
        let mut superuser = server.superuser();
        superuser
            .batch_execute(&format!("alter role {USER} superuser"))
            .unwrap();
        server
            .client()
            .batch_execute(&format!(
                "alter schema public owner to {USER}; revoke create on schema public from public"
            ))
            .unwrap();
        superuser
            .batch_execute(&format!("alter role {USER} nosuperuser"))
            .unwrap();
        Run::setup()
            .var("DATABASE_URL", server.url())
            .var("SETUP_TOPIC", "false")
            .var("SITES", "http://127.0.0.1:1/")
            .run()
            .exits(0);
        for (role, statements) in grants() {
            server
                .superuser()
                .batch_execute(&format!("create role {role} login password '{PASSWORD}'"))
                .unwrap();
            // By the owner of the schema, as the README has it.
            server.client().batch_execute(&statements).unwrap();
        }
        Self { server }
    }

    fn url(&self, role: &str) -> String {
        self.server
            .url()
            .replacen(&format!("//{USER}:"), &format!("//{role}:"), 1)
    }

    fn count(&self, query: &str) -> i64 {
        self.server.client().query_one(query, &[]).unwrap().get(0)
    }

    #[track_caller]
    fn may_not(&self, role: &str, statement: &str) {
        let config: postgres::Config = self.url(role).parse().unwrap();
        let error = config
            .connect(postgres::NoTls)
            .unwrap()
            .batch_execute(statement)
            .expect_err(statement);
        assert_eq!(
            error.code(),
            Some(&postgres::error::SqlState::INSUFFICIENT_PRIVILEGE),
            "{role}: {statement}: {error}"
        );
    }
}

/// A UTC day that is no longer kept.
fn old_day(number: i64) -> Date {
    Timestamp::now()
        .to_zoned(TimeZone::UTC)
        .date()
        .saturating_sub(Span::new().days(100 + number))
}

#[test]
fn each_function_does_with_the_rights_that_are_documented() {
    let roles = Roles::new();
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("rights");
    kafka.create_topic(&topic, 1);
    let drain = || {
        Run::drain()
            .var("DATABASE_URL", roles.url("drain"))
            .var("KAFKA_BROKERS", kafka.bootstrap())
            .var("KAFKA_TOPIC", &topic)
    };
    // New sites, locations, days; repeats (around a temporary table); dead letters; a refused row.
    let mut messages: Vec<_> = (0..3)
        .flat_map(|day| [up("a", day * 86_400), down("b", day * 86_400 + 1)])
        .map(|event| ("k", event.to_json()))
        .collect();
    kafka.produce(&topic, 0, &messages);
    drain().run().exits(0);
    messages.push(("k", b"no event".to_vec()));
    messages.push(("k", up("c", 5).to_json()));
    kafka.produce(&topic, 0, &messages);
    let finished = drain().run().exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "1 check recorded, 6 repeated, 1 dead-lettered"
    );
    roles
        .server
        .client()
        .batch_execute("alter table checks add constraint none_so_long check (total_us < 1000000)")
        .unwrap();
    let mut long = up("a", 7);
    long.total_us = 2_000_000;
    kafka.produce(&topic, 0, &[("k", long.to_json())]);
    let finished = drain().run().exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "0 checks recorded, 1 dead-lettered"
    );
    // A loss.
    roles
        .server
        .client()
        .batch_execute("update kafka_offsets set next_offset = 1000")
        .unwrap();
    drain().run().exits(0);
    assert_eq!(roles.count("select count(*) from kafka_losses"), 1);
    drain()
        .var("DRAIN_REPLAY_DEAD_LETTERS", "true")
        .run()
        .exits(0);
    drain().var("DRAIN_DRY_RUN", "true").run().exits(0);
    drain().var("DRAIN_START", "earliest").run().exits(0);

    let website = Website::up("hello");
    roles
        .server
        .client()
        .execute(
            "update websites set url = $1 where origin = 'list'",
            &[&website.url()],
        )
        .unwrap();
    let probe = Run::probe()
        .var("DATABASE_URL", roles.url("probe"))
        .var("SITES_FROM", "database")
        .var("PROBE_SINK", "stdout")
        .run()
        .exits(0);
    assert_eq!(last_line(&probe.stderr), "1 check: 1 up, 0 down");
    let receiver = Website::up("taken");
    let (taken, not_taken) = (receiver.url(), "http://127.0.0.1:1/#name=nobody");
    let urls = format!("webhook+{taken} webhook+{not_taken}");
    let notify = Run::notify()
        .var("DATABASE_URL", roles.url("notify"))
        .var("NOTIFY_URLS", urls)
        .run()
        .exits(75);
    assert!(!receiver.requests().is_empty(), "{}", notify.stderr);
    let report = |format: &str| {
        Run::report()
            .var("DATABASE_URL", roles.url("report"))
            .var("REPORT_FORMAT", format)
            .run()
            .exits(0)
    };
    assert!(report("json").stdout.contains("\"a\""));
    for format in ["table", "csv", "html", "prometheus"] {
        report(format);
    }
    for day in 0..3 {
        roles
            .server
            .client()
            .execute("select create_check_partitions($1, $1)", &[&old_day(day)])
            .unwrap();
    }
    let maintain = Run::maintain()
        .var("DATABASE_URL", roles.url("maintain"))
        .run()
        .exits(0);
    assert!(
        maintain.stderr.contains("3 days of checks dropped"),
        "{}",
        maintain.stderr
    );
    let kinds = "recent incidents days runs notifications sla";
    for kind in kinds.split(' ') {
        let shown = Run::report()
            .var("DATABASE_URL", roles.url("report"))
            .var("REPORT_EVIDENCE", "true")
            .var("REPORT_KIND", kind)
            .var("REPORT_FORMAT", "csv")
            .run()
            .exits(0)
            .stdout;
        assert!(shown.lines().count() > 1, "{kind}: {shown}");
        if kind == "runs" {
            for function in ["drain", "maintain", "setup"] {
                assert!(shown.contains(&format!("\n{function},")), "{shown}");
            }
        }
    }

    // And no more than that.
    for statement in [
        "delete from checks",
        "update checks set up = true",
        "truncate websites",
        "create table x ()",
        "drop table checks",
        "insert into websites (name, url, enabled) values ('x', 'http://169.254.169.254/', true)",
        "update websites set enabled = true",
        "update websites set url = 'http://169.254.169.254/'",
        "update websites set origin = 'list'",
        "delete from websites",
        "select settings from websites",
        "insert into locations (name) values ('x')",
        "update locations set name = 'x'",
        "select forget_names(1, 1)",
        "update retention set forgotten = 0",
    ] {
        roles.may_not("drain", statement);
    }
    for statement in [
        "delete from checks",
        "insert into checks select * from checks",
        "update retention set checks_from = 'infinity'",
        "drop table checks",
    ] {
        roles.may_not("maintain", statement);
    }
    for role in ["probe", "report"] {
        roles.may_not(role, "insert into websites (name, url) values ('x', 'x')");
        roles.may_not(role, "update websites set url = 'x'");
    }
    for statement in [
        "select settings from websites",
        "select * from websites",
        "select up_regex from websites",
        "select value from dead_letters",
        "select make_websites(array['x'], array['http://x/'], array['{}'], 1)",
    ] {
        roles.may_not("report", statement);
    }
    roles.may_not("maintain", "select url from websites");
    roles.may_not("notify", "select settings from websites");
    roles.may_not("notify", "update websites set enabled = true");
    roles.may_not("notify", "delete from checks");
    roles.may_not("notify", "delete from notifications");
    roles.may_not("maintain", "delete from websites");
    roles.may_not("maintain", "delete from dead_letters");
    roles.may_not("probe", "select * from checks");
}

#[test]
fn a_right_that_is_missing_is_one_sentence_that_names_it() {
    let roles = Roles::new();
    roles
        .server
        .client()
        .batch_execute("revoke insert on checks from drain")
        .unwrap();
    Run::drain()
        .var("DATABASE_URL", roles.url("drain"))
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[up("a", 60)]))
        .run()
        .exits(78)
        .logs("ERROR drain: DATABASE_USER may not do what is needed while recording checks: permission denied for table checks; migrations/README.md lists the grants of each function (exit code 78)\n");
}

#[track_caller]
fn records_one(run: Run, second: i64) {
    let finished = run
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[up("a", second)]))
        .run()
        .exits(0);
    assert_eq!(last_line(&finished.stderr), "1 check recorded");
}

fn set_up(server: &Postgres) {
    Run::setup()
        .var("DATABASE_URL", server.url())
        .var("SETUP_TOPIC", "false")
        .run()
        .exits(0);
}

#[test]
fn through_a_unix_socket_and_over_ipv6() {
    let server = Postgres::options()
        .set("listen_addresses", "127.0.0.1,::1")
        .start();
    set_up(&server);
    let (port, directory) = (server.port(), server.socket_dir().display());
    records_one(
        Run::drain().var(
            "DATABASE_URL",
            format!(
                "host={directory} port={port} user={USER} password={PASSWORD} dbname={DATABASE}"
            ),
        ),
        1,
    );
    records_one(
        Run::drain()
            .var("PGHOST", directory.to_string())
            .var("PGPORT", port.to_string())
            .var("PGUSER", USER)
            .var("PGPASSWORD", PASSWORD)
            .var("PGDATABASE", DATABASE),
        2,
    );
    if TcpListener::bind("[::1]:0").is_err() {
        println!("this machine has no IPv6: that part was not tried");
        return;
    }
    records_one(
        Run::drain().var(
            "DATABASE_URL",
            format!("postgres://{USER}:{PASSWORD}@[::1]:{port}/{DATABASE}"),
        ),
        3,
    );
}

#[test]
fn of_several_hosts_the_one_that_lives_and_takes_writes() {
    let standby = Postgres::start(None);
    standby
        .superuser()
        .batch_execute(&format!(
            "alter role {USER} set default_transaction_read_only = on"
        ))
        .unwrap();
    let server = Postgres::start(None);
    set_up(&server);
    let dead = port::reserve();
    for (second, first) in [(1, dead), (2, standby.port())] {
        records_one(
            Run::drain().var(
                "DATABASE_URL",
                format!(
                    "postgres://{USER}:{PASSWORD}@127.0.0.1:{first},127.0.0.1:{}/{DATABASE}?target_session_attrs=read-write",
                    server.port()
                ),
            ),
            second,
        );
    }
    let client: i64 = server
        .client()
        .query_one("select count(*) from checks", &[])
        .unwrap()
        .get(0);
    assert_eq!(client, 2);
}

#[test]
fn with_a_client_certificate_and_not_without() {
    let authority = CertificateAuthority::new("ours");
    let server = Postgres::options()
        .tls(&authority, Tls::ClientCertificates)
        .start();
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let ca = write("ca.pem", authority.pem());
    let ours = authority.client(USER, Validity::days(1));
    let theirs = CertificateAuthority::new("theirs").client(USER, Validity::days(1));
    let (certificate, key) = (write("cert.pem", &ours.chain), write("key.pem", &ours.key));
    let strange = (
        write("cert2.pem", &theirs.chain),
        write("key2.pem", &theirs.key),
    );
    let with = |run: Run| {
        run.var("DATABASE_URL", server.url())
            .var("DATABASE_SSLMODE", "verify-full")
            .var("DATABASE_CA_FILE", &ca)
    };
    with(Run::setup())
        .var("DATABASE_CERT_FILE", &certificate)
        .var("DATABASE_KEY_FILE", &key)
        .var("SETUP_TOPIC", "false")
        .run()
        .exits(0);
    records_one(
        with(Run::drain())
            .var("DATABASE_CERT_FILE", &certificate)
            .var("DATABASE_KEY_FILE", &key),
        1,
    );
    let refused = |finished: Finished| {
        let finished = finished.exits(69).stderr_has("certificate");
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    };
    refused(with(Run::drain()).var("DRAIN_SOURCE", "stdin").run());
    refused(
        with(Run::drain())
            .var("DRAIN_SOURCE", "stdin")
            .var("DATABASE_CERT_FILE", strange.0)
            .var("DATABASE_KEY_FILE", strange.1)
            .run(),
    );
}

/// One sentence, nothing recorded, nothing consumed, and once it is mended nothing is missing.
#[test]
fn another_schema_is_one_sentence_and_consumes_nothing() {
    let mut dice = Dice::new("schema");
    for (damage, part) in [
        ("alter table checks drop column first_error", "first_error"),
        (
            "alter table checks alter column total_us type bigint",
            "total_us",
        ),
        (
            "alter table checks alter column total_us type real",
            "total_us",
        ),
        (
            "alter table checks alter column total_us type text using total_us::text",
            "total_us",
        ),
        (
            "alter table checks alter column status type integer",
            "status",
        ),
        ("alter table checks rename to old_checks", "checks"),
        (
            "alter table website_states drop column last_up_at",
            "last_up_at",
        ),
        (
            "alter table website_states alter column up type integer using 0",
            "up",
        ),
        ("drop table dead_letters", "dead_letters"),
        ("drop table kafka_offsets", "kafka_offsets"),
        (
            "drop function create_check_partitions(date, date)",
            "create_check_partitions",
        ),
        (
            "delete from refinery_schema_history
             where version = (select max(version) from refinery_schema_history)",
            "run `setup` of this release",
        ),
        (
            "update refinery_schema_history set version = 1000
             where version = (select max(version) from refinery_schema_history)",
            "newer than this release",
        ),
        ("drop table refinery_schema_history", "run `setup` first"),
    ] {
        let mut ledger = Ledger::new("schema", shared::kafka(Version::V4_1), 1);
        ledger.produce(&mut dice, 0, 20, 4);
        ledger
            .prepared
            .client()
            .batch_execute(&format!(
                "drop view if exists website_status, current_states; {damage}"
            ))
            .unwrap();
        let finished = ledger.drain().run();
        assert!(
            finished.code == Some(78) && finished.stderr.contains(part),
            "{damage}: it {finished}"
        );
        assert_eq!(
            finished.stderr.lines().count(),
            1,
            "{damage}: it {finished}"
        );
        for (table, column) in [
            ("checks", "count(*)"),
            ("old_checks", "count(*)"),
            ("dead_letters", "count(*)"),
            ("kafka_offsets", "coalesce(max(next_offset), 0)::int8"),
        ] {
            let there = ledger.prepared.count(&format!(
                "select count(*) from pg_tables where tablename = '{table}'"
            ));
            if there > 0 {
                let count = ledger
                    .prepared
                    .count(&format!("select {column} from {table}"));
                assert_eq!(count, 0, "{damage}: {table}");
            }
        }
    }
}

#[test]
fn behind_pgbouncer_several_drains_share_the_work() {
    let mut dice = Dice::new("pgbouncer");
    let mut ledger = Ledger::new("pgbouncer", shared::kafka(Version::V4_1), 4);
    let pooler = shared::postgres().pooler(20);
    let url = pooler.url_for(ledger.prepared.database.name());
    let website = Website::up("hello");
    // `setup` goes to the server itself: it locks for a session.
    Run::setup()
        .var("DATABASE_URL", ledger.prepared.url())
        .var("SETUP_TOPIC", "false")
        .var("SITES", website.url())
        .run()
        .exits(0);
    for _ in 0..3 {
        for partition in 0..4 {
            ledger.produce(&mut dice, partition, 150, 20);
        }
        let running: Vec<_> = (0..3)
            .map(|_| {
                ledger
                    .drain()
                    .var("DATABASE_URL", &url)
                    .var("DRAIN_BATCH_SIZE", dice.between(5, 51).to_string())
                    .spawn()
            })
            .collect();
        for run in running {
            run.wait().exits(0);
        }
        ledger.offsets_say_what_is_recorded();
    }
    ledger.drain().var("DATABASE_URL", &url).run().exits(0);
    ledger.everything_once();
    // What repeats goes around a temporary table, which must not stay behind in the pool.
    for _ in 0..2 {
        let repeated = ledger
            .drain()
            .var("DATABASE_URL", &url)
            .var("DRAIN_START", "earliest")
            .var("DRAIN_BATCH_SIZE", "40")
            .var("LOG_FORMAT", "json")
            .run()
            .exits(0);
        assert_eq!(
            super::counter(&repeated, "repeated"),
            ledger.events() as u64
        );
    }
    let probe = Run::probe()
        .var("DATABASE_URL", &url)
        .var("SITES_FROM", "database")
        .var("PROBE_SINK", "stdout")
        .run()
        .exits(0);
    assert_eq!(last_line(&probe.stderr), "1 check: 1 up, 0 down");
    let report = Run::report()
        .var("DATABASE_URL", &url)
        .var("REPORT_FORMAT", "json")
        .run()
        .exits(0);
    assert!(report.stdout.contains("p0-"), "{}", report.stdout);
}
