//! The Debian package: what is in it, and whose.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use sitewatch_tests::command::Run;
use sitewatch_tests::package;

use crate::deploy::{BIN, text};
use crate::documents::{FUNCTIONS, root};

#[test]
fn it_holds_the_functions_their_units_and_a_file_of_settings_that_upgrades_leave() {
    let directory = tempfile::tempdir().unwrap();
    let package = package::build(directory.path()).unwrap_or_else(|failure| panic!("{failure}"));
    let dpkg = |arguments: &[&str]| {
        let run = Run::program("dpkg-deb").arg(arguments[0]).arg(&package);
        let run = arguments
            .iter()
            .skip(1)
            .fold(run, |run, argument| run.arg(argument));
        run.run().exits(0)
    };
    let clean = directory.path().join("root");
    dpkg(&["--extract", clean.to_str().unwrap()]);
    let control = directory.path().join("control");
    dpkg(&["--control", control.to_str().unwrap()]);

    let mode = |path: &str| {
        let metadata =
            fs::metadata(clean.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        (metadata.permissions().mode() & 0o7777, metadata.uid())
    };
    let ours = rustix::process::geteuid().as_raw();
    for function in FUNCTIONS {
        let path = format!("{BIN}/{function}");
        let path = path.trim_start_matches('/');
        assert_eq!(mode(path), (0o755, ours), "{path}");
        let version = format!("{function} {}\n", env!("CARGO_PKG_VERSION"));
        Run::program(clean.join(path))
            .arg("--version")
            .run()
            .exits(0)
            .stdout_is(&version);
    }
    let tell_once = format!("{BIN}/tell-once");
    let tell_once = tell_once.trim_start_matches('/');
    assert_eq!(mode(tell_once).0, 0o755);
    assert_eq!(
        fs::read_to_string(clean.join(tell_once)).unwrap(),
        text("cron/tell-once")
    );
    for unit in fs::read_dir(root().join("cron/systemd")).unwrap() {
        let unit = unit.unwrap().file_name().into_string().unwrap();
        let path = format!("usr/lib/systemd/system/{unit}");
        assert_eq!(mode(&path).0, 0o644, "{path}");
        assert_eq!(
            fs::read_to_string(clean.join(&path)).unwrap(),
            text(&format!("cron/systemd/{unit}"))
        );
    }
    assert_eq!(mode("etc/sitewatch/env").0, 0o640);
    assert_eq!(mode("etc/sitewatch/sites.json").0, 0o644);

    let read = |name: &str| fs::read_to_string(control.join(name)).unwrap();
    assert_eq!(
        read("conffiles"),
        "/etc/sitewatch/env\n/etc/sitewatch/sites.json\n"
    );
    let fields = read("control");
    for field in ["Package: sitewatch\n", "libssl3", "libc6"] {
        assert!(fields.contains(field), "{fields}");
    }
    // It enables nothing: settings come first.
    let script = read("postinst");
    assert!(
        !script.contains("systemctl enable") && !script.contains("systemctl start"),
        "{script}"
    );
    assert!(script.contains("install -d -m 0750 /etc/sitewatch/credentials"));
}
