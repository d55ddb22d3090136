//! A person in a shell: a `.env` file in the working directory, or one named by `ENV_FILE`; dry runs;
//! what is shown on a terminal.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;
use sitewatch_tests::command::{Run, screen};
use sitewatch_tests::kafka::Version;
use sitewatch_tests::shared;
use sitewatch_tests::wait;
use sitewatch_tests::websites::{Behaviour, Page, Website};

use crate::probe::events;
use crate::support::{Prepared, last_line, lines, unique, up};

/// What `probe` says besides, when nothing is set.
const NOTHING_IS_SET: &str = "  none of SITES, SITES_FILE and SITES_FROM is set: there is nothing to check; for example SITES=https://example.org
  KAFKA_BROKERS is not set; wants host:port, several separated by commas, for example KAFKA_BROKERS=localhost:9092
ERROR probe: see `probe --help` for every variable it reads (exit code 78)
";

/// What may stand in a file that was not read is not said to be missing.
const SEE_HELP: &str =
    "ERROR probe: see `probe --help` for every variable it reads (exit code 78)\n";

#[test]
fn a_directory_with_a_dotenv_file_is_enough() {
    let website = Website::up("fine");
    let directory = tempfile::tempdir().unwrap();
    let file = format!("SITES={}\nPROBE_SINK=stdout\n", website.url());
    fs::write(directory.path().join(".env"), file).unwrap();
    let probe = Run::probe().in_dir(directory.path()).run().exits(0);
    assert_eq!(last_line(&probe.stderr), "1 check: 1 up, 0 down");

    // A directory below it is another directory.
    let below = directory.path().join("below");
    fs::create_dir(&below).unwrap();
    Run::probe().in_dir(below).run().exits(78).logs(&format!(
        r#"ERROR probe: 2 problems in the configuration
{NOTHING_IS_SET}"#
    ));
}

#[test]
fn a_file_named_by_env_file_is_read_instead_and_the_environment_wins_over_it() {
    let website = Website::up("fine");
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(".env"), "PROBE_SINK=nowhere\n").unwrap();
    let named = directory.path().join("env");
    let file = format!(
        "SITES={}\nPROBE_SINK=stdout\nLOG_LEVEL=warn\n",
        website.url()
    );
    fs::write(&named, file).unwrap();
    let probe = || {
        Run::probe()
            .in_dir(directory.path())
            .var("ENV_FILE", &named)
    };
    probe().run().exits(0).stderr_is("");
    let loud = probe().var("LOG_LEVEL", "info").run().exits(0);
    assert_eq!(last_line(&loud.stderr), "1 check: 1 up, 0 down");

    Run::probe()
        .var("ENV_FILE", directory.path().join("missing"))
        .run()
        .exits(78)
        .logs(&format!(
            r#"ERROR probe: ENV_FILE names "{}", which cannot be read: No such file or directory (os error 2)
{SEE_HELP}"#,
            directory.path().join("missing").display()
        ));
}

/// It decides where passwords are sent, and lies wherever one happens to be.
#[test]
fn a_dotenv_file_that_somebody_else_may_have_written_is_refused() {
    let website = Website::up("fine");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".env");
    fs::write(
        &path,
        format!("SITES={}\nPROBE_SINK=stdout\n", website.url()),
    )
    .unwrap();
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let probe = || Run::probe().in_dir(directory.path());
    let refused = |why: &str| {
        probe()
            .run()
            .exits(78)
            .logs(&format!(r#"ERROR probe: .env in the working directory is not trusted: {why}; remove it, mend its owner and mode, or name it on purpose: ENV_FILE=./.env
{SEE_HELP}"#));
        // Who names it answers for it.
        probe().var("ENV_FILE", ".env").run().exits(0);
    };
    // Its group is ours: what a umask of 002 makes.
    for fine in [0o600, 0o644, 0o664] {
        mode(&path, fine);
        probe().run().exits(0);
    }
    mode(&path, 0o646);
    refused("everybody may write to it");
    mode(&path, 0o644);
    for (bits, trusted) in [(0o775, true), (0o1777, true), (0o777, false)] {
        mode(directory.path(), bits);
        if trusted {
            probe().run().exits(0);
        } else {
            refused("everybody may write to its directory");
        }
    }
    mode(directory.path(), 0o755);
    // What follows takes a second user, which only root can be.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    const OTHER: u32 = 64_998;
    chown(&path, None, Some(OTHER)).unwrap();
    probe().run().exits(0);
    mode(&path, 0o664);
    refused("group 64998 may write to it");
    chown(&path, Some(OTHER), None).unwrap();
    mode(&path, 0o644);
    refused("it belongs to user 64998, and this is user 0");
    chown(&path, Some(0), Some(0)).unwrap();
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    probe().run().exits(0);
    chown(&elsewhere, Some(OTHER), None).unwrap();
    refused("it belongs to user 64998, and this is user 0");
    chown(&elsewhere, Some(0), None).unwrap();
    chown(directory.path(), Some(OTHER), None).unwrap();
    refused("its directory is another's, it belongs to user 64998, and this is user 0");
    // What root has put there, anybody may read.
    chown(directory.path(), Some(0), Some(0)).unwrap();
    probe().as_user(OTHER).run().exits(0);
}

#[test]
fn a_dotenv_file_that_is_none_is_refused_and_nobody_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".env");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let probe = || Run::probe().in_dir(directory.path()).run().exits(78);
    let refused = format!(
        "ERROR probe: .env in the working directory is not trusted: it is no regular file; remove it, mend its owner and mode, or name it on purpose: ENV_FILE=./.env\n{SEE_HELP}"
    );
    probe().logs(&refused);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    probe().logs(&refused);
}

/// Sites of each kind, as a dry run tells them apart.
fn mixed_sites(website: &Website) -> String {
    let always = json!({"from": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"});
    json!([
        {"name": "often", "url": website.url(), "interval": "1m"},
        {"name": "seldom", "url": website.url(), "interval": "30d"},
        {"name": "resting", "url": website.url(), "interval": "1m", "maintenance": [always]},
        {"name": "off", "url": website.url(), "enabled": false},
    ])
    .to_string()
}

#[test]
fn a_dry_run_of_probe_says_what_is_due_and_checks_nothing() {
    let website = Website::up("fine");
    let heart = Website::up("fine");
    // No Kafka is named, and none is needed.
    let dry = || {
        Run::probe()
            .var("SITES", mixed_sites(&website))
            .var("PROBE_DRY_RUN", "true")
            .var("HEARTBEAT_URL", heart.url())
    };
    let every = "every site is due in every run: PROBE_PERIOD is not set";
    let shown = dry().run().exits(0);
    shown.clone().stdout_is(&format!(
        "     due checks interval  site     why\n     now      1       1m  often    {every}\n     now      1      30d  seldom   {every}\n     now      1       1m  resting  {every}; in maintenance, so checked but not counted\n      no      0           off      disabled\n"
    ));
    assert_eq!(
        last_line(&shown.stderr),
        "dry run: 3 checks of 3 sites due, 1 disabled, nothing checked"
    );

    let now = jiff::Timestamp::now().as_second() % 60;
    let by_period = dry()
        .var("PROBE_PERIOD", "1m")
        .var("PROBE_PHASE", format!("{now}s"))
        .run()
        .exits(0)
        .stdout_has("is in this run's period, 20")
        .stdout_has("is after this run's period\n");
    assert_eq!(
        last_line(&by_period.stderr),
        "dry run: 2 checks of 2 sites due, 1 not due, 1 disabled, nothing checked"
    );

    let in_window = dry()
        .var("PROBE_WINDOW", "5m")
        .run()
        .exits(0)
        .stdout_has(" in ")
        .stdout_has("every 1m for PROBE_WINDOW, 5m");
    assert_eq!(
        last_line(&in_window.stderr),
        "dry run: 11 checks of 3 sites due, 1 disabled, nothing checked"
    );

    let sharded: Vec<String> = (0..2)
        .map(|index: u8| {
            let shard = dry()
                .var("PROBE_SHARD_COUNT", "2")
                .var("PROBE_SHARD_INDEX", index.to_string())
                .run()
                .exits(0)
                .stderr_has(&format!("of other shards than {index} of 2"));
            shard.stdout.lines().skip(1).map(str::to_owned).collect()
        })
        .collect();
    let both = sharded.concat();
    for name in ["often", "seldom", "resting", "off"] {
        assert_eq!(both.matches(&format!("  {name} ")).count(), 1, "{both}");
    }
    assert!(website.requests().is_empty() && heart.requests().is_empty());
}

#[test]
fn a_dry_run_of_probe_is_what_the_run_then_does() {
    let website = Website::up("fine");
    let now = jiff::Timestamp::now().as_second() % 60;
    let run = || {
        Run::probe()
            .var("SITES", mixed_sites(&website))
            .var("PROBE_SINK", "stdout")
            .var("PROBE_PERIOD", "1m")
            .var("PROBE_PHASE", format!("{now}s"))
    };
    let dry = run().var("PROBE_DRY_RUN", "true").run().exits(0);
    let due: BTreeSet<&str> = dry
        .stdout
        .lines()
        .filter(|line| line.trim_start().starts_with("now "))
        .filter_map(|line| line.split_whitespace().nth(3))
        .collect();
    let wet = run().run().exits(0);
    let made: BTreeSet<String> = events(&wet).into_keys().collect();
    assert_eq!(due, made.iter().map(String::as_str).collect());
    assert_eq!(due, BTreeSet::from(["often", "resting"]));
}

#[test]
fn what_would_stop_a_run_stops_its_dry_run() {
    let sites =
        json!([{"url": "http://127.0.0.1:1/", "bearer_token": {"env": "SITE_SECRET_GONE"}}]);
    Run::probe()
        .var("SITES", sites.to_string())
        .var("PROBE_DRY_RUN", "true")
        .run()
        .exits(78)
        .logs("ERROR probe: site 127.0.0.1:1: bearer_token names the variable SITE_SECRET_GONE, which is not set (exit code 78)\n");
}

#[test]
fn on_a_terminal_each_check_is_a_line_for_people() {
    let website = Website::up("fine");
    let wrong = Website::start(Behaviour::Page(Page::new(500, "no")));
    let always = json!({"from": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"});
    let run = || {
        let sites = json!([
            {"name": "fine", "url": website.url()},
            {"name": "wrong", "url": wrong.url(), "retries": 1, "retry_delay": 0},
            {"name": "turned\u{202e}", "url": "http://127.0.0.1:1/", "maintenance": [always]},
            {"name": "denied", "url": "http://169.254.169.254/"},
        ]);
        Run::probe()
            .var("SITES", sites.to_string())
            .var("PROBE_SINK", "stdout")
            .var("PROBE_DENY_NETWORKS", "metadata")
    };
    let shown = run().stdout_on_terminal().run().exits(0);
    for (name, colour) in [("up", 32), ("down", 31), ("unknown", 33)] {
        let state = format!("\x1b[{colour}m{name:<7}\x1b[0m  ");
        assert!(shown.stdout.contains(&state), "{shown}");
    }
    let mut said: Vec<String> = screen(&shown.stdout)
        .iter()
        .map(|line| without_times(line))
        .collect();
    said.sort();
    assert_eq!(
        said,
        [
            "down turned\\u{202e} _ connect _ connection refused by 127.0.0.1:1 (in maintenance)",
            "down wrong 500 _ connect _ first byte _ body _ status 500, expected 200-399 (2 attempts)",
            "unknown denied _ PROBE_DENY_NETWORKS forbids 169.254.169.254: not checked",
            "up fine 200 _ connect _ first byte _ body _",
        ]
    );
    assert_eq!(
        last_line(&shown.stderr),
        "4 checks: 1 up, 2 down, 1 unknown"
    );

    let plain = run()
        .var("NO_COLOR", "1")
        .stdout_on_terminal()
        .stderr_on_terminal()
        .run()
        .exits(0);
    let both = plain.stdout.clone() + &plain.stderr;
    assert!(!both.contains('\x1b'), "{plain}");
    assert_eq!(plain.stdout.lines().count(), 4, "{plain}");

    for json in [
        run().var("LOG_FORMAT", "json").stdout_on_terminal(),
        run().stderr_on_terminal(),
    ] {
        let made = json.run().exits(0);
        assert_eq!(events(&made).len(), 4, "{made}");
    }
}

#[test]
fn a_terminal_obeys_no_server() {
    // The second one is ESC [ in one character, which JSON does not escape.
    let page = Page::new(200, r#"{"is": "\u001b[2J\u009b2J"}"#);
    let hostile = Website::start(Behaviour::Page(page));
    let site = json!([{"name": "site", "url": hostile.url(), "json": {"/is": "fine"}}]);
    let shown = Run::probe()
        .var("SITES", site.to_string())
        .var("PROBE_SINK", "stdout")
        .var("NO_COLOR", "1")
        .stdout_on_terminal()
        .run()
        .exits(0)
        .stdout_has(r#"2J", expected "fine""#);
    let obeyed = |c: char| c.is_control() && !['\r', '\n'].contains(&c);
    assert!(!shown.stdout.contains(obeyed), "{shown}");
}

/// The words of a line, with `_` for each time it took.
fn without_times(line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in line.split_whitespace() {
        let is_unit = ["ms", "s"].contains(&word.trim_end_matches(','));
        match words.last_mut() {
            // `<0.1` as well.
            Some(last) if is_unit && last.trim_start_matches('<').parse::<f64>().is_ok() => {
                *last = "_";
            }
            _ => words.push(word),
        }
    }
    words.join(" ")
}

/// A round in which a site takes longer than anybody waits without wondering.
fn long_round(website: &Website) -> Run {
    Run::probe()
        .var("SITES", website.url())
        .var("PROBE_SINK", "stdout")
        // Lines that are written while the round goes on.
        .var("LOG_LEVEL", "info,ureq=debug,ureq_proto=debug")
}

#[test]
fn a_long_round_shows_how_far_it_is_to_whoever_watches_and_leaves_nothing_behind() {
    let slow = Website::start(Behaviour::custom(|_, to| {
        std::thread::sleep(Duration::from_millis(1_600));
        write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    }));
    let watched = long_round(&slow).stderr_on_terminal().run().exits(0);
    assert!(watched.stderr.contains("checks: 0 of 1 "), "{watched}");
    let shown = screen(&watched.stderr);
    assert!(shown.len() > 2, "{watched}");
    for line in &shown {
        assert!(line.starts_with("20") && line.contains("Z "), "{shown:#?}");
        assert!(!line.contains("checks: "), "{shown:#?}");
    }
    assert_eq!(last_line(shown.last().unwrap()), "1 check: 1 up, 0 down");

    for unwatched in [
        long_round(&slow),
        long_round(&slow).stderr_on_terminal().stdout_on_terminal(),
        long_round(&slow)
            .stderr_on_terminal()
            .var("LOG_FORMAT", "json"),
    ] {
        let finished = unwatched.run().exits(0);
        assert!(!finished.stderr.contains("checks: "), "{finished}");
    }
}

#[test]
fn a_long_drain_shows_how_far_it_is() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("watched");
    kafka.create_topic(&topic, 1);
    for second in 0..20 {
        kafka.produce(&topic, 0, &[("a", up("a", second).to_json())]);
    }
    let prepared = Prepared::new("watched");
    let mut client = prepared.client();
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("lock table checks in exclusive mode")
        .unwrap();
    let drain = prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .stderr_on_terminal()
        .spawn();
    drain.wait_for_stderr("offsets: 0 of 20 ");
    lock.rollback().unwrap();
    let drained = drain.wait().exits(0);
    let [line] = &screen(&drained.stderr)[..] else {
        panic!("one line is left: {drained}");
    };
    assert_eq!(last_line(line), "20 checks recorded");
}

#[test]
fn a_long_maintain_shows_how_far_it_is() {
    let prepared = Prepared::new("watched");
    // Partitions are made before anything is counted.
    prepared.maintain().run().exits(0);
    let checks = [2, 3, 4].map(|hours| up("a", hours * 3_600));
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&checks))
        .run()
        .exits(0);
    let mut client = prepared.client();
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("lock table checks_hourly in exclusive mode")
        .unwrap();
    let maintain = prepared.maintain().stderr_on_terminal().spawn();
    wait::until("maintain waits", Duration::from_secs(60), || {
        prepared.count(
            "select count(*) from pg_locks join pg_database on pg_database.oid = database
             where datname = current_database() and not granted",
        ) > 0
    });
    // So long that the first step alone makes it a long run.
    std::thread::sleep(Duration::from_millis(1_100));
    lock.rollback().unwrap();
    let done = maintain.wait().exits(0);
    assert!(done.stderr.contains("hours rolled up: 1 of 3 "), "{done}");
    assert_eq!(screen(&done.stderr).len(), 1, "{done}");
}
