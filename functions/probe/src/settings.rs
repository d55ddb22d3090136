//! What `probe` reads from the environment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sitewatch::deny::DenyNetworks;
use sitewatch::settings::{
    DatabaseSettings, Reader, SiteSource, check_defaults, database, parse, site_source, var,
};
use sitewatch::site::{Site, SiteDefaults, parse_list};
use sitewatch::words::is_blank;
use sitewatch_kafka::KafkaSettings;

use crate::canaries::{self, Canary};
use crate::proxy::{NoProxy, Proxies, Via};
use crate::secrets::Secrets;
use crate::sink::Spool;

/// Typed and valid.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) sites: Source,
    pub(crate) secrets: Secrets,
    /// Where the files are that sites name in their TLS settings; `None`: they can name none.
    pub(crate) tls_directory: Option<PathBuf>,
    /// `None`: nothing is checked, only said what would be.
    pub(crate) sink: Option<SinkSettings>,
    /// Part of every result.
    pub(crate) location: String,
    /// The most checks under way at once.
    pub(crate) concurrency: usize,
    /// How often the scheduler starts us; `None`: every site is due in every run.
    pub(crate) period: Option<Duration>,
    /// How long after each multiple of the period.
    pub(crate) phase: Duration,
    /// How long the run lives to check sites at their own interval; `None`: each once.
    pub(crate) window: Option<Duration>,
    /// Which share of the sites is ours, and of how many.
    pub(crate) shard: (u32, u32),
    /// When to stop, from the start; `None`: when all is done.
    pub(crate) deadline: Option<Duration>,
    /// What is there whenever our uplink is; empty: nothing is known of it.
    pub(crate) canaries: Vec<Canary>,
    pub(crate) deny: DenyNetworks,
    pub(crate) proxies: Proxies,
    pub(crate) fail_on_down: bool,
}

/// Where the sites are, read as far as that needs no database.
#[derive(Debug)]
pub(crate) enum Source {
    /// Read and valid.
    List(Vec<Arc<Site>>),
    /// In the table `websites`.
    Database(Box<DatabaseSettings>, Box<SiteDefaults>),
}

/// Where results go.
#[derive(Debug)]
pub(crate) enum SinkSettings {
    /// JSON lines.
    Stdout,
    /// The topic.
    Kafka {
        kafka: Box<KafkaSettings>,
        /// Where results are kept while Kafka is away; `None`: nowhere.
        spool: Option<Spool>,
    },
}

/// Reads them; `None` means that problems were added.
pub(crate) fn read(reader: &mut Reader) -> Option<Settings> {
    let defaults = check_defaults(reader);
    let secrets = Secrets::new(
        reader.take_site_secrets(),
        reader.optional(&var::SITES_SECRETS_DIR, parse::path),
    );
    let tls_directory = reader.optional(&var::SITES_TLS_DIR, parse::path);
    let canaries = reader
        .optional(&var::PROBE_CANARIES, |text| {
            canaries::parse(text, &defaults)
        })
        .unwrap_or_default();
    let sites = sites(reader, defaults);
    let concurrency = reader.or_default(&var::CHECK_CONCURRENCY, parse::count(1, 20_000));
    let to_stdout = reader.decisive(
        &var::PROBE_SINK,
        parse::word(&[("kafka", false), ("stdout", true)]),
    );
    let location = reader.or_default(&var::PROBE_LOCATION, location);
    let period = reader.optional(&var::PROBE_PERIOD, at_least_a_second);
    let phase = reader.or_default(&var::PROBE_PHASE, parse::duration);
    let window = reader.optional(&var::PROBE_WINDOW, at_least_a_second);
    if let (Some(period), Some(window)) = (period, window)
        && window > period
    {
        reader.problem(
            var::PROBE_WINDOW.name,
            format!("is {window:?}, longer than PROBE_PERIOD ({period:?}): runs would do each other's work"),
        );
    }
    let shard = shard(reader);
    let deadline = reader.optional(&var::PROBE_DEADLINE, parse::positive_duration);
    let dry_run = reader.or_default(&var::PROBE_DRY_RUN, parse::boolean);
    let deny = reader
        .optional(&var::PROBE_DENY_NETWORKS, DenyNetworks::parse)
        .unwrap_or_default();
    let via = |text: &str| Via::parse(text, true);
    let any = reader.optional(&var::ALL_PROXY, via);
    let proxies = Proxies {
        http: reader
            .optional(&var::HTTP_PROXY, via)
            .or_else(|| any.clone()),
        https: reader.optional(&var::HTTPS_PROXY, via).or(any),
        except: reader
            .optional(&var::NO_PROXY, |text| Ok(NoProxy::parse(text)))
            .unwrap_or_default(),
    };
    let fail_on_down = reader.or_default(&var::PROBE_FAIL_ON_DOWN, parse::boolean);
    let sink = if dry_run {
        reader.set_dry_run();
        None
    } else {
        let spool = spool(reader);
        Some(if to_stdout? {
            SinkSettings::Stdout
        } else {
            SinkSettings::Kafka {
                kafka: Box::new(KafkaSettings::read(reader)?),
                spool,
            }
        })
    };
    Some(Settings {
        sites: sites?,
        secrets,
        tls_directory,
        sink,
        location,
        concurrency: usize::try_from(concurrency).unwrap_or(1),
        period,
        phase,
        window,
        shard: shard?,
        deadline,
        canaries,
        deny,
        proxies,
        fail_on_down,
    })
}

fn sites(reader: &mut Reader, defaults: SiteDefaults) -> Option<Source> {
    match site_source(reader)? {
        SiteSource::List { on, text } => match parse_list(&text, &defaults) {
            Ok(sites) => Some(Source::List(sites)),
            Err(problems) => {
                SiteSource::blame(&on, &problems, reader);
                None
            }
        },
        SiteSource::Database => database(reader)
            .map(|settings| Source::Database(Box::new(settings), Box::new(defaults))),
        SiteSource::Unset => {
            reader.absence(
                "none of SITES, SITES_FILE and SITES_FROM is set: there is nothing to check; for example SITES=https://example.org",
            );
            None
        }
    }
}

fn location(text: &str) -> Result<String, String> {
    if text.chars().count() > sitewatch::event::MAX_LOCATION {
        return Err("too long".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("contains a control character".to_owned());
    }
    if is_blank(text) {
        return Err("nothing of it can be seen".to_owned());
    }
    Ok(text.to_owned())
}

fn at_least_a_second(text: &str) -> Result<Duration, String> {
    match parse::duration(text)? {
        duration if duration < Duration::from_secs(1) => Err("less than 1s".to_owned()),
        duration => Ok(duration),
    }
}

fn shard(reader: &mut Reader) -> Option<(u32, u32)> {
    let small = |count| u32::try_from(count).unwrap_or(u32::MAX);
    let count = small(reader.or_default(&var::PROBE_SHARD_COUNT, parse::count(1, 10_000)));
    let index = small(reader.or_default(&var::PROBE_SHARD_INDEX, parse::count(0, 9_999)));
    // A Job completes with an index also where nobody asked for shards.
    let given = reader.is_set(&var::PROBE_SHARD_COUNT);
    if index < count {
        return Some((index, count));
    }
    let hint = if given {
        ""
    } else {
        "; PROBE_SHARD_COUNT is not set"
    };
    reader.problem(
        var::PROBE_SHARD_INDEX.name,
        format!(
            "is {index}; wants a number from 0 to {} (PROBE_SHARD_COUNT is {count}){hint}",
            count - 1
        ),
    );
    None
}

fn spool(reader: &mut Reader) -> Option<Spool> {
    let capacity = reader.or_default(&var::PROBE_SPOOL_MAX, parse::size);
    let directory = reader.optional(&var::PROBE_SPOOL_DIR, parse::path)?;
    match Spool::open(directory.clone(), capacity) {
        Ok(spool) => Some(spool),
        Err(error) => {
            reader.problem(
                var::PROBE_SPOOL_DIR.name,
                format!("is {directory:?}, which cannot be written to: {error}"),
            );
            None
        }
    }
}
