//! Debian's own daemon, which starts nothing before a minute begins: `tests/run.sh ticks`, and a job of
//! CI of its own. `tests/run.sh` leaves it out: it waits for up to three minutes of the real clock.
//!
//! The daemon runs without any rights under PRoot, which shows it a spool, users and a `sendmail` of
//! the test's: nothing of the machine's is read or changed.

use std::fs;
use std::thread;
use std::time::Duration;

use sitewatch_tests::command::{Run, Running};
use sitewatch_tests::wait;
use sitewatch_tests::websites::{Behaviour, Page, Website};

use super::{Installed, USER, told_in_one_line};
use crate::deploy::{is_root, open_directory, set_mode};

/// The machine as Debian's cron sees it, and what it mails.
struct Machine {
    directory: tempfile::TempDir,
    user: u32,
}

impl Machine {
    /// With these users, who have these crontabs and one number: nobody but root can have two.
    fn new(users: &[(&str, &Installed)], user: u32) -> Self {
        let directory = open_directory();
        let path = |name: &str| directory.path().join(name);
        for name in ["spool/crontabs", "cron.d", "run", "sbin", "pam.d", "mail"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        let mut passwd = String::from("root:*:0:0::/:/bin/sh\n");
        for (name, installed) in users {
            let home = installed.path("var");
            let home = home.display();
            passwd += &format!("{name}:*:{user}:{user}::{home}:/usr/sbin/nologin\n");
            let crontab = path(&format!("spool/crontabs/{name}"));
            fs::write(&crontab, &installed.crontab).unwrap();
            set_mode(&crontab, 0o600);
        }
        fs::write(path("passwd"), passwd).unwrap();
        fs::write(path("crontab"), "").unwrap();
        // The machine's own asks for things that only root can do.
        let anybody =
            ["auth", "account", "session"].map(|of| format!("{of} required pam_permit.so\n"));
        fs::write(path("pam.d/cron"), anybody.concat()).unwrap();
        fs::copy("/usr/sbin/cron", path("sbin/cron")).unwrap();
        let sendmail = format!(
            "#!/bin/sh\ncat >{mail}/.$$ && mv {mail}/.$$ {mail}/$$\n",
            mail = path("mail").display()
        );
        fs::write(path("sbin/sendmail"), sendmail).unwrap();
        set_mode(&path("sbin/sendmail"), 0o755);
        if is_root() {
            Run::program("chown")
                .arg("-R")
                .arg(user.to_string())
                .arg(directory.path())
                .run()
                .exits(0);
        }
        Self { directory, user }
    }

    /// Starts cron, which takes itself for root.
    fn cron(&self) -> Running {
        let binds = [
            ("spool", "/var/spool/cron"),
            ("crontab", "/etc/crontab"),
            ("cron.d", "/etc/cron.d"),
            ("run", "/run"),
            ("sbin", "/usr/sbin"),
            ("pam.d", "/etc/pam.d"),
            ("passwd", "/etc/passwd"),
        ];
        let mut run = Run::program("proot").arg("-0");
        for (ours, theirs) in binds {
            let ours = self.directory.path().join(ours);
            run = run.arg("-b").arg(format!("{}:{theirs}", ours.display()));
        }
        run.arg("/usr/sbin/cron")
            .arg("-f")
            .as_user(self.user)
            .timeout(Duration::from_secs(300))
            .spawn()
    }

    /// What was mailed because of this user's crontab, without the headers.
    fn mails(&self, of: &str) -> Vec<String> {
        let mails = fs::read_dir(self.directory.path().join("mail")).unwrap();
        mails
            .map(|entry| entry.unwrap())
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
            .map(|entry| fs::read_to_string(entry.path()).unwrap())
            .filter(|mail| mail.contains(&format!("X-Cron-Env: <LOGNAME={of}>\n")))
            .map(|mail| {
                assert!(mail.contains("\nTo: root\n"), "{mail}");
                mail.split_once("\n\n").unwrap().1.to_owned()
            })
            .collect()
    }
}

#[test]
fn debians_cron_records_rounds_tells_what_is_down_and_mails_what_is_wrong_and_nothing_else() {
    let user = if is_root() {
        USER
    } else {
        rustix::process::geteuid().as_raw()
    };
    let (mut well, broken) = (Installed::new(user), Installed::new(user));
    broken.break_the_database();
    // From the check that fails to whoever is to be told of it.
    let failing = Website::start(Behaviour::Page(Page::new(500, "broken")));
    let receiver = Website::up("taken");
    well.check_too("shop", &failing);
    well.tell(&receiver);
    well.crontab = well
        .crontab
        .replace("#* * * * * sleep 30;", "* * * * * sleep 30;");
    let machine = Machine::new(&[("well", &well), ("broken", &broken)], user);
    let mut cron = machine.cron();
    wait::until(
        "two minutes began, a round is recorded and somebody is told",
        Duration::from_secs(280),
        || {
            // Each look is a connection, and the next tick is seconds away.
            thread::sleep(Duration::from_secs(1));
            assert!(!cron.has_ended(), "{}", cron.stderr_so_far());
            broken.runs_not_told("drain") >= 1
                && well.rounds() >= 1
                && !receiver.requests().is_empty()
        },
    );
    let [mail] = &machine.mails("broken")[..] else {
        panic!("one mail was expected: {:?}", machine.mails("broken"));
    };
    told_in_one_line(mail);
    assert_eq!(machine.mails("well"), Vec::<String>::new());
    let requests = receiver.requests();
    let told: serde_json::Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(told["event"], "down");
    assert_eq!(told["incidents_total"], 1);
    let incident = &told["incidents"][0];
    assert_eq!(incident["site"], "shop");
    assert_eq!(incident["error"], "status 500, expected 200-399");
}
