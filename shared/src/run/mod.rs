//! What every function shares from its first line to its exit code: arguments, settings, logging,
//! signals, heartbeat, the summary. A function's `main` is one call of [`main`].

mod exit;
mod heartbeat;
mod logging;
mod progress;
mod stop;
mod summary;
mod watch;

pub use exit::{Exit, Failure};
pub use progress::{Progress, aside};
pub use stop::{Stop, Why};
pub use summary::Summary;

use std::ffi::OsString;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use watch::Watch;

use crate::settings::{Environment, LogFormat, Reader, RunSettings, Variable, help, man};

/// What a function says about itself.
pub struct Function {
    /// The executable's name, by which the catalogue of variables knows who reads them.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// The release, from the function's own crate.
    pub version: &'static str,
    /// The variable that says how long a run may take; `None`: a run ends by itself or on a signal.
    pub deadline: Option<&'static Variable>,
}

/// What the work is given besides its settings.
pub struct Run {
    /// When the process began.
    pub started: Instant,
    /// When to come to an end.
    pub stop: Stop,
    /// Whether what is said is for people.
    pub log_format: LogFormat,
    /// Whether a terminal gets colours.
    pub colours: bool,
}

/// Runs a function from its arguments to its exit code: reads the settings with `read`, does
/// `work`, tells how it went. All of that is done beside the thread that watches the time, so that
/// the run ends whatever it waits for.
pub fn main<S: Send + 'static>(
    function: &'static Function,
    read: impl FnOnce(&mut Reader) -> Option<S> + Send + 'static,
    work: impl FnOnce(S, &Run) -> Result<Summary, Failure> + Send + 'static,
) -> ExitCode {
    let started = Instant::now();
    if let Some(answered) = answer_arguments(function, std::env::args_os().skip(1)) {
        return answered.code().into();
    }
    let watch = Watch::new(function, started);
    let watched = Arc::clone(&watch);
    watch
        .until_done(move || whole(&watched, read, work))
        .code()
        .into()
}

/// A run, from its settings to its exit code.
fn whole<S: Send + 'static>(
    watch: &Watch,
    read: impl FnOnce(&mut Reader) -> Option<S>,
    work: impl FnOnce(S, &Run) -> Result<Summary, Failure>,
) -> Exit {
    let function = watch.function;
    let stop = Stop::on_signals();
    if let Ok(stop) = &stop {
        watch.obey(stop.clone());
    }
    let mut reader = Reader::new(function.name, Environment::of_this_process());
    watch.set_deadline(|variable| reader.text(variable).map(str::to_owned));
    let run_settings = RunSettings::read(&mut reader);
    logging::start(function.name, &run_settings);
    for warning in reader.take_warnings() {
        log::warn!("{warning}");
    }
    let settings = read(&mut reader);
    for warning in reader.take_warnings() {
        log::warn!("{warning}");
    }
    let heartbeat_url = run_settings.heartbeat_url.filter(|_| !reader.is_dry_run());
    let settings = match reader.finish(settings) {
        Ok(settings) => settings,
        Err(problems) => {
            log::error!("{}", Failure::from(problems));
            let exit = Exit::Configuration;
            log::error!(
                "see `{} --help` for every variable it reads (exit code {})",
                function.name,
                exit.code()
            );
            return exit;
        }
    };
    watch.announce(heartbeat_url);
    let outcome = stop
        .map_err(|error| Failure::InternalError(format!("no signal handler could be set: {error}")))
        .and_then(|stop| {
            let run = Run {
                started: watch.started,
                stop,
                log_format: run_settings.log_format,
                colours: run_settings.colours,
            };
            guarded(|| work(settings, &run))
        });
    // What panicked may have left its line on the terminal.
    progress::clear();
    let exit = match outcome {
        Ok(summary) => {
            summary.log(watch.started.elapsed());
            summary.exit
        }
        Err(failure) => {
            log::error!("{failure} (exit code {})", failure.exit().code());
            failure.exit()
        }
    };
    watch.report(exit);
    exit
}

/// `--help`, `--man`, `--version` and unknown arguments; `None` when there is nothing to answer.
fn answer_arguments(
    function: &Function,
    mut arguments: impl Iterator<Item = OsString>,
) -> Option<Exit> {
    let argument = arguments.next()?;
    let text = match argument.to_str() {
        Some("--help" | "-h") => help(function.name, function.about),
        Some("--man") => man(function.name, function.about, function.version),
        Some("--version" | "-V") => format!("{} {}\n", function.name, function.version),
        _ => {
            let mut stderr = std::io::stderr();
            // When even standard error is gone, the exit code is what is left to say it.
            drop(writeln!(
                stderr,
                "{name}: unknown argument {argument:?}; {name} is configured by environment variables, see `{name} --help`",
                name = function.name,
            ));
            return Some(Exit::Usage);
        }
    };
    // `probe --help | head` closes the pipe: that is no failure.
    drop(std::io::stdout().write_all(text.as_bytes()));
    Some(Exit::Done)
}

/// A panic is an internal error: said once, in one line, with its own exit code.
fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic
            .location()
            .map_or_else(String::new, |location| format!(" at {location}"));
        let text = panic.payload_as_str().unwrap_or("panic");
        log::error!("internal error{location}: {text}");
    }));
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Failure::InternalError("the run panicked".to_owned())))
}
