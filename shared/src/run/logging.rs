//! Log lines on standard error: for people, or a JSON object a line.

use std::io::Write as _;

use env_logger::fmt::{Formatter, WriteStyle};
use log::kv::{self, VisitSource};
use log::{Log, Metadata, Record};

use super::progress::aside;
use crate::settings::{LogFormat, RunSettings};
use crate::words::{is_obeyed, printable};

/// Longest message shown, in bytes; what others send us may be of any length.
const MAX_MESSAGE: usize = 16 * 1024;

/// Libraries whose own lines repeat, in their words, what an error of ours says in one sentence.
/// `LOG_LEVEL=info,rdkafka=debug` brings them back.
const SILENT: &[&str] = &[
    "rdkafka",
    "librdkafka",
    "kafka",
    "ureq",
    "ureq_proto",
    "hickory_resolver",
    "hickory_proto",
    "tokio_postgres",
    "refinery_core",
];

pub(super) fn start(function: &'static str, settings: &RunSettings) {
    let format = settings.log_format;
    let mut builder = env_logger::Builder::new();
    for library in SILENT {
        builder.filter_module(library, log::LevelFilter::Off);
    }
    if !settings.colours {
        builder.write_style(WriteStyle::Never);
    }
    let logger = builder
        .parse_filters(&settings.log_level)
        .format(move |to, record| match format {
            LogFormat::Text => text(function, to, record),
            LogFormat::Json => json(function, to, record),
        })
        .build();
    let level = logger.filter();
    // Only a second start in one process fails, and then the first one's logger serves.
    if log::set_boxed_logger(Box::new(Aside(logger))).is_ok() {
        log::set_max_level(level);
    }
}

/// Log lines share the terminal with how far the run is.
struct Aside(env_logger::Logger);

impl Log for Aside {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.0.matches(record) {
            aside(|| self.0.log(record));
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn text(function: &str, to: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let style = to.default_level_style(record.level());
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    let level = record.level();
    let message = bounded(record.args().to_string());
    writeln!(to, "{now} {style}{level:<5}{style:#} {function}: {message}")
}

fn json(function: &str, to: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let mut fields = serde_json::Map::new();
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    fields.insert("time".to_owned(), now.to_string().into());
    fields.insert(
        "level".to_owned(),
        record.level().as_str().to_lowercase().into(),
    );
    fields.insert("function".to_owned(), function.into());
    fields.insert(
        "message".to_owned(),
        bounded(record.args().to_string()).into(),
    );
    if record.key_values().visit(&mut Fields(&mut fields)).is_err() {
        fields.insert("fields".to_owned(), "unreadable".into());
    }
    writeln!(to, "{}", serde_json::Value::Object(fields))
}

struct Fields<'a>(&'a mut serde_json::Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let value = if let Some(number) = value.to_u64() {
            number.into()
        } else if let Some(number) = value.to_i64() {
            number.into()
        } else if let Some(flag) = value.to_bool() {
            flag.into()
        } else {
            printable(&value.to_string()).into()
        };
        self.0.insert(key.as_str().to_owned(), value);
        Ok(())
    }
}

/// Cuts what is too long, and shows as escapes what a terminal would obey: it must not do what a
/// website or a message says. Line ends of ours (lists of problems) stay.
fn bounded(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push('…');
    }
    if message.chars().any(|c| is_obeyed(c) && c != '\n') {
        let lines: Vec<String> = message.split('\n').map(printable).collect();
        lines.join("\n")
    } else {
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_orders_and_lines_end() {
        assert_eq!(
            bounded("a\u{1b}[2Jb\nc\u{202e}\u{9b}".to_owned()),
            "a\\u{1b}[2Jb\nc\\u{202e}\\u{9b}"
        );
        assert!(bounded("é".repeat(MAX_MESSAGE)).len() <= MAX_MESSAGE + '…'.len_utf8());
    }
}
