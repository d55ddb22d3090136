//! `PROBE_DRY_RUN`: which sites are due in this run, when and why, without a check.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sitewatch::run::{Exit, Failure, Summary};
use sitewatch::site::Site;
use sitewatch::units::counted;
use sitewatch::words::printable;

use crate::check::tls::TlsContexts;
use crate::round::{due, period};
use crate::schedule::{Period, in_shard, next_slot};
use crate::settings::Settings;
use crate::sites::{Refused, ours, prepare};

/// Says what a run that starts now would do.
///
/// # Errors
/// What would stop that run before its first check: secrets and files that are not there.
pub(crate) fn show(
    sites: Vec<Arc<Site>>,
    mut refused: Refused,
    settings: &Settings,
    tls: &TlsContexts,
) -> Result<Summary, Failure> {
    let now = Timestamp::now();
    let (index, count) = settings.shard;
    let all = sites.len();
    let disabled: Vec<String> = sites
        .iter()
        .filter(|site| !site.enabled && in_shard(&site.name, index, count))
        .map(|site| site.name.clone())
        .collect();
    let mut sites = ours(sites, settings.shard);
    let elsewhere = all - sites.len() - disabled.len();
    prepare(&mut sites, &mut refused, &settings.secrets, tls)?;

    let period = period(settings, now.as_nanosecond());
    let run = This {
        now,
        period,
        window: settings.window,
    };
    let due = due(&sites, settings, period, now.as_nanosecond());
    // Of each site that is due, when first and how often.
    let mut checks: BTreeMap<usize, (Duration, usize)> = BTreeMap::new();
    for due in &due {
        checks.entry(due.site).or_insert((due.after, 0)).1 += 1;
    }

    let text = table(&sites, &disabled, &checks, &run);
    // A reader that has seen enough is no failure.
    drop(std::io::stdout().write_all(text.as_bytes()));

    let mut parts = vec![format!(
        "{} of {} due",
        counted(due.len() as u64, "check", "checks"),
        counted(checks.len() as u64, "site", "sites")
    )];
    let not_due = sites.len() - checks.len();
    for (number, what) in [
        (not_due, "not due".to_owned()),
        (disabled.len(), "disabled".to_owned()),
        (
            elsewhere,
            format!("of other shards than {index} of {count}"),
        ),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    let refused = refused.left_out();
    if refused > 0 {
        let sites = counted(refused as u64, "site", "sites");
        parts.push(format!("{sites} of the table cannot be checked"));
    }
    let exit = if refused > 0 {
        Exit::Configuration
    } else {
        Exit::Done
    };
    let summary = Summary::done(
        format!("dry run: {}, nothing checked", parts.join(", ")),
        vec![
            ("checks_due", due.len() as u64),
            ("sites_due", checks.len() as u64),
            ("not_due", not_due as u64),
            ("disabled", disabled.len() as u64),
            ("other_shards", elsewhere as u64),
            ("refused", refused as u64),
        ],
    );
    Ok(summary.exiting(exit))
}

/// A line for each site: whether it is due, when and how often, and why.
fn table(
    sites: &[Arc<Site>],
    disabled: &[String],
    checks: &BTreeMap<usize, (Duration, usize)>,
    run: &This,
) -> String {
    let names = sites.iter().map(|site| site.name.as_str());
    let names = names.chain(disabled.iter().map(String::as_str));
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = format!(
        "{:>8} {:>6} {:>8}  {:<width$}  why\n",
        "due", "checks", "interval", "site"
    );
    let mut line = |due: &str, checks: usize, interval: &str, name: &str, why: &str| {
        let name = printable(name);
        text.push_str(&format!(
            "{due:>8} {checks:>6} {interval:>8}  {name:<width$}  {why}\n"
        ));
    };
    for (number, site) in sites.iter().enumerate() {
        let (first, checks) = checks.get(&number).copied().unwrap_or_default();
        let due = match checks {
            0 => "no".to_owned(),
            _ if first.is_zero() => "now".to_owned(),
            _ => format!("in {:.1}s", first.as_secs_f64()),
        };
        let interval = written(site.interval);
        line(&due, checks, &interval, &site.name, &run.why(site, checks));
    }
    for name in disabled {
        line("no", 0, "", name, "disabled");
    }
    text
}

/// What the run is, as far as that decides which sites are due.
struct This {
    now: Timestamp,
    period: Option<Period>,
    window: Option<Duration>,
}

impl This {
    /// Why a site is due this often.
    fn why(&self, site: &Site, checks: usize) -> String {
        let mut why = match (self.period, self.window) {
            (None, None) => "every site is due in every run: PROBE_PERIOD is not set".to_owned(),
            (None, Some(window)) => {
                format!(
                    "every {} for PROBE_WINDOW, {}",
                    written(site.interval),
                    written(window)
                )
            }
            (Some(period), window) => {
                let slot = time(next_slot(&site.name, site.interval, period.from));
                let (from, until) = (time(period.from), time(period.until));
                match (checks, window) {
                    (0, _) => format!("its next check, {slot}, is after this run's period"),
                    (_, None) => {
                        format!("its check of {slot} is in this run's period, {from} to {until}")
                    }
                    (_, Some(window)) => format!(
                        "every {} from {slot} in this run's period, {from} to {until}, within PROBE_WINDOW, {}",
                        written(site.interval),
                        written(window)
                    ),
                }
            }
        };
        if site
            .maintenance
            .iter()
            .any(|window| window.contains(self.now))
        {
            why.push_str("; in maintenance, so checked but not counted");
        }
        why
    }
}

/// A moment, to the second.
fn time(nanoseconds: i128) -> String {
    Timestamp::from_nanosecond(nanoseconds).map_or_else(
        |_| "beyond all calendars".to_owned(),
        |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

/// A duration in the notation of the settings.
fn written(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.subsec_nanos() > 0 || seconds == 0 {
        return format!("{duration:?}");
    }
    [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
        .into_iter()
        .find(|(unit, _)| seconds.is_multiple_of(*unit))
        .map_or_else(
            || format!("{seconds}s"),
            |(unit, letter)| format!("{}{letter}", seconds / unit),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_settings_are() {
        for (milliseconds, text) in [
            (1_500, "1.5s"),
            (10_000, "10s"),
            (60_000, "1m"),
            (90_000, "90s"),
            (7_200_000, "2h"),
            (86_400_000, "1d"),
        ] {
            assert_eq!(written(Duration::from_millis(milliseconds)), text);
        }
    }
}
