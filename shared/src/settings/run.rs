//! What every function reads about itself.

use secrecy::SecretString;

use super::{Reader, parse, var};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Logging, the look of what is said on a terminal, heartbeat.
#[derive(Debug)]
pub struct RunSettings {
    /// Which messages are shown: a level, or directives as in `RUST_LOG`.
    pub log_level: String,
    /// How they look.
    pub log_format: LogFormat,
    /// Whether a terminal gets colours.
    pub colours: bool,
    /// Where to say that the run started and ended. The address of a check is a secret: who knows
    /// it can report success in our name.
    pub heartbeat_url: Option<SecretString>,
}

impl RunSettings {
    /// Reads them. Never fails: logging must work to tell of the problems found.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            log_level: reader.or_default(&var::LOG_LEVEL, log_level),
            log_format: reader.or_default(
                &var::LOG_FORMAT,
                parse::word(&[("text", LogFormat::Text), ("json", LogFormat::Json)]),
            ),
            colours: !reader.is_set(&var::NO_COLOR),
            heartbeat_url: reader.optional(&var::HEARTBEAT_URL, |text| {
                match url::Url::parse(text) {
                    Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text.into()),
                    _ => Err(String::new()),
                }
            }),
        }
    }
}

/// Checked here because the logging library passes over what it does not understand in silence.
fn log_level(text: &str) -> Result<String, String> {
    for directive in text.split(',') {
        let level = directive.rsplit('=').next().unwrap_or(directive).trim();
        if level.parse::<log::LevelFilter>().is_err() {
            return Err(format!("{level:?} is no level"));
        }
    }
    Ok(text.to_owned())
}
