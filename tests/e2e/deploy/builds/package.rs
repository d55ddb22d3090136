//! The Debian package: what is in it, what Debian says of it, and what is left when it is gone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sitewatch_tests::command::{Finished, Run};
use sitewatch_tests::debian::Debian;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::websites::Website;
use sitewatch_tests::{package, shared};

use super::TIMEOUT;
use crate::deploy::{BIN, text};
use crate::documents::{FUNCTIONS, links, root};
use crate::readme::{Block, Shell, block};
use crate::support::unique;

/// Of whoever installs the package, where a hosted Kafka's certificates are.
const HOME: &str = "/home/admin";

fn tool(program: &str, arguments: &[&str]) -> Finished {
    arguments
        .iter()
        .fold(Run::program(program), |run, argument| run.arg(argument))
        .timeout(TIMEOUT)
        .run()
        .exits(0)
}

#[test]
fn it_holds_what_its_documents_name_and_debian_finds_no_fault_with_it() {
    // As people make it, of the executables that the tests run: nothing is installed or compiled.
    let functions = Run::setup();
    let functions = functions.executable().parent().unwrap();
    let shell = Shell::new().without("apt-get").without("cargo");
    let made = block("cron/README.md", "apt-get install build")
        .replace("cron/debian", root().join("cron/debian").to_str().unwrap())
        .replace("target/dist", functions.to_str().unwrap());
    shell.run(&made);
    for tool in &shell.asked()[0][2..] {
        let known = tool == "git" || text("tests/install.sh").contains(tool.as_str());
        assert!(known, "tests/install.sh does not install {tool}");
    }
    let package = fs::read_dir(shell.work()).unwrap().next();
    let package = package.unwrap().unwrap().path();
    let package = package.to_str().unwrap();
    tool(
        "lintian",
        &[
            "--profile=debian",
            "--fail-on=error,warning",
            "--allow-root",
            package,
        ],
    )
    .stdout_is("");

    let directory = tempfile::tempdir().unwrap();
    let unpacked = directory.path().join("root");
    tool(
        "dpkg-deb",
        &["--extract", package, unpacked.to_str().unwrap()],
    );
    let at = |path: &str| unpacked.join(path.trim_start_matches('/'));
    let mode = |path: &str| fs::metadata(at(path)).unwrap().permissions().mode() & 0o7777;
    for function in FUNCTIONS {
        let path = format!("{BIN}/{function}");
        assert_eq!(mode(&path), 0o755, "{path}");
        let link = fs::read_link(at(&format!("usr/bin/sitewatch-{function}"))).unwrap();
        assert_eq!(link, Path::new("../lib/sitewatch/bin").join(function));
        tool("file", &[at(&path).to_str().unwrap()]).stdout_has(", stripped");
        let page = at(&format!("usr/share/man/man8/sitewatch-{function}.8.gz"));
        tool(
            "man",
            &["--warnings", "--local-file", page.to_str().unwrap()],
        )
        .stderr_is("")
        .stdout_has(&format!("\n       sitewatch-{function} "))
        .stdout_has("LOG_LEVEL");
    }
    assert_eq!(mode(&format!("{BIN}/tell-once")), 0o755);
    assert_eq!(mode("etc/sitewatch/env"), 0o640);
    assert_eq!(mode("etc/sitewatch/credentials"), 0o750);

    let doc = at("usr/share/doc/sitewatch");
    for document in [
        "cron/README.md",
        "functions/notify/README.md",
        "migrations/README.md",
    ] {
        for link in links(&fs::read_to_string(doc.join(document)).unwrap()) {
            let path = doc.join(document).parent().unwrap().join(&link);
            assert!(path.exists(), "{document}: {link}");
        }
    }
    assert_eq!(
        fs::read_to_string(doc.join(".env.example")).unwrap(),
        text(".env.example")
    );

    let control = tool("dpkg-deb", &["--field", package]).stdout;
    assert!(control.contains("\nDescription: website availability as one-shot functions\n"));
    for part in ["libssl3", "libc6", "ca-certificates"] {
        assert!(control.contains(part), "{control}");
    }
    for function in FUNCTIONS {
        assert!(control.contains(&format!("\n  * {function} ")), "{control}");
    }
}

#[test]
fn what_a_person_did_outlives_upgrades_and_removal_and_nothing_outlives_purge() {
    let directory = tempfile::tempdir().unwrap();
    let package = package::build(directory.path()).unwrap_or_else(|failure| panic!("{failure}"));
    // The next version, with the same files.
    let next = directory.path().join("next");
    let next_package = directory.path().join("next.deb");
    let (next, next_package) = (next.to_str().unwrap(), next_package.to_str().unwrap());
    tool(
        "dpkg-deb",
        &["--raw-extract", package.to_str().unwrap(), next],
    );
    let control = format!("{next}/DEBIAN/control");
    tool("sed", &["-i", "s/^Version: .*/Version: 99/", &control]);
    tool(
        "dpkg-deb",
        &[
            "--root-owner-group",
            "-Zgzip",
            "--build",
            next,
            next_package,
        ],
    );

    let debian = Debian::new().unwrap_or_else(|failure| panic!("{failure}"));
    debian.copy(&package, "/tmp/sitewatch_1.deb").unwrap();
    debian
        .copy(Path::new(next_package), "/tmp/next.deb")
        .unwrap();
    let shell = |commands: &str| debian.shell(commands).timeout(TIMEOUT).run();
    let said = |commands: &str| shell(commands).exits(0).stdout;
    let wanted = || said("ls /etc/systemd/system/timers.target.wants | grep sitewatch || :");

    let doc = "/usr/share/doc/sitewatch";
    let follow = |block: &Block, directory: &str| {
        shell(&format!("cd {directory}\nHOME={HOME}\n{}", block.script())).exits(0)
    };
    follow(&block("cron/README.md", "apt-get install ./"), "/tmp");
    assert_eq!(
        said("cat /usr/share/doc/sitewatch/cron/README.md"),
        text("cron/README.md"),
        "what is followed below is the package's own"
    );
    assert_eq!(wanted(), "", "it enables nothing: settings come first");
    for function in FUNCTIONS {
        shell(&format!("sitewatch-{function} --version"))
            .exits(0)
            .stdout_is(&format!("{function} {}\n", env!("CARGO_PKG_VERSION")));
        let service = format!("systemctl is-enabled sitewatch-{function}.service");
        shell(&service).exits(0).stdout_is("static\n");
    }
    // A hosted Kafka, whose files are where its owner has them.
    let kafka = shared::kafka(Version::V4_1);
    let database = shared::postgres().create_database("packaged");
    let website = Website::up("fine");
    shell(&format!("mkdir -p {HOME}/certs")).exits(0);
    for file in ["ca.pem", "service.cert", "service.key"] {
        let to = format!("{HOME}/certs/{file}");
        debian
            .copy(&kafka.certificate_dir().join(file), &to)
            .unwrap();
    }
    let typed = |secret: &str, file: &str| {
        let file = format!("cat >/etc/sitewatch/credentials/{file}");
        (file.clone(), format!("echo '{secret}' | {file}"))
    };
    let (setup, with_setup) = typed(database.url(), "setup-database-url");
    let (drain, with_drain) = typed(
        "postgres://drain:hunter2@host/database",
        "drain-database-url",
    );
    let settings = block("cron/README.md", "umask 027")
        .replace(&setup, with_setup)
        .replace(&drain, with_drain);
    follow(&settings, doc);
    let (topic, brokers, url) = (unique("packaged"), kafka.ssl_bootstrap(), website.url());
    shell(&format!(
        r#"sed -i -e 's/^KAFKA_BROKERS=.*/KAFKA_BROKERS={brokers}/' -e 's/^#KAFKA_CERT_DIR/KAFKA_CERT_DIR/' \
             /etc/sitewatch/env
         echo KAFKA_TOPIC={topic} >>/etc/sitewatch/env
         echo '["{url}"]' >/etc/sitewatch/sites.json
         mkdir -p /var/lib/private/sitewatch-probe/spool
         ln -s private/sitewatch-probe /var/lib/sitewatch-probe
         mkdir -p /var/lib/systemd/timers
         touch /var/lib/systemd/timers/stamp-sitewatch-drain.timer"#,
    ))
    .exits(0);
    follow(&block("cron/README.md", "useradd"), doc);
    follow(&block("cron/README.md", "ENV_FILE="), doc);
    shell("runuser -u sitewatch -- env ENV_FILE=/etc/sitewatch/env sitewatch-probe")
        .exits(0)
        .stderr_has("1 check: 1 up, 0 down");
    assert_eq!(
        said("crontab -u sitewatch -l"),
        text("cron/crontab.example")
    );
    shell("runuser -u sitewatch -- cat /etc/sitewatch/credentials/drain-database-url").exits(0);
    shell("runuser -u sitewatch -- cat /etc/sitewatch/credentials/setup-database-url").exits(1);
    let mut timers: Vec<String> = fs::read_dir(root().join("cron/systemd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".timer"))
        .collect();
    timers.sort();
    // Nothing can be started there.
    let starting = block("cron/README.md", "systemctl start").replace("enable --now", "enable");
    shell(&format!("export SYSTEMD_OFFLINE=1\n{}", starting.script())).exits(0);
    let enabled = timers.join("\n") + "\n";
    assert_eq!(wanted(), enabled);

    // As on a machine that systemd runs; what it is told to do is written down.
    shell(
        "mkdir -p /run/systemd/system
         cat >/usr/local/bin/systemctl <<'EOF'
#!/bin/sh
echo \"$*\" >>/systemctl.log
exec /bin/systemctl \"$@\"
EOF
         chmod 0755 /usr/local/bin/systemctl",
    )
    .exits(0);
    let told = || said("cat /systemctl.log; : >/systemctl.log");
    shell("dpkg --install /tmp/next.deb").exits(0);
    assert_eq!(wanted(), enabled);
    assert_eq!(
        said("tail -n 1 /etc/sitewatch/env"),
        format!("KAFKA_TOPIC={topic}\n")
    );
    let on_upgrade = told();
    assert!(on_upgrade.contains("daemon-reload\n"), "{on_upgrade}");
    assert!(!on_upgrade.contains("stop"), "{on_upgrade}");

    shell("dpkg --remove sitewatch").exits(0);
    let on_removal = told();
    let stopped = "stop sitewatch-*.timer sitewatch-*.service\n";
    assert!(on_removal.contains(stopped), "{on_removal}");
    shell("test ! -e /usr/lib/sitewatch").exits(0);
    shell("test ! -e /usr/bin/sitewatch-probe").exits(0);
    assert_eq!(
        said("cat /etc/sitewatch/credentials/drain-database-url"),
        "postgres://drain:hunter2@host/database\n"
    );

    shell("dpkg --purge sitewatch").exits(0);
    let left = said("find / -xdev -name '*sitewatch*' -not -path '/tmp/*' | sort");
    // What the README's useradd and crontab made, and its next lines remove.
    assert_eq!(
        left,
        "/var/lib/sitewatch\n/var/spool/cron/crontabs/sitewatch\n"
    );
    follow(&block("cron/README.md", "crontab -u sitewatch -r"), "/");
    assert_eq!(
        said("find / -xdev -name '*sitewatch*' -not -path '/tmp/*'"),
        ""
    );
}
