//! A process while it runs.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::{Finished, OnTerminal, terminal};
use crate::{
    directory::Directory,
    wait,
    watchdog::{self, Farewell},
};

/// A started process; dropping the handle kills it.
#[must_use]
pub struct Running {
    child: Child,
    started: Instant,
    timeout: Duration,
    stdout: Capture,
    stderr: Capture,
    /// Its working directory, when that is ours to remove.
    _directory: Option<Directory>,
}

impl Running {
    #[track_caller]
    pub(super) fn start(
        mut command: Command,
        stdin: Vec<u8>,
        timeout: Duration,
        directory: Option<Directory>,
        on_terminal: OnTerminal,
    ) -> Self {
        let stdout = on_terminal.stdout.then(|| {
            let (ours, theirs) = terminal::open(on_terminal.columns);
            command.stdout(theirs);
            ours
        });
        let stderr = on_terminal.stderr.then(|| {
            let (ours, theirs) = terminal::open(on_terminal.columns);
            command.stderr(theirs);
            ours
        });
        let started = Instant::now();
        let mut child = spawn(command.process_group(0))
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        watchdog::watch_process(child.id(), Farewell::Kill);
        let mut pipe = child.stdin.take().expect("its input is a pipe");
        // Of its own, because a process may not read; if it ends first, the rest goes nowhere.
        thread::spawn(move || pipe.write_all(&stdin).ok());
        let stdout = match stdout {
            Some(terminal) => Capture::start(terminal),
            None => Capture::start(child.stdout.take().expect("its output is a pipe")),
        };
        let stderr = match stderr {
            Some(terminal) => Capture::start(terminal),
            None => Capture::start(child.stderr.take().expect("its errors are a pipe")),
        };
        Self {
            child,
            started,
            timeout,
            stdout,
            stderr,
            _directory: directory,
        }
    }

    /// The process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; a process that has ended does not get it.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).ok();
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.status().is_some()
    }

    /// What it printed on standard output so far.
    pub fn stdout_so_far(&self) -> String {
        self.stdout.text()
    }

    /// What it printed on standard error so far.
    pub fn stderr_so_far(&self) -> String {
        self.stderr.text()
    }

    /// Waits until `part` was printed on standard error.
    ///
    /// # Panics
    /// When that does not happen before the timeout of the run.
    #[track_caller]
    pub fn wait_for_stderr(&self, part: &str) {
        let seen = wait::holds_within(self.timeout, || self.stderr_so_far().contains(part));
        assert!(
            seen,
            "waited {:?} in vain for {part:?} on stderr:\n{}",
            self.timeout,
            self.stderr_so_far()
        );
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end before the timeout of the run, with what it printed so far.
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        let status = self.status_within(self.timeout.saturating_sub(self.started.elapsed()));
        let elapsed = self.started.elapsed();
        let Some(status) = status else {
            panic!(
                "still running after {elapsed:?}\n--- stdout ---\n{}\n--- stderr ---\n{}",
                self.stdout.text(),
                self.stderr.text()
            );
        };
        Finished {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
            elapsed,
        }
    }

    fn status_within(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let mut status = None;
        wait::holds_within(timeout, || {
            status = self.status();
            status.is_some()
        });
        status
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .expect("our own child can be waited for")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status().is_none() {
            kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
            self.child.wait().ok();
        }
        watchdog::forget_process(self.child.id());
    }
}

/// A pipe, or a terminal, that is read as fast as it fills, so that the process never waits for us.
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    fn start(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                sink.lock().extend_from_slice(&buffer[..read]);
            }
        });
        Self {
            bytes,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// All of it, once the process has ended.
    fn finish(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading a pipe does not panic");
        }
        self.text()
    }
}

/// Starts it. A program that a test has just written may be open for writing still: a process that another
/// thread starts meanwhile has all our files until it runs its own program.
fn spawn(command: &mut Command) -> io::Result<Child> {
    let end = Instant::now() + wait::SOON;
    loop {
        match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < end => {
                thread::sleep(wait::BETWEEN_LOOKS);
            }
            spawned => return spawned,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_program_that_is_open_for_writing_still_is_started_once_it_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let open = File::options().append(true).open(&program).unwrap();
        let busy = Command::new(&program).spawn().unwrap_err();
        assert_eq!(busy.kind(), ErrorKind::ExecutableFileBusy);
        let closing = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            drop(open);
        });
        let ended = spawn(&mut Command::new(&program)).unwrap().wait().unwrap();
        assert!(ended.success());
        closing.join().unwrap();
    }
}
