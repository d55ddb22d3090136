//! Tests in a network of their own, where there is nothing but what the test puts there.
//!
//! Such a test runs twice: the first time it starts itself again in new namespaces of users,
//! networks and mounts, where it is root, and the second time it does what it is there for.

use std::{
    env, fs,
    process::{Command, Stdio},
};

use crate::{command::Run, directory::Directory};

/// Names the test that runs in a namespace.
const INSIDE: &str = "SITEWATCH_TESTS_NAMESPACE";

/// Whether this is the test's second run, in the namespace. In its first run this waits for the
/// second one. Where the system allows no namespaces it says so; nothing is tested there.
///
/// # Panics
/// When the second run fails, with what it printed.
#[track_caller]
pub fn entered(test: &str) -> bool {
    if env::var(INSIDE).is_ok_and(|inside| inside == test) {
        return true;
    }
    let allowed = unshare()
        .arg("true")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !allowed {
        eprintln!("NOT TESTED: {test}: this system allows no namespaces (unshare -rnm)");
        return false;
    }
    // Built where there is a network.
    drop(Run::probe());
    let output = unshare()
        .arg(env::current_exe().expect("know where this executable is"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, test)
        .output()
        .expect("start unshare");
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "in a namespace of its own:\n{printed}"
    );
    false
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "--mount", "--"]);
    command
}

/// Runs iproute2's `ip` in the namespace.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn ip(arguments: &str) {
    run("ip", &arguments.split(' ').collect::<Vec<_>>());
}

/// Gives the namespace the loopback interface.
#[track_caller]
pub fn loopback() {
    ip("link set lo up");
}

/// Gives the namespace an interface with 192.0.2.2/24 whose other end takes packets and answers
/// none, and a route to everything through 192.0.2.1, which is not there.
#[track_caller]
pub fn dead_end() {
    ip("link add v0 type veth peer name v1");
    ip("addr add 192.0.2.2/24 dev v0");
    ip("link set v0 up");
    ip("link set v1 up");
    ip("route add default via 192.0.2.1 dev v0");
}

/// The same with a gateway that seems to be there: packets leave, and nothing ever comes back.
#[track_caller]
pub fn dead_uplink() {
    dead_end();
    ip("neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev v0 nud permanent");
}

/// A file in the place of `/etc/resolv.conf`, which must be there for as long as that is asked for.
pub struct ResolvConf(#[expect(dead_code, reason = "kept, not looked at")] Directory);

/// Puts a file of this content in the place of `/etc/resolv.conf`, in the namespace.
#[must_use]
#[track_caller]
pub fn resolv_conf(content: &str) -> ResolvConf {
    let directory = Directory::new("resolv").expect("make a directory");
    let file = directory.join("resolv.conf");
    fs::write(&file, content).expect("write a file");
    mount(&file.display().to_string());
    ResolvConf(directory)
}

/// Puts a file that can be opened and not read in the place of `/etc/resolv.conf`.
#[track_caller]
pub fn unreadable_resolv_conf() {
    // Memory begins with a page that is never there, and may be nobody else's to look at.
    mount(&format!("/proc/{}/mem", std::process::id()));
}

#[track_caller]
fn mount(file: &str) {
    run("mount", &["--bind", file, "/etc/resolv.conf"]);
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    // Debian keeps `ip` where only root looks.
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program)
        .env("PATH", path)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("start {program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
