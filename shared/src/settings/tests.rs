//! What a person is told about a wrong environment, word for word.

use std::ffi::OsString;
use std::path::Path;

use super::*;

fn reader_in(directory: &Path, pairs: &[(&str, &str)]) -> Reader {
    Reader::new(
        "setup",
        Environment::from_pairs(
            pairs
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value))),
            directory,
        ),
    )
}

fn reader(pairs: &[(&str, &str)]) -> Reader {
    reader_in(Path::new("/nonexistent"), pairs)
}

/// Reads database and run settings and returns the problems as lines.
fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
    let mut reader = reader(pairs);
    RunSettings::read(&mut reader);
    let settings = database(&mut reader);
    match reader.finish(settings) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.list().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    assert_eq!(
        problems(&[
            ("LOG_FORMAT", "xml"),
            ("DATABASE_CONNECT_TIMEOUT", "soon"),
            ("DATABASE_URL", "mysql://u:hunter2@h/d"),
            ("DATABASE_CA_FILE", "/nonexistent/ca.pem"),
        ]),
        [
            "LOG_FORMAT is \"xml\"; wants text or json, for example json",
            "DATABASE_URL does not fit; wants a PostgreSQL connection URL or string, for example postgres://sitewatch:secret@localhost:5432/sitewatch",
            "DATABASE_CA_FILE is \"/nonexistent/ca.pem\", which cannot be read: No such file or directory (os error 2)",
            "DATABASE_CONNECT_TIMEOUT is \"soon\"; wants a duration, for example 10s",
        ]
    );
}

#[test]
fn empty_means_not_set_and_other_names_are_taken() {
    let mut reader = reader(&[
        ("KAFKA_BROKERS", ""),
        ("KAFKA_ENDPOINT", "kafka.example:12345"),
        ("POSTGRES_ENDPOINT", "postgres://u@h/d"),
    ]);
    assert_eq!(
        reader.text(&var::KAFKA_BROKERS),
        Some("kafka.example:12345")
    );
    let database = database(&mut reader).expect("the database is named");
    assert_eq!(database.config.get_user(), Some("u"));
}

#[test]
fn the_parts_of_an_address_do_as_well_as_the_whole() {
    let mut reader = reader(&[
        ("PGHOST", "db.example"),
        ("DATABASE_PORT", "6432"),
        ("DATABASE_USER", "u"),
        ("PGPASSWORD", "hunter2"),
        ("DATABASE_DB", "d"),
        ("PGSSLMODE", "verify-full"),
    ]);
    let database = database(&mut reader).expect("host and user are named");
    assert_eq!(database.config.get_ports(), [6432]);
    assert_eq!(database.config.get_dbname(), Some("d"));
    assert_eq!(database.config.get_password(), Some(&b"hunter2"[..]));
    assert_eq!(database.ssl_mode, SslMode::VerifyFull);
}

#[test]
fn no_secret_is_shown() {
    let mut reader = reader(&[
        ("DATABASE_URL", "postgres://u:hunter2@h/d"),
        ("HEARTBEAT_URL", "https://hc.example/hunter2"),
    ]);
    let shown = format!(
        "{:?} {:?}",
        RunSettings::read(&mut reader),
        database(&mut reader)
    );
    assert!(shown.contains("DatabaseSettings"));
    assert!(!shown.contains("hunter2"), "{shown}");

    let shown = problems(&[
        ("HEARTBEAT_URL", "hunter2"),
        ("DATABASE_URL", "postgres://u:hunter2@h:port/d"),
    ]);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(!shown.join("").contains("hunter2"), "{shown:?}");
}

#[test]
fn secrets_come_from_files_and_from_one_place_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("url");
    std::fs::write(&path, "postgres://u:p@h/d\n").unwrap();
    let path = path.to_str().unwrap();
    let mut good = reader(&[("DATABASE_URL_FILE", path)]);
    assert!(database(&mut good).is_some());

    let shown = problems(&[
        ("DATABASE_URL_FILE", path),
        ("DATABASE_URL", "postgres://u@h/d"),
        ("HEARTBEAT_URL_FILE", "/nonexistent/url"),
    ]);
    assert!(
        shown.contains(
            &"DATABASE_URL and DATABASE_URL_FILE are both set; keep one of them".to_owned()
        ),
        "{shown:?}"
    );
    assert!(
        shown.contains(&"HEARTBEAT_URL_FILE names \"/nonexistent/url\", which cannot be read: No such file or directory (os error 2)".to_owned()),
        "{shown:?}"
    );
}

#[test]
fn the_env_file_gives_way_to_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join(".env"),
        "KAFKA_TOPIC=from-file\nKAFKA_BROKERS=file:1\n# a comment\n",
    )
    .unwrap();
    let reader = reader_in(directory.path(), &[("KAFKA_BROKERS", "process:1")]);
    assert_eq!(reader.text(&var::KAFKA_TOPIC), Some("from-file"));
    assert_eq!(reader.text(&var::KAFKA_BROKERS), Some("process:1"));

    std::fs::write(
        directory.path().join(".env"),
        "DATABASE_PASSWD=hunter2 with spaces\n",
    )
    .unwrap();
    let broken = reader_in(directory.path(), &[]);
    let problems = broken.finish(None::<()>).unwrap_err();
    let text = problems.list()[0].to_string();
    assert!(
        text.contains("NAME=value") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn slips_of_the_pen_are_warned_of_and_kubernetes_is_not() {
    let mut reader = reader(&[
        ("KAFKA_BROKER", "k:1"),
        ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
        ("KAFKA_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(
        reader.take_warnings(),
        ["KAFKA_BROKER is not a variable of ours; did you mean KAFKA_BROKERS?"]
    );
}

#[cfg(unix)]
#[test]
fn bad_utf8_is_a_problem_only_where_it_matters() {
    use std::os::unix::ffi::OsStringExt as _;
    let bad = || OsString::from_vec(vec![0xff]);
    let environment = Environment::from_pairs(
        [("OTHER".into(), bad()), ("KAFKA_TOPIC".into(), bad())],
        Path::new("/nonexistent"),
    );
    let problems = Reader::new("setup", environment)
        .finish(None::<()>)
        .unwrap_err();
    assert_eq!(problems.list().len(), 1);
    assert_eq!(problems.list()[0].to_string(), "KAFKA_TOPIC is not UTF-8");
}

#[test]
fn names_are_upper_case_and_unique_and_examples_are_given() {
    let mut seen = std::collections::BTreeSet::new();
    for variable in ALL {
        assert!(
            seen.insert(variable.name),
            "{} is there twice",
            variable.name
        );
        for alias in variable.aliases {
            assert!(seen.insert(alias), "{alias} is there twice");
        }
        for text in [variable.wants, variable.example, variable.help] {
            assert!(!text.is_empty(), "{} is not documented", variable.name);
        }
        assert!(
            variable
                .name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit()),
            "{}",
            variable.name
        );
    }
}
