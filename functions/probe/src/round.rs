//! One run: which sites, when, the checks, where the results went.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sitewatch::deny::DenyNetworks;
use sitewatch::run::{Failure, Progress, Run, Stop, Summary};
use sitewatch::site::Site;

use crate::canaries::Canaries;
use crate::check::Tools;
use crate::check::kernel::keep_noting;
use crate::check::pattern::Patterns;
use crate::check::tls::TlsContexts;
use crate::dns::Dns;
use crate::dry_run;
use crate::runtime::{Checks, Work};
use crate::schedule::{Due, Period, plan};
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::sink::Sink;
use crate::sites::{Loaded, load, ours, prepare};
use crate::summary::{Ended, summary};

/// How often the run looks whether it should end.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long publishing may go on after the last check, for a broker that is starting again. The
/// deadline may leave less.
const FLUSH: Duration = Duration::from_secs(30);
/// The same after a signal or the deadline: the scheduler's patience is short.
const FLUSH_STOPPED: Duration = Duration::from_millis(1_000);

/// Runs one round.
///
/// # Errors
/// When the sites cannot be read or results could go nowhere; nothing was checked then.
pub(crate) fn run(mut settings: Settings, run: &Run) -> Result<Summary, Failure> {
    let stop = run
        .stop
        .no_later_than(settings.deadline.map(|deadline| run.started + deadline));
    allow_open_files();
    let _noting = keep_noting();
    let source = std::mem::replace(
        &mut settings.sites,
        crate::settings::Source::List(Vec::new()),
    );
    let Loaded { sites, mut refused } = load(source)?;
    let tls = TlsContexts::new(settings.tls_directory.take());
    let Some(sink) = &settings.sink else {
        return dry_run::show(sites, refused, &settings, &tls);
    };
    let mut sites = ours(sites, settings.shard);
    prepare(&mut sites, &mut refused, &settings.secrets, &tls)?;
    let now = Timestamp::now().as_nanosecond();
    let due = due(&sites, &settings, period(&settings, now), now);
    let sink = Arc::new(Sink::open(sink, run, &sites, &stop)?);
    let progress = if sink.is_watched() {
        Progress::none()
    } else {
        Progress::new(run, "checks", due.len() as u64)
    };
    let dns = Arc::new(Dns::default());
    let canaries = Canaries::new(
        settings.canaries,
        Tools {
            dns: Arc::clone(&dns),
            tls: TlsContexts::default(),
            patterns: Patterns::default(),
            deny: DenyNetworks::default(),
            proxies: settings.proxies.clone(),
            secrets: Secrets::default(),
        },
    );
    let work = Work {
        tools: Tools {
            dns,
            tls,
            patterns: patterns(&sites),
            deny: settings.deny,
            proxies: settings.proxies,
            secrets: settings.secrets,
        },
        sites,
        due,
        canaries,
        sink: Arc::clone(&sink),
        location: settings.location,
    };
    let checks = Checks::begin(work, settings.concurrency)?;
    watch(&checks, &sink, progress, &stop);
    let found = checks.found();
    let delivered = sink.finish(Instant::now() + flush(&stop));
    Ok(summary(Ended {
        counters: found.counters,
        obstacle: found.obstacle,
        delivered,
        left: checks.left(),
        panicked: found.panicked,
        refused: refused.left_out(),
        stopped: stop.requested(),
        fail_on_down: settings.fail_on_down,
    }))
}

/// How long publishing may go on after the last check.
fn flush(stop: &Stop) -> Duration {
    match stop.requested() {
        Some(_) => FLUSH_STOPPED,
        None => stop
            .remaining()
            .unwrap_or(FLUSH)
            .clamp(FLUSH_STOPPED, FLUSH),
    }
}

/// The period of a run that starts now.
pub(crate) fn period(settings: &Settings, now: i128) -> Option<Period> {
    settings.period.map(|length| {
        let period = Period::of_run(now, length, settings.phase);
        let drift = period.drift(now);
        if drift > length / 4 {
            log::warn!(
                "started {drift:?} away from the nearest multiple of PROBE_PERIOD: set PROBE_PHASE to when the scheduler starts probe"
            );
        }
        period
    })
}

/// The checks of this run, in their order.
pub(crate) fn due(
    sites: &[Arc<Site>],
    settings: &Settings,
    period: Option<Period>,
    now: i128,
) -> Vec<Due> {
    let sites = sites.iter().map(|site| (site.name.as_str(), site.interval));
    plan(sites, period, settings.window, now)
}

/// Waits until all checks are over, or the run must end.
fn watch(checks: &Checks, sink: &Sink, mut progress: Progress, stop: &Stop) {
    while !checks.wait(POLL_INTERVAL) {
        if stop.requested().is_some() || sink.is_broken() {
            return checks.stop();
        }
        progress.at(|| checks.found().over);
    }
}

fn patterns(sites: &[Arc<Site>]) -> Patterns {
    Patterns::shared(sites.iter().flat_map(|site| {
        let expect = &site.expect;
        let headers = expect.headers.iter().map(|(_, pattern)| pattern);
        expect.regex.iter().chain(&expect.regex_not).chain(headers)
    }))
}

/// Each check under way needs a file descriptor, or two while it tries several addresses; the usual
/// soft limit is 1,024. The hard limit is what the operator means.
fn allow_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit {
            current: limit.maximum,
            ..limit
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            log::debug!(
                "the limit of open files stays at {:?}: {error}",
                limit.current
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishing_goes_on_for_as_long_as_the_deadline_leaves() {
        let due_in = |seconds| {
            Stop::never().no_later_than(Some(Instant::now() + Duration::from_secs(seconds)))
        };
        assert_eq!(flush(&Stop::never()), FLUSH);
        assert_eq!(flush(&due_in(3_600)), FLUSH);
        assert!(flush(&due_in(10)) <= Duration::from_secs(10));
        assert_eq!(flush(&due_in(0)), FLUSH_STOPPED);

        let asked = due_in(10);
        asked.request();
        assert_eq!(flush(&asked), FLUSH_STOPPED);
    }
}
