//! Every command that a README shows in a block of `sh`, `bash` or `console` is accounted for: it is
//! executed as it stands, here or in another test that is named, or there is a reason why nothing
//! here can execute it. Whatever a page says that is another thing here is declared by
//! [`Block::replace`], a program that cannot do its work here by [`Shell::without`].

mod block;
mod cluster;
mod main_page;
mod shell;

use std::thread;

use serde_json::json;
use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::shared;
use sitewatch_tests::websites::Website;

pub(crate) use block::Block;
pub(crate) use shell::Shell;

use crate::documents::{documents, root, source_of};
use crate::support::{Prepared, down, lines, unique};
use How::{By, Elsewhere, Here};

/// How a block is accounted for.
#[derive(Clone, Copy)]
enum How {
    /// By this.
    Here(fn(&Block)),
    /// By the test of this name, which takes it from [`block`].
    By(&'static str),
    /// By nothing here, for a reason; but its commands are in a file that does execute them.
    Elsewhere {
        why: &'static str,
        file: &'static str,
    },
}

/// What messages call [`PAGES`].
const HERE: &str = "PAGES in tests/e2e/readme/mod.rs";

/// Each block by its page and by how it begins, unlike all others of that page.
const PAGES: [(&str, &[(&str, How)]); 7] = [
    (
        "README.md",
        &[
            ("apt-get install", RELEASE),
            ("for function in", CARGO),
            ("./tests/demo.sh", Here(main_page::demo)),
            ("$ PROBE_LOCATION", Here(main_page::locations)),
            ("$ SITES=", Here(main_page::without_servers)),
            ("cat >.env", Here(main_page::hosted_servers)),
            ("(crontab -l;", Here(main_page::other_functions)),
        ],
    ),
    (
        "cron/README.md",
        &[
            ("apt-get install ./", DEBIAN),
            ("apt-get install build", PACKAGE),
            ("crontab -u sitewatch -r", DEBIAN),
            ("for function in", CARGO),
            ("umask 027", DEBIAN),
            ("systemctl start", DEBIAN),
            ("useradd", DEBIAN),
            ("ENV_FILE=", DEBIAN),
        ],
    ),
    (
        "k8s/README.md",
        &[
            ("docker build", Here(cluster::image)),
            ("kind load", Here(cluster::objects)),
            ("kubectl apply", Here(cluster::objects)),
        ],
    ),
    (
        "k8s/connect/README.md",
        &[
            ("curl", Here(cluster::recipe)),
            ("KAFKA_BROKERS=", Here(cluster::recipe)),
        ],
    ),
    (
        "functions/notify/README.md",
        &[("export NOTIFY_URLS", Here(notify))],
    ),
    (
        "shared/src/event/README.md",
        &[("kafka-console-consumer.sh", Here(topic))],
    ),
    (
        ".github/CONTRIBUTING.md",
        &[(
            "# Debian's cron",
            Elsewhere {
                why: "suites and lints of their own",
                file: ".github/workflows/ci.yml",
            },
        )],
    ),
];

const RELEASE: How =
    By("a_release_is_an_archive_of_stripped_functions_with_their_manual_and_a_package");
const CARGO: How = By("cargo_installs_each_function_from_its_own_directory");
const PACKAGE: How = By("it_holds_what_its_documents_name_and_debian_finds_no_fault_with_it");
const DEBIAN: How =
    By("what_a_person_did_outlives_upgrades_and_removal_and_nothing_outlives_purge");

/// The rows of [`PAGES`].
fn rows() -> impl Iterator<Item = (&'static str, &'static str, How)> {
    PAGES
        .iter()
        .flat_map(|(page, rows)| rows.iter().map(|(begins, how)| (*page, *begins, *how)))
}

/// The one block of a page that begins so.
#[track_caller]
pub(crate) fn block(page: &str, begins: &str) -> Block {
    find(page, begins).unwrap_or_else(|problem| panic!("{problem}"))
}

fn find(page: &str, begins: &str) -> Result<Block, String> {
    let mut found = Block::all(page)
        .into_iter()
        .filter(|block| block.begins(begins));
    match (found.next(), found.next()) {
        (Some(block), None) => Ok(block),
        (None, _) => Err(format!(
            "{page}: no block begins with {begins:?}, as {HERE} has it"
        )),
        (Some(block), Some(second)) => Err(format!(
            "{block} and {second} begin alike for {HERE}: it needs more of the line"
        )),
    }
}

#[test]
fn every_block_is_accounted_for() {
    let mut problems = Vec::new();
    for page in documents() {
        let page = page.strip_prefix(root()).unwrap().to_str().unwrap();
        for block in Block::all(page) {
            if !rows().any(|(of, begins, _)| of == page && block.begins(begins)) {
                problems.push(format!("{block}: nothing executes it; add it to {HERE}"));
            }
            let shell = Run::program("bash").arg("-n").stdin(block.script()).run();
            if shell.code != Some(0) || !shell.stderr.is_empty() {
                problems.push(format!("{block}: {}", shell.stderr));
            }
        }
    }
    for (page, begins, how) in rows() {
        let found = match find(page, begins) {
            Ok(found) => found,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        match how {
            Here(_) => {}
            By(test) => {
                let dense = |text: &str| text.replace(char::is_whitespace, "");
                let taken = dense(&format!("block({page:?}, {begins:?})"));
                if !source_of(test).is_some_and(|source| dense(&source).contains(&taken)) {
                    problems.push(format!("{found}: no test {test} takes it"));
                }
            }
            Elsewhere { why, file } => {
                let text = std::fs::read_to_string(root().join(file)).unwrap();
                for command in found.commands() {
                    if !text.contains(&command) {
                        problems.push(format!(
                            "{found}: {why}, but {file} does not execute `{command}`"
                        ));
                    }
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_block_does_what_its_page_says() {
    let failed: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = rows()
            .filter_map(|(page, begins, how)| match how {
                Here(run) => Some((page, begins, run)),
                By(_) | Elsewhere { .. } => None,
            })
            .map(|(page, begins, run)| {
                let block = block(page, begins);
                (block.to_string(), scope.spawn(move || run(&block)))
            })
            .collect();
        running
            .into_iter()
            .filter_map(|(block, run)| run.join().is_err().then_some(block))
            .collect()
    });
    assert!(failed.is_empty(), "failed:\n{}", failed.join("\n"));
}

/// `functions/notify/README.md`.
fn notify(block: &Block) {
    let prepared = Prepared::new("told");
    let receiver = Website::up("ok");
    let failed = prepared.drain().var("DRAIN_SOURCE", "stdin");
    failed.stdin(lines(&[down("shop", 5)])).run().exits(0);
    let shell = Shell::new().var("DATABASE_URL", prepared.url());
    let said = shell.run(&block.replace(
        "slack+https://hooks.slack.com/",
        format!("slack+{}", receiver.url()),
    ));
    // The incident and the test.
    assert_eq!(receiver.requests().len(), 2, "{said}");
}

/// `shared/src/event/README.md`.
fn topic(block: &Block) {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("shown");
    kafka.create_topic(&topic, 1);
    let website = Website::up("fine");
    Run::probe()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var(
            "SITES",
            json!([{"name": "shop", "url": website.url()}]).to_string(),
        )
        .run()
        .exits(0);
    // It would wait for more, and has begun too late for what is there.
    let tool = kafka.tool_script(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "--from-beginning --max-messages 1",
    );
    let said = Shell::new()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .with("kafka-console-consumer.sh", &tool)
        .with(
            "kcat",
            "#!/bin/sh\nPATH=${PATH#*:} exec kcat -e -q \"$@\"\n",
        )
        .run(&block.replace("website-monitoring", topic))
        .stdout_has("CreateTime:");
    assert_eq!(said.stdout.matches("\tshop\t{\"v\":").count(), 2, "{said}");
}
