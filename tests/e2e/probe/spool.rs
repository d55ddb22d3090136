//! The spool: nothing in it is lost, nothing that is not its own is touched, and nobody waits for
//! what was put in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use serde_json::{Value, json};
use sitewatch::event::CheckEvent;
use sitewatch_tests::command::{Finished, Run};
use sitewatch_tests::kafka::{Kafka, Version};
use sitewatch_tests::websites::{Behaviour, Website};
use sitewatch_tests::{shared, wait};

use super::publishing::{NOWHERE, ids, sites, spool_files, spooled, to_kafka};
use super::{plain, site};
use crate::support::{lines, unique, up};

/// A name that the spool gives.
fn name(kind: &str) -> String {
    format!("{}.{kind}", uuid::Uuid::now_v7())
}

/// Spools the results of this many sites, and returns the file.
fn spool(directory: &Path, count: usize) -> PathBuf {
    let website = Website::up("x");
    let before = paths(directory);
    to_kafka(NOWHERE, "any", &sites(&website, count))
        .var("PROBE_SPOOL_DIR", directory)
        .run()
        .exits(75)
        .stderr_has(&format!("{count} spooled"));
    let new: Vec<PathBuf> = paths(directory).difference(&before).cloned().collect();
    let [file] = new.as_slice() else {
        panic!("one file was expected: {new:?}");
    };
    file.clone()
}

fn paths(directory: &Path) -> BTreeSet<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return BTreeSet::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// A topic of its own, and a run that publishes one result of its own and what is in the spool.
fn send(kafka: &Kafka, topic: &str, directory: &Path) -> Finished {
    kafka.create_topic(topic, 1);
    let website = Website::up("x");
    to_kafka(&kafka.bootstrap(), topic, &sites(&website, 1))
        .var("PROBE_SPOOL_DIR", directory)
        .run()
        .exits(0)
}

#[test]
fn what_is_not_its_own_is_not_touched() {
    let kafka = shared::kafka(Version::V4_1);
    let directory = tempfile::tempdir().unwrap();
    let result = lines(&[up("foreign", 5)]);
    let id = uuid::Uuid::now_v7();
    let names = [
        "export.jsonl".to_owned(),
        "download.partial".to_owned(),
        ".partial".to_owned(),
        "notes.spool".to_owned(),
        format!("{}.jsonl", id.simple()),
        format!("{}.jsonl", id.to_string().to_uppercase()),
        format!("{id}.partial"),
        format!("{id}.jsonl.bak"),
        format!("{}.jsonl", uuid::Uuid::nil()),
    ];
    for name in &names {
        fs::write(directory.path().join(name), &result).unwrap();
    }
    // More than the cap, which is the spool's and not the directory's.
    let topic = unique("foreign");
    kafka.create_topic(&topic, 1);
    let website = Website::up("x");
    for brokers in [NOWHERE, &kafka.bootstrap()] {
        let finished = to_kafka(brokers, &topic, &sites(&website, 1))
            .var("PROBE_SPOOL_DIR", directory.path())
            .var("PROBE_SPOOL_MAX", "1kB")
            .run();
        assert!(!finished.stderr.contains("foreign"), "{finished}");
        finished.exits(if brokers == NOWHERE { 75 } else { 0 });
    }
    for name in &names {
        let found = fs::read(directory.path().join(name));
        assert_eq!(found.ok().as_deref(), Some(result.as_slice()), "{name}");
    }
    assert_eq!(paths(directory.path()).len(), names.len());
    assert_eq!(ids(kafka, &topic).len(), 2);
}

#[test]
fn a_line_that_is_no_result_is_kept_aside_and_told_once() {
    let kafka = shared::kafka(Version::V4_1);
    let directory = tempfile::tempdir().unwrap();
    let file = spool(directory.path(), 4);
    let mut lines: Vec<Vec<u8>> = fs::read(&file)
        .unwrap()
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    // A bit that makes another result of it, which would decode.
    let text = String::from_utf8(lines[1].clone()).unwrap();
    let digit = text.find("\"total_us\":").unwrap() + "\"total_us\":".len();
    lines[1][digit] ^= 1;
    // Something else, and the end of what a killed run was writing.
    lines[2] = b"remember the milk".to_vec();
    lines[3].truncate(40);
    lines.truncate(4);
    fs::write(&file, lines.join(&b'\n')).unwrap();

    let topic = unique("aside");
    let aside = file.with_extension("unreadable");
    send(kafka, &topic, directory.path())
        .logs(&format!(r#"WARN  probe: 3 lines in the spool's file {} are no results (a kill in the middle of writing, or a disk that changed it); kept in {}, for you to read and delete
INFO  probe: 1 check: 1 up, 0 down, 1 sent from the spool
"#, file.display(), aside.display()));
    assert_eq!(ids(kafka, &topic).len(), 2);
    assert_eq!(paths(directory.path()), BTreeSet::from([aside.clone()]));
    let kept = [&lines[1..].join(&b'\n')[..], b"\n"].concat();
    assert_eq!(fs::read(&aside).unwrap(), kept);

    let quiet = send(kafka, &unique("aside"), directory.path());
    assert!(!quiet.stderr.contains("unreadable"), "{quiet}");
    assert_eq!(fs::read(&aside).unwrap(), kept);
}

#[test]
fn a_spool_of_the_release_before_is_sent() {
    let kafka = shared::kafka(Version::V4_1);
    let directory = tempfile::tempdir().unwrap();
    let whole = [up("one", 90), up("two", 80)];
    let partial = lines(&[up("three", 70), up("four", 60)]);
    fs::write(directory.path().join(name("jsonl")), lines(&whole)).unwrap();
    // Its run was killed in the middle of a line.
    let cut = &partial[..partial.len() - 20];
    let killed = name("partial");
    fs::write(directory.path().join(format!(".{killed}")), cut).unwrap();
    let topic = unique("before");
    let place = directory.path().display();
    let aside = killed.replace(".partial", ".unreadable");
    send(kafka, &topic, directory.path()).logs(&format!(
        "WARN  probe: 1 line in the spool's file {place}/.{killed} is no result (a kill in the middle of writing, or a disk that changed it); kept in {place}/{aside}, for you to read and delete
INFO  probe: 1 check: 1 up, 0 down, 3 sent from the spool\n"
    ));
    let sent = kafka.consume_all(&topic);
    let keys: Vec<&[u8]> = sent.iter().filter_map(|sent| sent.key.as_deref()).collect();
    assert_eq!(keys, [&b"one"[..], b"two", b"three", b"site-0"]);
    let left = paths(directory.path());
    let [aside] = Vec::from_iter(&left)[..] else {
        panic!("{left:?}");
    };
    assert_eq!(aside.extension().unwrap(), "unreadable");
}

#[test]
fn what_is_no_regular_file_of_ours_is_refused_and_nobody_waits_for_it() {
    let kafka = shared::kafka(Version::V4_1);
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("results");
    fs::write(&target, lines(&[up("elsewhere", 5)])).unwrap();
    let mut refused = Vec::new();
    let mut put = |kind: &str| {
        let path = directory.path().join(name(kind));
        refused.push(path.clone());
        path
    };
    for kind in ["spool", "jsonl"] {
        mknodat(CWD, put(kind), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        symlink(&target, put(kind)).unwrap();
        symlink("/dev/ptmx", put(kind)).unwrap();
        symlink("/nowhere", put(kind)).unwrap();
        fs::create_dir(put(kind)).unwrap();
        if rustix::process::geteuid().is_root() {
            let path = put(kind);
            fs::write(&path, lines(&[up("somebody else's", 5)])).unwrap();
            chown(&path, Some(64_999), None).unwrap();
        }
    }
    // Behind them, so that it waits when any of them is waited for.
    let own = spool(directory.path(), 2);
    let topic = unique("refused");
    let finished = send(kafka, &topic, directory.path()).stderr_has("2 sent from the spool");
    for path in &refused {
        let told = finished.stderr.lines().any(|line| {
            line.contains(path.to_str().unwrap())
                && (line.contains("it is no regular file")
                    || line.contains("it belongs to another user"))
        });
        assert!(told, "{path:?} in {finished}");
        assert!(path.symlink_metadata().is_ok(), "{path:?}");
    }
    assert!(!own.exists());
    assert_eq!(ids(kafka, &topic).len(), 3);
    assert_eq!(
        fs::read(&target).unwrap().len(),
        lines(&[up("elsewhere", 5)]).len()
    );
}

#[test]
fn nobody_else_reads_it() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("new/spool");
    let file = spool(&directory, 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&file), 0o600);
    // One that is there keeps the mode that its owner gave it.
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).unwrap();
    spool(&directory, 1);
    assert_eq!(mode(&directory), 0o750);
}

/// A website that answers at once, but for the request with this number: then it says so and waits
/// to be let go on.
struct Gate {
    website: Website,
    arrived: mpsc::Receiver<()>,
    let_go: mpsc::Sender<()>,
}

impl Gate {
    fn at(request: usize) -> Self {
        let (arrived, arrivals) = mpsc::channel();
        let (let_go, gone) = mpsc::channel::<()>();
        let gate = Mutex::new((0, arrived, gone));
        let website = Website::start(Behaviour::custom(move |_, to| {
            let mut gate = gate.lock().unwrap();
            gate.0 += 1;
            if gate.0 == request {
                gate.1.send(()).ok();
                // An error: the test has gone.
                gate.2.recv().ok();
            }
            to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
        }));
        Self {
            website,
            arrived: arrivals,
            let_go,
        }
    }

    /// Until that request is there.
    fn wait(&self) {
        self.arrived.recv_timeout(Duration::from_secs(60)).unwrap();
    }
}

/// One check at a time, so that one is under way when the website is asked again: all others are
/// safe at that very moment, wherever Kafka is.
#[test]
fn kill_9_costs_no_more_than_the_check_under_way() {
    const ANSWERED: usize = 25;
    let kafka = shared::kafka(Version::V4_1);
    // Takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    for brokers in [NOWHERE.to_owned(), silent, kafka.bootstrap()] {
        let directory = tempfile::tempdir().unwrap();
        let topic = unique("gate");
        kafka.create_topic(&topic, 1);
        let gate = Gate::at(ANSWERED + 1);
        let run = to_kafka(&brokers, &topic, &sites(&gate.website, 2 * ANSWERED))
            .var("PROBE_SPOOL_DIR", directory.path())
            .var("CHECK_CONCURRENCY", "1")
            .var("KAFKA_TIMEOUT", "30s")
            .spawn();
        gate.wait();
        run.signal(Signal::KILL);
        run.wait();
        gate.let_go.send(()).unwrap();
        let kept = spooled(directory.path());
        assert_eq!(kept.len(), ANSWERED, "{brokers}");
        let website = Website::up("x");
        to_kafka(&kafka.bootstrap(), &topic, &sites(&website, 1))
            .var("PROBE_SPOOL_DIR", directory.path())
            .run()
            .exits(0)
            .logs(&format!(
                "INFO  probe: 1 check: 1 up, 0 down, {ANSWERED} sent from the spool\n"
            ));
        let published: BTreeSet<String> = ids(kafka, &topic).into_iter().collect();
        assert_eq!(published.len(), ANSWERED + 1, "{brokers}");
        assert!(kept.is_subset(&published));
        assert_eq!(paths(directory.path()), BTreeSet::new());
    }
}

/// Without a spool: what Kafka has acknowledged, which is asked of it as results come and not only
/// when the run ends.
#[test]
fn kill_9_without_a_spool_costs_what_kafka_has_not_acknowledged() {
    const ANSWERED: usize = 25;
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("without");
    kafka.create_topic(&topic, 1);
    let gate = Gate::at(ANSWERED + 1);
    let run = to_kafka(
        &kafka.bootstrap(),
        &topic,
        &sites(&gate.website, 2 * ANSWERED),
    )
    .var("CHECK_CONCURRENCY", "1")
    .spawn();
    gate.wait();
    wait::until(
        "all that was answered is on the topic",
        Duration::from_secs(30),
        || ids(kafka, &topic).len() == ANSWERED,
    );
    run.signal(Signal::KILL);
    run.wait();
    gate.let_go.send(()).unwrap();
    assert_eq!(ids(kafka, &topic).len(), ANSWERED);
}

/// Kills at random instants, with several checks at a time, by turns with Kafka and without. Each
/// run has a location of its own in its sites' addresses and in its results, so that what the
/// website was asked can be laid beside what became of it.
#[test]
fn kill_9_at_any_instant_costs_no_more_than_the_checks_under_way() {
    const KILLS: usize = 60;
    const AT_ONCE: usize = 4;
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("instants");
    kafka.create_topic(&topic, 1);
    let website = Website::up("x");
    let directory = tempfile::tempdir().unwrap();
    let start = |number: usize| -> Run {
        let sites: Vec<Value> = (0..100)
            .map(|of| {
                let url = format!("{}run-{number}/{of}", website.url());
                site(&format!("site-{of}"), &url, &plain())
            })
            .collect();
        let brokers = [NOWHERE.to_owned(), kafka.bootstrap()];
        to_kafka(
            &brokers[number % 2],
            &topic,
            &Value::from(sites).to_string(),
        )
        .var("PROBE_LOCATION", format!("run-{number}"))
        .var("PROBE_SPOOL_DIR", directory.path())
        .var("CHECK_CONCURRENCY", AT_ONCE.to_string())
    };
    let asked = |number: usize| {
        let of_run = format!("/run-{number}/");
        let requests = website.requests();
        let asked = requests
            .iter()
            .filter(|one| one.target.starts_with(&of_run));
        asked.count()
    };
    let mut killed = BTreeMap::new();
    let mut number = 0;
    while killed.len() < KILLS {
        let mut run = start(number).spawn();
        // When it has asked for so many, without a pattern, but the same in every run of this test.
        let instant = number.wrapping_mul(2_654_435_761) % 100;
        wait::until("its requests", Duration::from_secs(60), || {
            asked(number) > instant || run.has_ended()
        });
        run.signal(Signal::KILL);
        let finished = run.wait();
        if finished.code.is_none() {
            killed.insert(number, instant);
        }
        number += 1;
        assert!(number < 4 * KILLS, "{} of {number} killed", killed.len());
    }
    // An even number is without Kafka; this one sends what is left.
    start(2 * number + 1).run().exits(0);
    assert_eq!(spool_files(directory.path()), BTreeSet::new());
    let mut recorded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in kafka.consume_all(&topic) {
        let payload = record.payload.unwrap_or_default();
        let event = CheckEvent::decode(&payload).unwrap();
        let of_run = recorded.entry(event.location.to_string()).or_default();
        of_run.insert(event.id.to_string());
    }
    let mut lost_in_all = 0;
    for number in killed.into_keys() {
        let of_run = recorded
            .get(&format!("run-{number}"))
            .map_or(0, BTreeSet::len);
        let lost = asked(number) - of_run;
        assert!(lost <= AT_ONCE, "run {number}: {lost} of {}", asked(number));
        lost_in_all += lost;
    }
    assert!(lost_in_all > 0, "no kill met a check under way");
}

#[test]
fn a_long_run_whose_results_kafka_takes_does_not_fill_it() {
    // Three megabytes and more.
    const ANSWERED: usize = 700;
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("long");
    kafka.create_topic(&topic, 1);
    let gate = Gate::at(ANSWERED + 1);
    let directory = tempfile::tempdir().unwrap();
    let labels: BTreeMap<String, String> = (0..20)
        .map(|number| (format!("label-{number}"), "x".repeat(200)))
        .collect();
    let sites: Vec<Value> = (0..=ANSWERED)
        .map(|number| {
            let labelled = json!({"labels": labels});
            site(&format!("site-{number}"), &gate.website.url(), &labelled)
        })
        .collect();
    // Too long for a variable.
    let list = tempfile::NamedTempFile::new().unwrap();
    fs::write(list.path(), Value::from(sites).to_string()).unwrap();
    let run = Run::probe()
        .var("SITES_FILE", list.path())
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("PROBE_SPOOL_DIR", directory.path())
        .var("CHECK_CONCURRENCY", "1")
        .spawn();
    gate.wait();
    wait::until(
        "the file is empty, and the run goes on",
        Duration::from_secs(180),
        || {
            let found = paths(directory.path());
            found.len() == 1 && found.iter().all(|path| path.metadata().unwrap().len() == 0)
        },
    );
    gate.let_go.send(()).unwrap();
    run.wait().exits(0);
    assert_eq!(paths(directory.path()), BTreeSet::new());
    assert_eq!(ids(kafka, &topic).len(), ANSWERED + 1);
}
