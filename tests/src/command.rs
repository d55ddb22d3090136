//! Running the project's own executables, as a scheduler would: an environment, a working directory,
//! and what comes out.
//!
//! ```no_run
//! use sitewatch_tests::command::Run;
//!
//! Run::probe().var("KAFKA_BROKERS", "nowhere").run().exits(78).stdout_is("");
//! ```

mod build;
mod finished;
mod running;
mod terminal;

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

pub use finished::Finished;
pub use running::Running;
pub use rustix::process::Signal;
pub use terminal::screen;

use crate::{clock, directory::Directory};

/// Nothing the functions are asked to do in a test takes this long on any machine: who is here then
/// hangs.
const TIMEOUT: Duration = Duration::from_secs(180);

/// What a process is started with besides the variables of the test.
const INHERITED: [&str; 3] = ["PATH", "HOME", "TMPDIR"];

/// Where OpenSSL finds the system's CA certificates: nowhere. Reading them takes 45 ms of CPU, nine
/// tenths of a short run whose database offers TLS; what a test trusts, it names.
const CA_CERTIFICATES: (&str, &str) = ("SSL_CERT_FILE", "/dev/null");

/// One run of an executable, to be told more and then started.
///
/// Its environment is empty but for PATH, HOME, TMPDIR, none of the system's CA certificates and what
/// the test gives; its working directory is empty unless the test names one, so that no `.env` is
/// found by chance.
#[must_use]
pub struct Run {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    stdin: Vec<u8>,
    timeout: Duration,
    inherits: bool,
    user: Option<u32>,
    on_terminal: OnTerminal,
    clock: Option<String>,
}

/// Which of a process's outputs are a terminal each; the others are pipes.
#[derive(Clone, Copy, Default)]
struct OnTerminal {
    stdout: bool,
    stderr: bool,
    columns: Option<u16>,
}

impl Run {
    /// A run of `probe`.
    pub fn probe() -> Self {
        Self::function("probe")
    }

    /// A run of `drain`.
    pub fn drain() -> Self {
        Self::function("drain")
    }

    /// A run of `setup`.
    pub fn setup() -> Self {
        Self::function("setup")
    }

    /// A run of `maintain`.
    pub fn maintain() -> Self {
        Self::function("maintain")
    }

    /// A run of `report`.
    pub fn report() -> Self {
        Self::function("report")
    }

    /// A run of `notify`.
    pub fn notify() -> Self {
        Self::function("notify")
    }

    /// A run of the function in `functions/NAME`, built from the sources as they are now.
    ///
    /// # Panics
    /// When the functions do not compile, or there is none of that name.
    pub fn function(name: &str) -> Self {
        Self::program(build::executable(name))
    }

    /// A run of any program.
    pub fn program(path: impl Into<PathBuf>) -> Self {
        Self {
            program: path.into(),
            arguments: Vec::new(),
            variables: Vec::new(),
            directory: None,
            stdin: Vec::new(),
            timeout: TIMEOUT,
            inherits: true,
            user: None,
            on_terminal: OnTerminal::default(),
            clock: None,
        }
    }

    /// The program that will run, for those who start it through another one.
    pub fn executable(&self) -> &Path {
        &self.program
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// One more environment variable. Takes bytes that are not UTF-8 as well.
    pub fn var(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// More environment variables.
    pub fn vars<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        pairs
            .into_iter()
            .fold(self, |run, (name, value)| run.var(name, value))
    }

    /// Starts in this directory rather than in an empty one.
    pub fn in_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// With the variables of the test and no other: not even PATH.
    pub fn bare(mut self) -> Self {
        self.inherits = false;
        self
    }

    /// As another user, in the group of the same number and no other. Only root can: for anyone
    /// else this changes nothing.
    pub fn as_user(mut self, user: u32) -> Self {
        self.user = rustix::process::geteuid().is_root().then_some(user);
        self
    }

    /// With a terminal for its standard output; [`screen`] shows what a person would see on it.
    pub fn stdout_on_terminal(mut self) -> Self {
        self.on_terminal.stdout = true;
        self.var("TERM", "xterm")
    }

    /// With a terminal for its standard error, another one than that for its output.
    pub fn stderr_on_terminal(mut self) -> Self {
        self.on_terminal.stderr = true;
        self.var("TERM", "xterm")
    }

    /// With a clock that is wrong by so much: `+100d`, `-2h`.
    pub fn clock(mut self, off: &str) -> Self {
        self.clock = Some(off.to_owned());
        self
    }

    /// How wide its terminals are.
    pub fn columns(mut self, columns: u16) -> Self {
        self.on_terminal.columns = Some(columns);
        self
    }

    /// What the process reads from its standard input, which then ends.
    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = text.into();
        self
    }

    /// How long the run may take before the test fails; three minutes unless told otherwise.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts the process and waits for its end.
    ///
    /// # Panics
    /// When it does not end in time, with what it printed so far.
    #[track_caller]
    pub fn run(self) -> Finished {
        self.spawn().wait()
    }

    /// Starts the process and lets it run; dropping the handle kills it.
    #[track_caller]
    pub fn spawn(self) -> Running {
        let empty = self
            .directory
            .is_none()
            .then(|| Directory::new("run").expect("make an empty working directory"));
        let directory = self
            .directory
            .as_deref()
            .or(empty.as_ref().map(Directory::path))
            .expect("one of the two is there");
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(directory)
            .env_clear()
            .envs(
                INHERITED
                    .iter()
                    .filter(|_| self.inherits)
                    .filter_map(|&name| Some((name, env::var_os(name)?))),
            )
            .envs(self.inherits.then_some(CA_CERTIFICATES))
            .envs(self.variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        if let Some(off) = &self.clock {
            let empty = empty
                .as_ref()
                .expect("a wrong clock needs the directory of the run's own");
            let file = empty.join(".clock");
            std::fs::write(&file, off).expect("write how wrong the clock is");
            clock::give(&mut command, &file);
        }
        Running::start(command, self.stdin, self.timeout, empty, self.on_terminal)
    }
}
