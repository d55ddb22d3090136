//! `cron/crontab.example`, installed as `cron/README.md` says but below a temporary directory.
//!
//! Its lines are started as cron would start them, which takes seconds; what Debian's own daemon does
//! with them is in `ticks`.

mod ticks;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use sitewatch_tests::command::{Finished, Run};
use sitewatch_tests::kafka::Version;
use sitewatch_tests::shared;
use sitewatch_tests::websites::Website;

use super::{BIN, install, is_root, open_directory, reads, set_mode, text, write_secret};
use crate::support::{Prepared, down, lines, unique};

/// Anybody but root.
const USER: u32 = 64_999;

/// What `cron/README.md` makes, elsewhere.
struct Installed {
    directory: tempfile::TempDir,
    crontab: String,
    prepared: Prepared,
    user: u32,
    _websites: [Website; 2],
}

impl Installed {
    fn new(user: u32) -> Self {
        let directory = open_directory();
        let path = |name: &str| directory.path().join(name);
        let bin = install(
            &["probe", "drain", "maintain", "report", "notify"],
            directory.path(),
        );
        fs::write(bin.join("tell-once"), text("cron/tell-once")).unwrap();
        set_mode(&bin.join("tell-once"), 0o755);
        fs::create_dir_all(path("etc/credentials")).unwrap();
        fs::create_dir(path("var")).unwrap();
        set_mode(&path("etc/credentials"), 0o750);
        if is_root() {
            chown(path("etc/credentials"), Some(0), Some(user)).unwrap();
            chown(path("var"), Some(user), Some(user)).unwrap();
        }

        let kafka = shared::kafka(Version::V4_1);
        let topic = unique("cron");
        kafka.create_topic(&topic, 2);
        let env = text("cron/env.example")
            .replace("localhost:9092", &kafka.bootstrap())
            .replace("/etc/sitewatch", path("etc").to_str().unwrap())
            + &format!("KAFKA_TOPIC={topic}\n");
        write_secret(&path("etc/env"), &env, user);
        let prepared = Prepared::new("cron");
        for function in ["drain", "maintain", "report"] {
            let file = format!("etc/credentials/{function}-database-url");
            write_secret(&path(&file), &format!("{}\n", prepared.url()), user);
        }
        let websites = [Website::up("one"), Website::up("two")];
        let list: Vec<_> = ["one", "two"]
            .iter()
            .zip(&websites)
            .map(|(name, website)| serde_json::json!({"name": name, "url": website.url()}))
            .collect();
        let list = serde_json::Value::from(list).to_string();
        fs::write(path("etc/sites.json"), list).unwrap();

        let crontab = text("cron/crontab.example")
            .replace(BIN, path("bin").to_str().unwrap())
            .replace("/etc/sitewatch", path("etc").to_str().unwrap())
            .replace("/var/lib/sitewatch", path("var").to_str().unwrap());
        Self {
            directory,
            crontab,
            prepared,
            user,
            _websites: websites,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Adds a site to the list.
    fn check_too(&self, name: &str, website: &Website) {
        let path = self.path("etc/sites.json");
        let mut list: Vec<serde_json::Value> =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        list.push(serde_json::json!({"name": name, "url": website.url()}));
        fs::write(path, serde_json::Value::from(list).to_string()).unwrap();
    }

    /// Gives `notify` whom to tell, and its way to the database.
    fn tell(&self, receiver: &Website) {
        let secrets = [
            ("notify-database-url", self.prepared.url().to_owned()),
            ("notify-urls", format!("webhook+{}\n", receiver.url())),
        ];
        for (file, secret) in secrets {
            let file = self.path(&format!("etc/credentials/{file}"));
            write_secret(&file, &secret, self.user);
        }
    }

    fn break_the_database(&self) {
        let nobody = sitewatch_tests::port::reserve();
        write_secret(
            &self.path("etc/credentials/drain-database-url"),
            &format!("postgres://drain:hunter2@127.0.0.1:{nobody}/sitewatch"),
            self.user,
        );
    }

    /// How many runs of this function said what had been told already.
    fn runs_not_told(&self, function: &str) -> u64 {
        let state = fs::read_to_string(self.path(&format!("var/{function}.told")));
        let state = state.unwrap_or_default();
        state
            .split(' ')
            .nth(2)
            .map_or(0, |held| held.parse().unwrap())
    }

    /// How many rounds are recorded, when every site is in each.
    fn rounds(&self) -> i64 {
        self.prepared.count(
            "select coalesce(min(rounds), 0) from
                 (select count(checks.website_id) as rounds from websites
                  left join checks on checks.website_id = websites.id
                  group by websites.id) as each_website",
        )
    }
}

/// A crontab as cron reads it: settings, then lines of five fields and a command.
struct Crontab {
    variables: Vec<(String, String)>,
    lines: Vec<(String, String)>,
}

impl Crontab {
    fn parse(text: &str) -> Self {
        let mut found = Self {
            variables: Vec::new(),
            lines: Vec::new(),
        };
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let name: String = line
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            let rest = line.strip_prefix(&name).unwrap().trim_start();
            if let Some(value) = rest.strip_prefix('=').filter(|_| !name.is_empty()) {
                assert!(found.lines.is_empty(), "{name} holds for lines below only");
                let value = value.trim().trim_matches(['"', '\'']).to_owned();
                found.variables.push((name, value));
            } else {
                let mut fields = line.splitn(6, ' ');
                let schedule: Vec<&str> = fields.by_ref().take(5).collect();
                let command = fields.next().expect("a command follows five fields");
                assert!(!command.contains('%'), "to cron a % ends the command");
                found.lines.push((schedule.join(" "), command.to_owned()));
            }
        }
        found
    }

    /// One minute: every line of every minute, at the same time.
    fn tick(&self, home: &Path, user: u32) -> Vec<Finished> {
        let running: Vec<_> = self
            .lines
            .iter()
            .filter(|(schedule, _)| schedule == "* * * * *")
            .map(|(_, command)| self.start(command, home, user).spawn())
            .collect();
        running.into_iter().map(|run| run.wait()).collect()
    }

    fn start(&self, command: &str, home: &Path, user: u32) -> Run {
        // The one addition: here a minute begins when the test says so, and probe would warn, with
        // reason, of a start in the middle of one.
        let second = jiff::Timestamp::now().as_second() % 60;
        // What cron gives of its own, then the crontab's.
        Run::program("/bin/sh")
            .arg("-c")
            .arg(command)
            .bare()
            .var("HOME", home)
            .var("LOGNAME", "sitewatch")
            .vars(self.variables.iter().map(|(name, value)| (name, value)))
            .var("PROBE_PHASE", format!("{second}s"))
            .in_dir(home)
            .as_user(user)
    }
}

#[test]
fn its_lines_record_every_round_in_silence_and_say_what_is_wrong_in_one_line() {
    let installed = Installed::new(USER);
    let crontab = Crontab::parse(&installed.crontab);
    let home = installed.path("var");
    assert_eq!(crontab.lines.len(), 3);

    // The second tick's drain finds at least what the first tick's probe published.
    for _ in 0..2 {
        for run in crontab.tick(&home, USER) {
            run.exits(0).stdout_is("").stderr_is("");
        }
    }
    assert!(installed.rounds() >= 1);
    crontab.tick(&home, USER);
    assert!(installed.rounds() >= 2);
    let rarer: Vec<_> = crontab
        .lines
        .iter()
        .filter(|(schedule, _)| schedule == "7-59/10 * * * *")
        .collect();
    assert_eq!(rarer.len(), 1);
    for (_, command) in rarer {
        let run = crontab.start(command, &home, USER).run();
        run.exits(0).stdout_is("").stderr_is("");
    }
    let checks = installed.prepared.count("select count(*) from checks");
    assert!(checks <= 6, "two sites, three ticks: {checks} checks");

    installed.break_the_database();
    let mails: Vec<_> = crontab
        .tick(&home, USER)
        .into_iter()
        .filter(|run| !run.stdout.is_empty() || !run.stderr.is_empty())
        .collect();
    let [mail] = mails.as_slice() else {
        panic!("one mail was expected: {mails:?}");
    };
    assert!(mail.stderr.is_empty(), "{mail}");
    told_in_one_line(&mail.stdout);
    for run in crontab.tick(&home, USER) {
        run.stdout_is("").stderr_is("");
    }
    assert_eq!(installed.runs_not_told("drain"), 1);
}

#[test]
fn a_wrong_configuration_is_told_with_its_exit_code() {
    let installed = Installed::new(USER);
    let misspelt = r#"[{"url": "https://example.org", "regx": "Example"}]"#;
    fs::write(installed.path("etc/sites.json"), misspelt).unwrap();
    let crontab = Crontab::parse(&installed.crontab);
    let (_, probe) = &crontab.lines[0];
    let mail = crontab
        .start(probe, &installed.path("var"), USER)
        .run()
        .exits(78)
        .stderr_is("")
        .stdout_has(r#"regx is not a field of a site; did you mean "regex"?"#);
    let hint = "see `probe --help` for every variable it reads (exit code 78)\n";
    assert!(mail.stdout.ends_with(hint), "{mail}");
}

fn told_in_one_line(mail: &str) {
    assert_eq!(mail.lines().count(), 1, "{mail}");
    assert!(
        mail.contains("cannot reach PostgreSQL at 127.0.0.1:"),
        "{mail}"
    );
    assert!(mail.contains("(exit code 69)"), "{mail}");
    assert!(!mail.contains("hunter2"), "{mail}");
}

#[test]
fn the_lines_for_reports_and_messages_do_so_once_they_are_uncommented() {
    let installed = Installed::new(USER);
    let everything: String = installed
        .crontab
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(command) if command.contains(" * * * ") => format!("{command}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let usual = Crontab::parse(&installed.crontab);
    let crontab = Crontab::parse(&everything);
    let home = installed.path("var");
    for _ in 0..2 {
        usual.tick(&home, USER);
    }
    let [mailed, page, metrics, messages] = &crontab.lines[usual.lines.len()..] else {
        panic!("four lines have a # before them: {:?}", crontab.lines);
    };
    let run = |(_, command): &(String, String)| crontab.start(command, &home, USER).run().exits(0);
    run(mailed)
        .stdout_has("one ")
        .stdout_has("two ")
        .stderr_is("");
    for (line, file, part) in [
        (page, "status.html", "All 2 sites are up"),
        (metrics, "sitewatch.prom", "sitewatch_site_up{site=\"one\""),
    ] {
        run(line).stdout_is("").stderr_is("");
        let path = home.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(part), "{part} in {text}");
        // Whoever serves it is somebody else.
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o044, 0o044, "{mode:o}");
    }
    let receiver = Website::up("taken");
    installed.tell(&receiver);
    // Later than any check of the ticks.
    let failed = lines(&[down("one", -2)]);
    let drain = installed.prepared.drain().var("DRAIN_SOURCE", "stdin");
    drain.stdin(failed).run().exits(0);
    let (schedule, command) = messages;
    let at_once = command.replace("sleep 30; ", "");
    for _ in 0..2 {
        run(&(schedule.clone(), at_once.clone()))
            .stdout_is("")
            .stderr_is("");
    }
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn a_second_probe_beside_the_first_gives_up_at_once_and_in_silence() {
    let installed = Installed::new(USER);
    let crontab = Crontab::parse(&installed.crontab);
    let lock = fs::File::create(installed.path("var/probe.lock")).unwrap();
    if is_root() {
        chown(installed.path("var/probe.lock"), Some(USER), Some(USER)).unwrap();
    }
    lock.lock().unwrap();
    let (_, probe) = &crontab.lines[0];
    crontab
        .start(probe, &installed.path("var"), USER)
        .run()
        .exits(1)
        .stdout_is("")
        .stderr_is("");
    assert_eq!(installed.rounds(), 0);
}

#[test]
fn it_names_only_what_the_functions_read() {
    let crontab = Crontab::parse(&text("cron/crontab.example"));
    let env = Crontab::parse(&text("cron/env.example"));
    for (name, _) in crontab.variables.iter().chain(&env.variables) {
        let known = ["SHELL", "PATH", "MAILTO"].contains(&name.as_str())
            || ["probe", "drain"]
                .iter()
                .any(|function| reads(function, name));
        assert!(known, "nobody reads {name}");
    }
}
