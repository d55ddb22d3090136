//! What makes servers and directories die with the test process, also when it is killed.
//!
//! One `sh` per test process reads the other end of a pipe that only we hold. While we live it only
//! keeps a list; when the pipe ends, because we returned, panicked, aborted or were killed, it ends
//! the servers and removes the directories that are still on the list. So statics, which Rust never
//! drops, are cleaned up as well. The kernel's parent-death signal would not do: it fires when the
//! *thread* that started the child ends, and every test is a thread.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{ChildStdin, Command, Stdio},
    sync::OnceLock,
};

use parking_lot::Mutex;

/// Reads `process PID SIGNAL`, `ended PID` and `directory PATH`. Servers lead a process group each;
/// one that does not follow its signal within five seconds is killed with its group.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
is_alive() {
    kill -s 0 "$1" || return 1
    # Dead, and waiting for an init that takes its time to count them.
    read -r stat <"/proc/$1/stat" && case $stat in *') Z '*) return 1 ;; esac
    return 0
}
processes=
while read -r verb rest; do
    case $verb in
    process) processes="$processes ${rest% *}:${rest#* }" ;;
    ended)
        kept=
        for process in $processes; do
            [ "${process%%:*}" = "$rest" ] || kept="$kept $process"
        done
        processes=$kept
        ;;
    directory) set -- "$@" "$rest" ;;
    esac
done
for process in $processes; do
    kill -s CONT "${process%%:*}"
    kill -s "${process##*:}" "${process%%:*}"
done
for process in $processes; do
    looks=0
    while is_alive "${process%%:*}" && [ $looks -lt 100 ]; do
        sleep 0.05
        looks=$((looks + 1))
    done
    kill -s KILL -- "-${process%%:*}"
done
for directory; do
    # Again, for what a dying process wrote in between.
    rm -rf -- "$directory" || { sleep 0.2; rm -rf -- "$directory"; }
done
"#;

/// How the watchdog ends a process that is left.
#[derive(Clone, Copy)]
pub(crate) enum Farewell {
    /// At once: nothing of the process is needed afterwards.
    Kill,
    /// SIGQUIT, PostgreSQL's immediate shutdown, which takes its own children and its shared
    /// memory with it.
    Quit,
}

/// From now on the process `pid`, which leads a process group, does not outlive us.
pub(crate) fn watch_process(pid: u32, farewell: Farewell) {
    let signal = match farewell {
        Farewell::Kill => "KILL",
        Farewell::Quit => "QUIT",
    };
    tell(&format!("process {pid} {signal}\n"));
}

/// The process `pid` has ended; its number may come to mean another.
pub(crate) fn forget_process(pid: u32) {
    tell(&format!("ended {pid}\n"));
}

/// From now on the directory at `path` does not outlive us.
pub(crate) fn watch_directory(path: &Path) {
    tell(&format!("directory {}\n", path.display()));
}

fn tell(line: &str) {
    static PIPE: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    PIPE.get_or_init(|| Mutex::new(start()))
        .lock()
        .write_all(line.as_bytes())
        .expect("the watchdog lives as long as we do");
}

fn start() -> ChildStdin {
    Command::new("sh")
        .args(["-c", SCRIPT, "sitewatch-watchdog"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        // Ctrl-C goes to the terminal's group; the watchdog has to survive it to clean up.
        .process_group(0)
        .spawn()
        .expect("start `sh` as the watchdog")
        .stdin
        .expect("its input is a pipe")
}
