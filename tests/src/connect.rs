//! A real Kafka Connect: one worker in standalone mode, told by its REST interface what to do.
//!
//! Connect and Debezium's JDBC sink come from Maven Central and are kept outside the repository, see
//! [`crate::cache`].

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    Failure, cache,
    daemon::{Daemon, log_tail},
    directory::Directory,
    kafka::{self, Kafka},
    maven, port, wait,
    watchdog::Farewell,
};

/// The first version whose converter of JSON can be told the schema of messages that carry none.
const KAFKA: &str = "4.2.0";
const DEBEZIUM: &str = "3.4.0.Final";
/// Part of the directory's name: raised when what [`install`] puts there changes.
const RECIPE: u32 = 1;

const WORKER: &str = "worker";
const PLUGINS: &str = "plugins";

/// A start takes four seconds, most of it looking for plugins.
const START: Duration = Duration::from_secs(120);
/// A worker writes to its sinks what it has, and commits.
const STOP: Duration = Duration::from_secs(60);

/// A worker of Kafka Connect. Killed and removed on drop.
pub struct Connect {
    port: u16,
    process: Option<Daemon>,
    // Below the process: fields drop in this order, and the worker needs the directory to its end.
    directory: Directory,
}

impl Connect {
    /// Starts a worker without connectors. It takes `${directory:PATH:FILE}` in a connector's
    /// configuration for what that file says.
    ///
    /// # Panics
    /// When the worker does not start, with the end of its log.
    #[track_caller]
    pub fn start(kafka: &Kafka) -> Self {
        Self::launch(kafka, None).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// The same with a plugin more, whose jars are in this directory.
    ///
    /// # Panics
    /// When the worker does not start, with the end of its log.
    #[track_caller]
    pub fn start_with(kafka: &Kafka, plugin: &Path) -> Self {
        Self::launch(kafka, Some(plugin)).unwrap_or_else(|failure| panic!("{failure}"))
    }

    fn launch(kafka: &Kafka, plugin: Option<&Path>) -> Result<Self, Failure> {
        let install = install()?;
        let failed = |error| Failure::new(format!("cannot start Kafka Connect: {error}"));
        let directory = Directory::of_server("connect").map_err(failed)?;
        let port = port::reserve();
        let path = |name: &str| directory.join(name).display().to_string();
        fs::create_dir(directory.join(PLUGINS)).map_err(failed)?;
        if let Some(plugin) = plugin {
            symlink(plugin, directory.join(PLUGINS).join("more")).map_err(failed)?;
        }
        let properties = format!(
            "bootstrap.servers={}\n\
             listeners=http://127.0.0.1:{port}\n\
             plugin.path={},{}\n\
             offset.storage.file.filename={}\n\
             offset.flush.interval.ms=500\n\
             key.converter=org.apache.kafka.connect.converters.ByteArrayConverter\n\
             value.converter=org.apache.kafka.connect.converters.ByteArrayConverter\n\
             config.providers=directory\n\
             config.providers.directory.class=\
             org.apache.kafka.common.config.provider.DirectoryConfigProvider\n",
            kafka.bootstrap(),
            install.join(PLUGINS).display(),
            path(PLUGINS),
            path("offsets"),
        );
        fs::write(path("worker.properties"), properties).map_err(failed)?;
        let mut command = Command::new(kafka::java());
        command
            // For a process that lives for seconds.
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m"])
            .arg("-cp")
            .arg(install.join(WORKER).join("*"))
            .arg("org.apache.kafka.connect.cli.ConnectStandalone")
            .arg(path("worker.properties"))
            .current_dir(directory.path());
        let log = directory.join("connect.log");
        let mut process = Daemon::start(&mut command, &log, Farewell::Kill).map_err(failed)?;
        let answers = wait::holds_within(START, || process.ended().is_some() || is_ready(port));
        if process.ended().is_some() || !answers {
            let what = "Kafka Connect did not start";
            return Err(Failure::with_log(what, &process.log_tail()));
        }
        Ok(Self {
            port,
            process: Some(process),
            directory,
        })
    }

    /// Makes a connector or changes it: `PUT /connectors/NAME/config`.
    ///
    /// # Panics
    /// When the worker refuses the configuration.
    #[track_caller]
    pub fn put(&self, name: &str, configuration: &Value) {
        let answer = agent()
            .put(url(self.port, &format!("connectors/{name}/config")))
            .content_type("application/json")
            .send(configuration.to_string());
        let mut answer = answer.expect("Kafka Connect answers");
        let said = answer.body_mut().read_to_string().unwrap_or_default();
        let status = answer.status();
        assert!(status.is_success(), "{name} was refused: {status} {said}");
    }

    /// The state of a connector's only task: `RUNNING`, or `FAILED` and why. None before it has one.
    pub fn task(&self, name: &str) -> Option<String> {
        let mut answer = agent()
            .get(url(self.port, &format!("connectors/{name}/status")))
            .call()
            .ok()?;
        let status: Value = answer.body_mut().read_to_string().ok()?.parse().ok()?;
        let task = &status["tasks"][0];
        let why = task["trace"].as_str().map(|trace| format!(": {trace}"));
        Some(task["state"].as_str()?.to_owned() + &why.unwrap_or_default())
    }

    /// The end of the worker's log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.directory.join("connect.log"))
    }

    /// Ends the worker as an operator would.
    pub fn stop(mut self) {
        if let Some(process) = self.process.take() {
            process.stop(Signal::TERM, STOP);
        }
    }
}

fn url(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}/{path}")
}

/// It listens before it knows what to answer.
fn is_ready(port: u16) -> bool {
    let answer = agent().get(url(port, "health")).call();
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// A client that takes an answer of any status for an answer.
fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(STOP))
        .build()
        .into()
}

/// Where the worker's jars and its plugins are, a directory each.
fn install() -> Result<PathBuf, Failure> {
    let name = format!("connect-{KAFKA}-{DEBEZIUM}-{RECIPE}");
    cache::directory(&name, |fresh| {
        let connect = |artifact: &str| format!("org.apache.kafka:connect-{artifact}:{KAFKA}");
        maven::fetch(
            &format!("Kafka Connect {KAFKA}"),
            &[
                &connect("runtime"),
                &connect("json"),
                &connect("transforms"),
                maven::SLF4J,
            ],
            &fresh.join(WORKER),
        )?;
        let plugin = fresh.join(PLUGINS).join("jdbc");
        let sink = format!("io.debezium:debezium-connector-jdbc:{DEBEZIUM}");
        maven::fetch("Debezium's JDBC sink", &[&sink], &plugin)?;
        remove_jackson(&plugin)
    })
}

/// The worker's own is the one that the plugin has to use: two of them do not know each other's
/// classes.
fn remove_jackson(plugin: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("cannot tidy {}: {error}", plugin.display()));
    for entry in fs::read_dir(plugin).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("jackson-") {
            fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}
