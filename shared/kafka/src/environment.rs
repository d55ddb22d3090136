//! How to reach Kafka, from the environment.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use sitewatch::settings::{Reader, Variable, parse, var};

use super::{Client, KafkaSettings, Mechanism, Protocol, Sasl, Security};

/// The port of a broker that is named without one.
const DEFAULT_PORT: u16 = 9092;

impl KafkaSettings {
    /// Reads how to reach Kafka. `None` means that problems were added.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let brokers = reader.required(&var::KAFKA_BROKERS, brokers);
        let topic = reader.or_default(&var::KAFKA_TOPIC, topic);
        let client_id = reader.or_default(&var::KAFKA_CLIENT_ID, parse::text);
        let group_id = reader.or_default(&var::KAFKA_GROUP_ID, parse::text);
        let client = reader.or_default(
            &var::KAFKA_CLIENT,
            parse::word(&[("rdkafka", Client::Rdkafka), ("kafka", Client::Kafka)]),
        );
        let connect_timeout = reader.or_default(&var::KAFKA_TIMEOUT, parse::positive_duration);
        let options = reader
            .optional(&var::KAFKA_OPTIONS, options)
            .unwrap_or_default();
        if client == Client::Kafka && !options.is_empty() {
            reader.problem(
                var::KAFKA_OPTIONS.name,
                "are librdkafka's settings, which KAFKA_CLIENT=kafka does not know; remove one of the two",
            );
        }
        let security = security(reader, client);
        Some(Self {
            client,
            brokers: brokers?,
            topic,
            client_id,
            group_id,
            security,
            connect_timeout,
            options,
        })
    }
}

fn security(reader: &mut Reader, client: Client) -> Security {
    // Who names each file needs no directory. Under systemd the one that cron reads is closed.
    let files = [
        &var::KAFKA_CA_FILE,
        &var::KAFKA_CERT_FILE,
        &var::KAFKA_KEY_FILE,
    ];
    let directory = reader
        .optional(&var::KAFKA_CERT_DIR, parse::path)
        .filter(|_| !files.iter().all(|file| reader.is_set(file)));
    if let Some(directory) = &directory
        && !directory.is_dir()
    {
        reader.problem(
            var::KAFKA_CERT_DIR.name,
            format!(
                "is {directory:?}, which is not a directory; wants {}",
                var::KAFKA_CERT_DIR.wants
            ),
        );
    }
    let directory = directory.as_deref();
    let ca_file = certificate(reader, &var::KAFKA_CA_FILE, directory, "ca.pem");
    let cert_file = certificate(reader, &var::KAFKA_CERT_FILE, directory, "service.cert");
    let key_file = certificate(reader, &var::KAFKA_KEY_FILE, directory, "service.key");
    for (given, other, missing) in [
        (&cert_file, &key_file, &var::KAFKA_KEY_FILE),
        (&key_file, &cert_file, &var::KAFKA_CERT_FILE),
    ] {
        if let (Some(given), None) = (given, other) {
            reader.problem(
                missing.name,
                format!(
                    "is not set although {given:?} is there: a certificate and its key go together"
                ),
            );
        }
    }
    let sasl = sasl(reader);
    let protocol = reader
        .optional(&var::KAFKA_SECURITY_PROTOCOL, protocol)
        .unwrap_or(match (&sasl, &ca_file, &cert_file) {
            (Some(_), _, _) => Protocol::SaslSsl,
            (None, None, None) => Protocol::Plaintext,
            (None, _, _) => Protocol::Ssl,
        });
    if protocol.uses_sasl() && sasl.is_none() && !reader.is_set(&var::KAFKA_SASL_USERNAME) {
        reader.missing(&var::KAFKA_SASL_USERNAME);
    }
    if protocol.uses_sasl() && client == Client::Kafka {
        reader.problem(
            var::KAFKA_CLIENT.name,
            "is kafka, which cannot log in by SASL; wants KAFKA_CLIENT=rdkafka for that",
        );
    }
    Security {
        protocol,
        ca_file,
        cert_file,
        key_file,
        sasl: sasl.filter(|_| protocol.uses_sasl()),
    }
}

/// A certificate's path: the variable's, or the usual name in the directory if that file is there.
/// Read once here, so that an unreadable file is a wrong configuration with the file's name and
/// not a handshake that fails later.
fn certificate(
    reader: &mut Reader,
    variable: &Variable,
    directory: Option<&Path>,
    usual: &str,
) -> Option<PathBuf> {
    let path = reader.optional(variable, parse::path).or_else(|| {
        directory
            .map(|directory| directory.join(usual))
            .filter(|path| path.exists())
    })?;
    match std::fs::read(&path) {
        Ok(bytes) if !bytes.windows(10).any(|window| window == b"-----BEGIN") => reader.problem(
            variable.name,
            format!("is {path:?}, which holds no PEM block (-----BEGIN …)"),
        ),
        Ok(_) => {}
        Err(error) => reader.problem(
            variable.name,
            format!("is {path:?}, which cannot be read: {error}"),
        ),
    }
    Some(path)
}

fn sasl(reader: &mut Reader) -> Option<Sasl> {
    let username = reader.optional(&var::KAFKA_SASL_USERNAME, parse::text);
    let mechanism = reader
        .optional(
            &var::KAFKA_SASL_MECHANISM,
            parse::word(&[
                ("PLAIN", Mechanism::Plain),
                ("SCRAM-SHA-256", Mechanism::ScramSha256),
                ("SCRAM-SHA-512", Mechanism::ScramSha512),
            ]),
        )
        .unwrap_or(Mechanism::ScramSha256);
    let password: Option<SecretString> =
        reader.optional(&var::KAFKA_SASL_PASSWORD, |text| Ok(text.into()));
    if username.is_some() && password.is_none() {
        reader.missing(&var::KAFKA_SASL_PASSWORD);
    }
    Some(Sasl {
        mechanism,
        username: username?,
        password: password?,
    })
}

fn brokers(text: &str) -> Result<Vec<String>, String> {
    let brokers: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(|broker| !broker.is_empty())
        .collect();
    if brokers.is_empty() {
        return Err(String::new());
    }
    brokers.into_iter().map(broker).collect()
}

fn broker(text: &str) -> Result<String, String> {
    // `PLAINTEXT://host:port` is how the broker's own configuration writes it.
    let address = text.rsplit("://").next().unwrap_or(text);
    let (host, port) = match address.rsplit_once(':') {
        // A bare IPv6 address has colons and no port.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (
            host,
            port.parse::<u16>()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| format!("{port:?} is not a port"))?,
        ),
        _ => (address, DEFAULT_PORT),
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@".contains(c)) {
        return Err(format!("{address:?} has no host name"));
    }
    Ok(format!("{host}:{port}"))
}

/// Kafka's own rule for topic names.
fn topic(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.len() > 249 || matches!(text, "." | "..") || !text.chars().all(legal) {
        return Err(String::new());
    }
    Ok(text.to_owned())
}

fn protocol(text: &str) -> Result<Protocol, String> {
    if let Ok(tls) = parse::boolean(text) {
        return Ok(if tls {
            Protocol::Ssl
        } else {
            Protocol::Plaintext
        });
    }
    parse::word(&[
        ("PLAINTEXT", Protocol::Plaintext),
        ("SSL", Protocol::Ssl),
        ("SASL_PLAINTEXT", Protocol::SaslPlaintext),
        ("SASL_SSL", Protocol::SaslSsl),
    ])(text)
}

fn options(text: &str) -> Result<Vec<(String, String)>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                let name = name.trim();
                if is_out_of_reach(name) {
                    return Err(format!(
                        "{name} cannot be set here: it runs code, or opens a file or an address of its own"
                    ));
                }
                Ok((name.to_owned(), value.trim().to_owned()))
            }
            _ => Err(String::new()),
        })
        .collect()
}

/// Settings of librdkafka 2.12 that load a library, run a command, open a file or an address, or
/// are pointers in a program: a variable that tunes a client must not do any of that. Certificates
/// have variables of their own.
fn is_out_of_reach(name: &str) -> bool {
    const FAMILIES: [&str; 6] = [
        "plugin.",
        "ssl.engine.",
        "ssl.providers",
        "sasl.kerberos.",
        "sasl.oauthbearer.",
        "enable.sasl.oauthbearer.",
    ];
    const ENDINGS: [&str; 6] = [
        ".location",
        ".path",
        ".file",
        ".stores",
        "_cb",
        "_callback_data",
    ];
    matches!(name, "interceptors" | "opaque" | "default_topic_conf")
        || FAMILIES.iter().any(|family| name.starts_with(family))
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use sitewatch::settings::Environment;

    use super::*;

    fn reader(pairs: &[(&str, &str)]) -> Reader {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Reader::new(
            "drain",
            Environment::from_pairs(pairs, Path::new("/nonexistent")),
        )
    }

    fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
        let mut reader = reader(pairs);
        let settings = KafkaSettings::read(&mut reader);
        let problems = reader.finish(settings).unwrap_err();
        problems.list().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        assert_eq!(
            problems(&[
                ("KAFKA_TIMEOUT", "soon"),
                ("KAFKA_TOPIC", "a b"),
                ("KAFKA_SASL_USERNAME", "u"),
            ]),
            [
                "KAFKA_BROKERS is not set; wants host:port, several separated by commas, for example KAFKA_BROKERS=localhost:9092",
                "KAFKA_TOPIC is \"a b\"; wants a topic name (letters, digits, '.', '_', '-'), for example website-monitoring",
                "KAFKA_TIMEOUT is \"soon\"; wants a duration, for example 10s",
                "KAFKA_SASL_PASSWORD is not set; wants the password of KAFKA_SASL_USERNAME, for example KAFKA_SASL_PASSWORD=secret (or KAFKA_SASL_PASSWORD_FILE=path)",
            ]
        );
    }

    #[test]
    fn no_secret_is_shown() {
        let settings = KafkaSettings::read(&mut reader(&[
            ("KAFKA_BROKERS", "k:1"),
            ("KAFKA_SASL_USERNAME", "u"),
            ("KAFKA_SASL_PASSWORD", "hunter2"),
            ("KAFKA_OPTIONS", "ssl.key.password=hunter2"),
        ]));
        let shown = format!("{settings:?}");
        assert!(shown.contains("KafkaSettings"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");

        let shown = problems(&[("KAFKA_OPTIONS", "hunter2")]);
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert!(!shown.join("").contains("hunter2"), "{shown:?}");
    }

    #[test]
    fn brokers_are_hosts_with_ports() {
        assert_eq!(
            brokers("a, b:9093,SSL://c:1,[::1]:9094,[::1]").unwrap(),
            ["a:9092", "b:9093", "c:1", "[::1]:9094", "[::1]:9092"]
        );
        for text in ["", ",", "a:0", "a:99999", "a:x", ":9092", "user@host:1"] {
            assert!(brokers(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_tune_the_client_and_do_nothing_else() {
        assert_eq!(
            options("linger.ms=3, ssl.cipher.suites = x,ssl.key.password=hunter2").unwrap(),
            [
                ("linger.ms".to_owned(), "3".to_owned()),
                ("ssl.cipher.suites".to_owned(), "x".to_owned()),
                ("ssl.key.password".to_owned(), "hunter2".to_owned()),
            ]
        );
        // Every setting of librdkafka 2.12.1 that does more.
        for name in [
            "plugin.library.paths",
            "interceptors",
            "opaque",
            "default_topic_conf",
            "error_cb",
            "throttle_cb",
            "stats_cb",
            "log_cb",
            "background_event_cb",
            "socket_cb",
            "connect_cb",
            "closesocket_cb",
            "open_cb",
            "resolve_cb",
            "rebalance_cb",
            "offset_commit_cb",
            "consume_cb",
            "dr_cb",
            "dr_msg_cb",
            "partitioner_cb",
            "oauthbearer_token_refresh_cb",
            "ssl.certificate.verify_cb",
            "ssl_engine_callback_data",
            "ssl.engine.location",
            "ssl.engine.id",
            "ssl.providers",
            "ssl.ca.location",
            "ssl.ca.certificate.stores",
            "ssl.certificate.location",
            "ssl.key.location",
            "ssl.crl.location",
            "ssl.keystore.location",
            "https.ca.location",
            "sasl.kerberos.kinit.cmd",
            "sasl.kerberos.keytab",
            "sasl.kerberos.principal",
            "sasl.oauthbearer.method",
            "sasl.oauthbearer.token.endpoint.url",
            "sasl.oauthbearer.assertion.private.key.file",
            "sasl.oauthbearer.assertion.file",
            "enable.sasl.oauthbearer.unsecure.jwt",
            "offset.store.path",
        ] {
            let told = options(&format!("linger.ms=3,{name}=hunter2")).unwrap_err();
            assert!(
                told.starts_with(&format!("{name} cannot be set here")),
                "{told}"
            );
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn true_and_false_are_protocols_too() {
        assert_eq!(protocol("true"), Ok(Protocol::Ssl));
        assert_eq!(protocol("0"), Ok(Protocol::Plaintext));
        assert_eq!(protocol("sasl_ssl"), Ok(Protocol::SaslSsl));
        assert!(protocol("TLS").is_err());
    }
}
