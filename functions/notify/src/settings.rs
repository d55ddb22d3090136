//! What `notify` reads from the environment.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sitewatch::settings::{DatabaseSettings, Reader, database, parse, var};

use crate::channel::Network;
use crate::routing::{Channel, channels};

/// Typed and valid.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Whom to tell; at least one.
    pub(crate) channels: Vec<Arc<Channel>>,
    /// How long the run may take before it leaves the rest to the next one.
    pub(crate) deadline: Duration,
    /// What is to be done.
    pub(crate) task: Task,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Task {
    /// Try every channel.
    Test,
    /// Tell what changed.
    Tell(Box<Telling>),
}

/// What decides what is told.
#[derive(Debug)]
pub(crate) struct Telling {
    pub(crate) database: DatabaseSettings,
    /// When what is told began, at the earliest; `None`: as [`var::NOTIFY_SINCE`] says.
    pub(crate) since: Option<Timestamp>,
    /// How long after it was told to remind; `None`: never.
    pub(crate) remind: Option<SignedDuration>,
    /// How long a site is up before its incident is over for good.
    pub(crate) flap_window: SignedDuration,
    /// The most sites that are told one by one; `None`: any number.
    pub(crate) group_over: Option<usize>,
    /// The label whose sites are told together; `None`: none is.
    pub(crate) group_by: Option<String>,
    /// Days left at which a certificate's expiry is told, the most first.
    pub(crate) certificate_days: Vec<i32>,
    /// How old a site's newest check may be.
    pub(crate) stale_after: Duration,
    /// How long what is not taken is tried again.
    pub(crate) give_up: Duration,
    /// Incidents that somebody looks after from now on.
    pub(crate) acknowledge: Vec<i64>,
    /// Whether only to say what would be done.
    pub(crate) is_dry_run: bool,
}

/// Reads them; `None` means that problems were added.
pub(crate) fn read(reader: &mut Reader) -> Option<Settings> {
    let network = Network::read(reader);
    let channels = whom(reader, &network);
    let deadline = reader.or_default(&var::NOTIFY_DEADLINE, parse::positive_duration);
    let is_dry_run = reader.or_default(&var::NOTIFY_DRY_RUN, parse::boolean);
    let is_test = reader.or_default(&var::NOTIFY_TEST, parse::boolean);
    if is_dry_run || is_test {
        reader.set_dry_run();
    }
    let telling = telling(reader, is_dry_run, is_test);
    Some(Settings {
        channels: channels?,
        deadline,
        task: if is_test {
            Task::Test
        } else {
            Task::Tell(Box::new(telling?))
        },
    })
}

fn whom(reader: &mut Reader, network: &Network) -> Option<Vec<Arc<Channel>>> {
    let Some(text) = reader.text(&var::NOTIFY_URLS) else {
        reader.missing(&var::NOTIFY_URLS);
        return None;
    };
    match channels(text, network) {
        Ok(channels) => Some(channels.into_iter().map(Arc::new).collect()),
        Err(problems) => {
            for problem in problems {
                reader.problem(var::NOTIFY_URLS.name, problem);
            }
            None
        }
    }
}

fn telling(reader: &mut Reader, is_dry_run: bool, is_test: bool) -> Option<Telling> {
    let now = Timestamp::now();
    let since = reader.optional(&var::NOTIFY_SINCE, |text| since(text, now));
    let remind = reader.optional(&var::NOTIFY_REMIND, |text| {
        signed(parse::positive_duration(text)?)
    });
    let flap_window = reader.or_default(&var::NOTIFY_FLAP_WINDOW, |text| {
        signed(parse::duration(text)?)
    });
    let group_over = reader.or_default(&var::NOTIFY_GROUP_OVER, parse::count(0, 1_000_000));
    let group_by = reader.optional(&var::NOTIFY_GROUP_BY, parse::text);
    let certificate_days = reader.or_default(&var::NOTIFY_CERTIFICATE_DAYS, days);
    let stale_after = reader.or_default(&var::NOTIFY_STALE_AFTER, parse::positive_duration);
    let give_up = reader.or_default(&var::NOTIFY_GIVE_UP, parse::positive_duration);
    let acknowledge = reader.optional(&var::NOTIFY_ACKNOWLEDGE, incidents);
    Some(Telling {
        // A test needs none, and must not fail for want of one.
        database: if is_test {
            return None;
        } else {
            database(reader)?
        },
        since,
        remind,
        flap_window,
        group_over: usize::try_from(group_over).ok().filter(|most| *most > 0),
        group_by,
        certificate_days,
        stale_after,
        give_up,
        acknowledge: acknowledge.unwrap_or_default(),
        is_dry_run,
    })
}

/// A time, or a duration before now.
fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    now.checked_sub(parse::duration(text)?)
        .map_err(|_| "too long ago".to_owned())
}

fn signed(duration: Duration) -> Result<SignedDuration, String> {
    SignedDuration::try_from(duration).map_err(|_| "too long".to_owned())
}

fn days(text: &str) -> Result<Vec<i32>, String> {
    let one = parse::count(1, 3_650);
    let mut days = text
        .split(',')
        .map(|days| Ok(i32::try_from(one(days)?).unwrap_or(i32::MAX)))
        .collect::<Result<Vec<_>, String>>()?;
    days.sort_unstable_by(|one, other| other.cmp(one));
    days.dedup();
    Ok(days)
}

fn incidents(text: &str) -> Result<Vec<i64>, String> {
    text.split(',')
        .map(|id| id.trim().parse().map_err(|_| String::new()))
        .collect()
}
