//! `setup`: the schema, the topic, the list of sites; again and at once.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use sitewatch::postgres::SCHEMA_VERSION;
use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::{Codec, Version};
use sitewatch_tests::shared;

use crate::documents::root;
use crate::support::{Prepared, last_line, unique, up};

/// How many there are: numbers may be left out, while what they are for is on its way.
fn migrations() -> usize {
    std::fs::read_dir(root().join("migrations"))
        .unwrap()
        .filter(|entry| {
            let path = entry.as_ref().unwrap().path();
            path.extension().is_some_and(|ending| ending == "sql")
        })
        .count()
}

#[test]
fn everything_is_made_once_and_found_the_second_time() {
    let database = shared::postgres().create_database("setup");
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("setup");
    let setup = || {
        Run::setup()
            .var("DATABASE_URL", database.url())
            .var("KAFKA_BROKERS", kafka.bootstrap())
            .var("KAFKA_TOPIC", &topic)
            .var("SETUP_PARTITIONS", "3")
            .var("SITES", "https://a.example https://b.example/x")
            .run()
            .exits(0)
    };
    assert_eq!(
        last_line(&setup().stderr),
        format!(
            "{} migrations applied, 2 sites imported, topic {topic} created (3 partitions)",
            migrations()
        )
    );
    assert_eq!(
        last_line(&setup().stderr),
        format!("schema is up to date, 2 sites imported, topic {topic} is there")
    );
    assert_eq!(kafka.partitions(&topic), 3);
    let sites: i64 = database
        .client()
        .query_one("select count(*) from websites where enabled", &[])
        .unwrap()
        .get(0);
    assert_eq!(sites, 2);

    let delete = Run::setup()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("SETUP_DELETE_TOPIC", "true")
        .run()
        .exits(0);
    assert_eq!(
        last_line(&delete.stderr),
        format!("topic {topic} deleted with everything in it")
    );
}

/// On the topic that setup makes the broker unpacks what it is sent: a bomb is refused there, and
/// what is stored both clients can read.
#[test]
fn the_topic_takes_no_bombs_and_holds_nothing_that_a_client_cannot_read() {
    let kafka = shared::kafka(Version::V3_9);
    let topic = unique("setup");
    let prepared = Prepared::new("setup");
    Run::setup()
        .var("DATABASE_URL", prepared.url())
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("SETUP_PARTITIONS", "1")
        .run()
        .exits(0);
    let bomb = vec![b' '; 60_000_000];
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            kafka.produce_with(codec, &topic, 0, &[("k", &bomb)]);
        }));
        let said = refused.unwrap_err();
        let said = said.downcast_ref::<String>().unwrap();
        assert!(said.contains("did not take a message"), "{codec:?}: {said}");
    }
    for (second, codec) in (0..).zip(Codec::ALL) {
        let event = up("a", second);
        kafka.produce_with(codec, &topic, 0, &[("a", event.to_json())]);
    }
    let finished = prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("KAFKA_CLIENT", "kafka")
        .run()
        .exits(0);
    assert_eq!(last_line(&finished.stderr), "5 checks recorded");
}

#[test]
fn several_at_once_make_it_once() {
    let database = shared::postgres().create_database("setup");
    let runs: Vec<_> = (0..4)
        .map(|_| {
            Run::setup()
                .var("DATABASE_URL", database.url())
                .var("SETUP_TOPIC", "false")
                .spawn()
        })
        .collect();
    let said: Vec<String> = runs
        .into_iter()
        .map(|run| last_line(&run.wait().exits(0).stderr))
        .collect();
    assert_eq!(
        said.iter()
            .filter(|line| line.starts_with(&format!("{} migrations", migrations())))
            .count(),
        1,
        "{said:?}"
    );
}

#[test]
fn websites_are_never_removed() {
    let prepared = Prepared::new("setup");
    let mut client = prepared.client();
    client
        .batch_execute("insert into websites (name, url) values ('a', 'https://a.example')")
        .unwrap();
    for statement in [
        "delete from websites",
        "truncate websites cascade",
        "update websites set id = default",
    ] {
        let error = client.batch_execute(statement).unwrap_err();
        let text = error.as_db_error().expect(statement).message().to_owned();
        assert!(text.contains("are not removed"), "{statement}: {text}");
    }
}

/// What is not among the rollups has no partitions ahead, and is neither dropped nor forgotten.
#[test]
fn every_partitioned_table_but_the_checks_is_a_rollup() {
    let prepared = Prepared::new("setup");
    let differing: Vec<String> = prepared
        .client()
        .query(
            "select coalesce(rollup.name, partitioned.name)
             from rollups() as rollup
             full join (
                 select relname::text as name,
                     bool_or(attname = 'hour') as is_by_hour, bool_or(attname = 'day') as is_by_day,
                     bool_or(attname = 'location_id') as has_locations
                 from pg_class join pg_attribute on attrelid = pg_class.oid
                 where relkind = 'p' and relname <> 'checks'
                     and relnamespace = 'public'::regnamespace
                 group by relname
             ) as partitioned on partitioned.name = rollup.name
                 and partitioned.has_locations = rollup.has_locations
                 and case rollup.unit when 'month' then is_by_hour else is_by_day end
             where rollup.name is null or partitioned.name is null",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(differing, Vec::<String>::new());
}

#[test]
fn what_runs_with_the_owners_rights_looks_into_temporary_tables_last() {
    let prepared = Prepared::new("setup");
    let definers: Vec<(String, Option<String>)> = prepared
        .client()
        .query(
            "select proname::text,
                 (select setting from unnest(proconfig) as setting
                  where setting like 'search_path=%')
             from pg_proc
             where prosecdef and pronamespace = 'public'::regnamespace
             order by 1",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    assert!(!definers.is_empty());
    for (name, path) in definers {
        assert_eq!(
            path.as_deref(),
            Some("search_path=public, pg_temp"),
            "{name}"
        );
    }
}

#[test]
fn a_planted_catalog_does_not_run_code_as_the_owner() {
    let prepared = Prepared::new("setup");
    let role = unique("planter").replace('-', "_");
    let mut superuser = shared::postgres().superuser();
    superuser
        .batch_execute(&format!("create role {role}; grant {role} to sitewatch"))
        .unwrap();
    let mut client = prepared.client();
    client
        .batch_execute(&format!(
            "grant execute on function create_check_partitions(date, date) to {role};
             set role {role};
             create function pg_temp.planted() returns text language plpgsql as $$
             begin raise exception 'ran as %', current_user; end $$;
             create temporary view pg_class as
                 select pg_temp.planted() as relname, 'public'::regnamespace as relnamespace,
                     'checks'::regclass as oid;
             grant select on pg_temp.pg_class to public"
        ))
        .unwrap();
    let made: i32 = client
        .query_one(
            "select create_check_partitions('2001-02-03', '2001-02-03')",
            &[],
        )
        .unwrap()
        .get(0);
    assert_eq!(made, 1);
}

#[test]
fn every_table_and_column_says_what_it_is() {
    let prepared = Prepared::new("setup");
    let silent: Vec<String> = prepared
        .client()
        .query(
            "select class.relname || coalesce('.' || attribute.attname, '')
             from pg_class as class
             join pg_namespace as namespace on namespace.oid = class.relnamespace
             cross join lateral (
                 select 0::int2 as attnum, null::name as attname
                 union all
                 select attnum, attname from pg_attribute
                 where attrelid = class.oid and attnum > 0 and not attisdropped
             ) as attribute
             where namespace.nspname = 'public'
               and class.relkind in ('r', 'p', 'v')
               and not class.relispartition
               and class.relname <> 'refinery_schema_history'
               and col_description(class.oid, attribute.attnum) is null
               and (attribute.attnum > 0 or obj_description(class.oid) is null)
             order by 1",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(silent.is_empty(), "without a comment: {silent:?}");
}

#[test]
fn a_signal_ends_functions_that_wait_for_a_lock() {
    let prepared = Prepared::new("locked");
    let mut blocker = prepared.client();
    let mut transaction = blocker.transaction().unwrap();
    transaction
        .batch_execute("lock table websites, refinery_schema_history in access exclusive mode")
        .unwrap();
    for function in ["setup", "report"] {
        let run = Run::function(function)
            .var("DATABASE_URL", prepared.url())
            .vars((function == "setup").then_some(("SETUP_TOPIC", "false")))
            .var("LOG_LEVEL", "debug")
            .var("DATABASE_LOCK_TIMEOUT", "60s")
            .spawn();
        let waits = format!(
            "select count(*) from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock' and application_name = 'sitewatch {function}'"
        );
        sitewatch_tests::wait::until("it waits for the lock", Duration::from_secs(60), || {
            prepared.count(&waits) > 0
        });
        let asked = std::time::Instant::now();
        run.signal(Signal::TERM);
        run.wait()
            .exits(75)
            .logs(&format!("ERROR {function}: stopped by a signal while at work, or waiting for a server or a file; what was in hand is not done, the next run takes it up (exit code 75)\n"));
        assert!(
            asked.elapsed() < sitewatch_tests::wait::SOON,
            "{:?}",
            asked.elapsed()
        );
    }
}

#[test]
fn a_newer_schema_is_left_alone() {
    let prepared = Prepared::new("setup");
    prepared
        .client()
        .batch_execute("insert into refinery_schema_history (version, name) values (999, 'later')")
        .unwrap();
    for (function, run, next) in [
        (
            "setup",
            Run::setup()
                .var("DATABASE_URL", prepared.url())
                .var("SETUP_TOPIC", "false"),
            "run `setup` of that release",
        ),
        (
            "drain",
            prepared.drain().var("DRAIN_SOURCE", "stdin").stdin("{}\n"),
            "upgrade this function",
        ),
        ("report", prepared.report(), "upgrade this function"),
    ] {
        run.run()
            .exits(78)
            .logs(&format!("ERROR {function}: the database's schema is at version 999, newer than this release ({SCHEMA_VERSION}); {next} (exit code 78)\n"));
    }
    assert_eq!(prepared.count("select count(*) from dead_letters"), 0);
}

/// Nor does what refuses them print them.
#[test]
fn credentials_are_not_stored() {
    let prepared = Prepared::new("setup");
    let setup = |sites: serde_json::Value| {
        Run::setup()
            .var("DATABASE_URL", prepared.url())
            .var("SETUP_TOPIC", "false")
            .var("SITES", sites.to_string())
            .run()
    };
    let url = "https://a.example/";
    let with_credentials = r#"url holds a user name or password, which the database does not keep; use basic_auth with {"env": "SITE_SECRET_…"} or {"file": "name"}"#;
    let written_out = |field: &str| {
        format!(
            r#"{field} is written out, which the database does not keep; use {{"env": "SITE_SECRET_…"}} or {{"file": "name"}}"#
        )
    };
    for (problem, site) in [
        (
            with_credentials.to_owned(),
            json!({"url": "https://me:hush@a.example/"}),
        ),
        (
            with_credentials.to_owned(),
            json!({"url": "https:me:hush@a.example/"}),
        ),
        (
            written_out("bearer_token"),
            json!({"url": url, "bearer_token": "hush"}),
        ),
        (
            written_out("basic_auth.password"),
            json!({"url": url, "basic_auth": {"username": "me", "password": "hush"}}),
        ),
        (
            written_out("proxy"),
            json!({"url": url, "proxy": "http://me:hush@p:1"}),
        ),
        (
            written_out("headers.X-Api-Key"),
            json!({"url": url, "headers": {"X-Api-Key": "hush", "Accept": "text/html"}}),
        ),
    ] {
        setup(json!([site])).exits(78).logs(&format!(
            "ERROR setup: SITES: site 1 (a.example): {problem}\nERROR setup: see `setup --help` for every variable it reads (exit code 78)\n"
        ));
    }
    assert_eq!(prepared.count("select count(*) from websites"), 0);
    setup(json!([{
        "url": url, "basic_auth": {"username": "me", "password": {"env": "SITE_SECRET_A"}},
        "headers": {"Authorization": {"file": "a"}, "Accept": "text/html"}, "proxy": "http://p:1"
    }]))
    .exits(0);
    // By hand likewise.
    for change in [
        "url = 'https://me:hush@a.example/'",
        r#"settings = '{"bearer_token": "hush"}'"#,
        r#"settings = '{"basic_auth": {"username": "me", "password": "hush"}}'"#,
        r#"settings = '{"proxy": "http://me:hush@p:1"}'"#,
        r#"settings = '{"headers": {"authorization": "hush"}}'"#,
    ] {
        let statement = format!("update websites set {change}");
        let error = prepared.client().batch_execute(&statement).unwrap_err();
        let text = error.as_db_error().expect(change).message().to_owned();
        assert!(text.contains("no_credentials"), "{change}: {text}");
    }
}
