//! Nothing outlives the process that started it, not even when that process is killed.

use std::{env, fs, path::Path, thread, time::Duration};

use sitewatch_tests::{
    command::{Run, Signal},
    kafka::Version,
    shared, wait,
};

/// Says that this process is the one to be killed.
const VICTIM: &str = "SITEWATCH_TESTS_VICTIM";

/// A process that is gone, or dead and only waiting to be counted, is not alive.
pub(super) fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_killed_process_takes_its_servers_and_directories_along() {
    let mut victim = Run::program(env::current_exe().unwrap())
        .arg("--exact")
        .arg("stack::cleanup::the_victim")
        .arg("--nocapture")
        .var(VICTIM, "yes")
        .spawn();
    wait::until("the victim's servers", Duration::from_secs(300), || {
        victim.stdout_so_far().contains(" end\n") || victim.has_ended()
    });
    let out = victim.stdout_so_far();
    let Some((line, _)) = out
        .split_once("victim: ")
        .and_then(|(_, rest)| rest.split_once(" end\n"))
    else {
        panic!("the victim said {out}{}", victim.stderr_so_far());
    };
    let words: Vec<&str> = line.split(' ').collect();
    let [postgres, kafka, first, second] = words[..] else {
        panic!("the victim said {line}");
    };
    let pids = [postgres, kafka].map(|pid| pid.parse().unwrap());
    let directories = [first, second].map(Path::new);
    assert!(pids.iter().all(|&pid| is_alive(pid)));
    assert!(directories.iter().all(|directory| directory.exists()));

    victim.signal(Signal::KILL);

    wait::until("the servers to be gone", Duration::from_secs(60), || {
        !pids.iter().any(|&pid| is_alive(pid))
    });
    wait::until(
        "the directories to be gone",
        Duration::from_secs(60),
        || !directories.iter().any(|directory| directory.exists()),
    );
}

#[test]
fn the_victim() {
    // An ordinary run of all tests has nothing to do here.
    if env::var_os(VICTIM).is_none() {
        return;
    }
    let (postgres, kafka) = (shared::postgres(), shared::kafka(Version::V3_9));
    println!(
        "victim: {} {} {} {} end",
        postgres.pid().unwrap(),
        kafka.pid().unwrap(),
        postgres.socket_dir().display(),
        kafka.data_dir().display()
    );
    thread::park();
}
