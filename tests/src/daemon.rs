//! A server process of ours: its log, its signals, its end.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{
    wait,
    watchdog::{self, Farewell},
};

/// Enough of a log to hold a Java stack trace and what led to it.
const TAIL_LINES: usize = 40;

/// A running server. Killed on drop.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command` as the leader of its own process group, with its output appended to `log`.
    pub(crate) fn start(command: &mut Command, log: &Path, farewell: Farewell) -> io::Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()?;
        watchdog::watch_process(child.id(), farewell);
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .expect("our own child can be waited for")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // A process that is gone already needs no signal.
        kill_process(pid(&self.child), signal).ok();
    }

    /// Asks it to end with `signal` and waits; kills it when `timeout` runs out. Returns whether it
    /// ended by itself.
    pub(crate) fn stop(mut self, signal: Signal, timeout: Duration) -> bool {
        self.signal(Signal::CONT);
        self.signal(signal);
        wait::holds_within(timeout, || self.ended().is_some())
    }

    pub(crate) fn log_tail(&self) -> String {
        log_tail(&self.log)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.ended().is_none() {
            kill_process_group(pid(&self.child), Signal::KILL).ok();
            self.child.wait().ok();
        }
        watchdog::forget_process(self.child.id());
    }
}

/// The end of a log; the reason why there is none, if there is none.
pub(crate) fn log_tail(log: &Path) -> String {
    let bytes = match fs::read(log) {
        Ok(bytes) => bytes,
        Err(error) => return format!("(no log at {}: {error})", log.display()),
    };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}
