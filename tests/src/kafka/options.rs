//! What a broker can be told before it starts, and the properties file that tells it.

use std::{fmt::Write as _, fs, io, path::Path};

use parking_lot::Mutex;

use super::{
    Kafka, PASSWORD, USER, Version,
    install::{CLUSTER, Install, NODE_ID},
};
use crate::{
    Failure,
    certificates::{CertificateAuthority, Issued, Validity},
    directory::{self, Directory},
    port,
    proxy::Proxy,
};

pub(super) const PROPERTIES_FILE: &str = "server.properties";
pub(super) const DATA_DIRECTORY: &str = "data";
pub(super) const CLIENT_DIRECTORY: &str = "client";
/// The node that [`Options::join`] adds.
const JOINED_NODE_ID: u32 = NODE_ID + 1;

/// For one broker with one user: no waiting for others that will not come, nothing made by chance,
/// little memory, no record of metadata each half second that says that nothing happened. Durations
/// are short where a test would otherwise wait for them.
const SMALL: &str = "\
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
metadata.max.idle.interval.ms=0
log.cleaner.dedupe.buffer.size=4194304
";

/// A broker to be started.
#[must_use]
pub struct Options {
    version: Version,
    authority: Option<CertificateAuthority>,
    sasl: bool,
    proxied: bool,
    /// The port of the controller of the cluster to join; `None`: a cluster of its own.
    joined: Option<u16>,
    properties: String,
}

/// Where a broker listens.
pub(super) struct Ports {
    pub(super) plain: u16,
    pub(super) ssl: Option<u16>,
    pub(super) sasl: Option<u16>,
    pub(super) sasl_ssl: Option<u16>,
    controller: u16,
    /// What the proxied listener binds.
    behind_proxy: Option<u16>,
    /// What it tells clients to connect to.
    proxy: Option<u16>,
}

impl Options {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            authority: None,
            sasl: false,
            proxied: false,
            joined: None,
            properties: SMALL.to_owned(),
        }
    }

    /// Also listens with TLS, requiring client certificates of `authority`. The broker's own
    /// certificate is for localhost and 127.0.0.1.
    pub fn tls(mut self, authority: &CertificateAuthority) -> Self {
        self.authority = Some(authority.clone());
        self
    }

    /// Also listens for clients with a password: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512,
    /// unencrypted and, together with [`Self::tls`], encrypted.
    pub fn sasl(mut self) -> Self {
        self.sasl = true;
        self
    }

    /// Also listens behind a [`Proxy`] that the test controls.
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Becomes the second broker of the cluster that `first` is the only one of so far, to lead and
    /// to follow topics made with [`Kafka::create_topic_led_by`]. One cluster has at most two.
    pub fn join(mut self, first: &Kafka) -> Self {
        self.joined = Some(first.ports.controller);
        self
    }

    /// One property of the broker, for example `("log.segment.bytes", "16384")`.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        writeln!(self.properties, "{name}={value}").expect("a String takes all");
        self
    }

    /// Starts the broker.
    ///
    /// # Panics
    /// When the broker does not start, with the end of its log.
    #[track_caller]
    pub fn start(self) -> Kafka {
        match self.try_start() {
            Ok(broker) => broker,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Starts the broker.
    ///
    /// # Errors
    /// When Kafka cannot be had or the broker does not start, with the end of its log.
    pub fn try_start(self) -> Result<Kafka, Failure> {
        let install = Install::of(self.version)?;
        let behind_proxy = self.proxied.then(port::reserve);
        let proxy = behind_proxy.map(|port| Proxy::to(([127, 0, 0, 1], port)));
        let ports = Ports {
            plain: port::reserve(),
            controller: port::reserve(),
            ssl: self.authority.is_some().then(port::reserve),
            sasl: self.sasl.then(port::reserve),
            sasl_ssl: (self.sasl && self.authority.is_some()).then(port::reserve),
            behind_proxy,
            proxy: proxy.as_ref().map(Proxy::port),
        };
        let directory = self
            .write(install, &ports)
            .map_err(|error| Failure::new(format!("cannot write Kafka's files: {error}")))?;
        let broker = Kafka {
            install,
            version: self.version,
            authority: self.authority,
            ports,
            process: Mutex::new(None),
            proxy,
            directory,
        };
        broker.run()?;
        Ok(broker)
    }

    fn write(&self, install: &Install, ports: &Ports) -> io::Result<Directory> {
        let directory = Directory::of_server("kafka")?;
        let data = directory.join(DATA_DIRECTORY);
        let mut properties = match self.joined {
            None => {
                directory::copy_all(&install.formatted(), &data)?;
                properties(ports, &data)
            }
            Some(controller) => {
                let meta = format!("version=1\nnode.id={JOINED_NODE_ID}\ncluster.id={CLUSTER}\n");
                fs::create_dir(&data)?;
                fs::write(data.join("meta.properties"), meta)?;
                joined_properties(ports, &data, controller)
            }
        };
        if let Some(authority) = &self.authority {
            properties += &tls(authority, directory.path())?;
            authority.write_client_dir(&directory.join(CLIENT_DIRECTORY))?;
        }
        properties += &self.properties;
        fs::write(directory.join(PROPERTIES_FILE), properties)?;
        Ok(directory)
    }
}

impl Ports {
    /// As little as a broker needs to run.
    pub(super) fn minimal() -> Self {
        Self {
            plain: port::reserve(),
            controller: port::reserve(),
            ssl: None,
            sasl: None,
            sasl_ssl: None,
            behind_proxy: None,
            proxy: None,
        }
    }
}

/// What a broker that is also its cluster's controller needs to be told.
pub(super) fn properties(ports: &Ports, data: &Path) -> String {
    let controller = format!("CONTROLLER://127.0.0.1:{}", ports.controller);
    format!("process.roles=broker,controller\nnode.id={NODE_ID}\n")
        + &common(ports, data, ports.controller, Some(&controller))
}

/// What a broker needs to be told whose cluster has a controller.
fn joined_properties(ports: &Ports, data: &Path, controller: u16) -> String {
    format!("process.roles=broker\nnode.id={JOINED_NODE_ID}\n")
        + &common(ports, data, controller, None)
}

fn common(ports: &Ports, data: &Path, controller: u16, own: Option<&str>) -> String {
    let mut bound = Vec::new();
    let mut advertised = Vec::new();
    let mut protocols = vec!["CONTROLLER:PLAINTEXT".to_owned()];
    for (name, protocol, port, shown) in [
        ("PLAINTEXT", "PLAINTEXT", Some(ports.plain), None),
        ("SSL", "SSL", ports.ssl, None),
        ("SASL_PLAINTEXT", "SASL_PLAINTEXT", ports.sasl, None),
        ("SASL_SSL", "SASL_SSL", ports.sasl_ssl, None),
        ("PROXIED", "PLAINTEXT", ports.behind_proxy, ports.proxy),
    ] {
        if let Some(port) = port {
            bound.push(format!("{name}://127.0.0.1:{port}"));
            advertised.push(format!("{name}://127.0.0.1:{}", shown.unwrap_or(port)));
            protocols.push(format!("{name}:{protocol}"));
        }
    }
    bound.extend(own.map(str::to_owned));
    let mut text = format!(
        "controller.quorum.voters={NODE_ID}@127.0.0.1:{}
controller.listener.names=CONTROLLER
listeners={}
advertised.listeners={}
listener.security.protocol.map={}
inter.broker.listener.name=PLAINTEXT
log.dirs={}
",
        controller,
        bound.join(","),
        advertised.join(","),
        protocols.join(","),
        data.display()
    );
    for listener in ["sasl_plaintext", "sasl_ssl"] {
        text += &sasl(listener);
    }
    text
}

/// The SCRAM users are in the formatted data already; PLAIN has its user here.
fn sasl(listener: &str) -> String {
    let modules = "org.apache.kafka.common.security";
    format!(
        "listener.name.{listener}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.{listener}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";
listener.name.{listener}.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;
listener.name.{listener}.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;
"
    )
}

fn tls(authority: &CertificateAuthority, directory: &Path) -> io::Result<String> {
    let Issued { chain, key } = authority.server(&["localhost", "127.0.0.1"], Validity::days(30));
    let keystore = directory.join("server.pem");
    let truststore = directory.join("ca.pem");
    fs::write(&keystore, format!("{key}{chain}"))?;
    fs::write(&truststore, authority.pem())?;
    Ok(format!(
        "ssl.keystore.type=PEM
ssl.keystore.location={}
ssl.truststore.type=PEM
ssl.truststore.location={}
ssl.client.auth=required
listener.name.sasl_ssl.ssl.client.auth=none
",
        keystore.display(),
        truststore.display()
    ))
}
