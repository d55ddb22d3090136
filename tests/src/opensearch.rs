//! A real OpenSearch of our own: one node from Maven Central, without TLS and passwords, gone when
//! dropped.

use std::{
    fs, io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{
    Failure, cache,
    daemon::Daemon,
    directory::{self, Directory},
    kafka, maven, port,
    postgres::unprivileged_user,
    wait,
    watchdog::Farewell,
};

/// The newest that runs on Java 17.
const VERSION: &str = "2.19.6";
/// What that was built with; its servers bring it themselves.
const LOG4J: &str = "org.apache.logging.log4j:log4j-core:2.25.4";
/// Part of the directory's name: raised when what [`install`] puts there changes.
const RECIPE: u32 = 1;

const LIBRARIES: &str = "lib";
const MODULE: &str = "modules/transport-netty4";

/// What it listens with is a plugin, which comes without its description here.
const PLUGIN: &str = "\
description=HTTP and transport
name=transport-netty4
classname=org.opensearch.transport.Netty4Plugin
java.version=11
";
/// What the plugin may do.
const POLICY: &str = r#"
grant codeBase "${codebase.netty-common}" {
  permission java.lang.RuntimePermission "accessDeclaredMembers";
  permission java.net.SocketPermission "*", "accept,connect";
};
grant codeBase "${codebase.netty-transport}" {
  permission java.net.SocketPermission "*", "accept,connect";
};
"#;
const LOGGING: &str = "\
appender.console.type = Console
appender.console.name = console
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
";

/// Fifteen seconds, on a busy machine more.
const START: Duration = Duration::from_secs(180);

/// A node of OpenSearch. Killed and removed on drop.
pub struct OpenSearch {
    port: u16,
    _process: Daemon,
    // Below the process: fields drop in this order, and the node needs the directory to its end.
    _directory: Directory,
}

impl OpenSearch {
    /// Starts a node without indices.
    ///
    /// # Panics
    /// When the node does not start, with the end of its log.
    #[must_use]
    pub fn start() -> Self {
        Self::launch().unwrap_or_else(|failure| panic!("{failure}"))
    }

    fn launch() -> Result<Self, Failure> {
        let install = install()?;
        let failed = |error| Failure::new(format!("cannot start OpenSearch: {error}"));
        let directory = Directory::of_server("opensearch").map_err(failed)?;
        let port = port::reserve();
        let home = directory.join("home");
        prepare(&install, &home, port).map_err(failed)?;
        // OpenSearch does not run as root.
        let user = unprivileged_user()?;
        let option =
            |name: &str, path: &Path| format!("-Dopensearch.path.{name}={}", path.display());
        let mut command = Command::new(kafka::java());
        command
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m"])
            .args(["-Djava.security.manager=allow", "-Dlog4j2.disable.jmx=true"])
            // The other one asks for more than the node's policy grants it.
            .arg("-Dlog4j2.contextSelector=org.apache.logging.log4j.core.selector.BasicContextSelector")
            .arg(option("home", &home))
            .arg(option("conf", &home.join("config")))
            .arg("-cp")
            .arg(home.join(LIBRARIES).join("*"))
            .arg("org.opensearch.bootstrap.OpenSearch")
            .current_dir(&home);
        if let Some((uid, gid)) = user {
            directory::give_all(directory.path(), uid, gid).map_err(failed)?;
            command.uid(uid).gid(gid);
        }
        let log = directory.join("opensearch.log");
        let mut process = Daemon::start(&mut command, &log, Farewell::Kill).map_err(failed)?;
        let answers = wait::holds_within(START, || {
            process.ended().is_some() || ask(port, "").is_some()
        });
        if process.ended().is_some() || !answers {
            let what = "OpenSearch did not start";
            return Err(Failure::with_log(what, &process.log_tail()));
        }
        Ok(Self {
            port,
            _process: process,
            _directory: directory,
        })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The documents of an index, a thousand at most, in the order of their ids: id and content.
    ///
    /// # Panics
    /// When there is no such index.
    #[must_use]
    pub fn documents(&self, index: &str) -> Vec<(String, Value)> {
        ask(self.port, &format!("{index}/_refresh")).expect("OpenSearch has the index");
        let found = ask(self.port, &format!("{index}/_search?size=1000"));
        let found = found.expect("OpenSearch answers");
        let hits = found["hits"]["hits"].as_array().expect("OpenSearch found");
        let mut documents: Vec<(String, Value)> = hits
            .iter()
            .map(|hit| {
                let id = hit["_id"].as_str().expect("a document has an id");
                (id.to_owned(), hit["_source"].clone())
            })
            .collect();
        documents.sort_by(|one, other| one.0.cmp(&other.0));
        documents
    }
}

/// What it says on a path, unless that is an error.
fn ask(port: u16, path: &str) -> Option<Value> {
    let mut answer = ureq::get(format!("http://127.0.0.1:{port}/{path}"))
        .call()
        .ok()?;
    answer.body_mut().read_to_string().ok()?.parse().ok()
}

/// Makes a home of its own for a node.
fn prepare(install: &Path, home: &Path, port: u16) -> io::Result<()> {
    directory::copy_all(install, home)?;
    let configuration = format!(
        "discovery.type: single-node\nnetwork.host: 127.0.0.1\nhttp.port: {port}\n\
         transport.port: {}\ncluster.routing.allocation.disk.threshold_enabled: false\n",
        port::reserve()
    );
    fs::create_dir(home.join("config"))?;
    fs::write(home.join("config/opensearch.yml"), configuration)?;
    fs::write(home.join("config/log4j2.properties"), LOGGING)?;
    for name in ["plugins", "data", "logs"] {
        fs::create_dir(home.join(name))?;
    }
    Ok(())
}

/// Where the node's jars are, with the plugin that it listens with.
fn install() -> Result<PathBuf, Failure> {
    cache::directory(&format!("opensearch-{VERSION}-{RECIPE}"), |fresh| {
        let libraries = fresh.join(LIBRARIES);
        maven::fetch(
            &format!("OpenSearch {VERSION}"),
            &[
                &format!("org.opensearch:opensearch:{VERSION}"),
                &format!("org.opensearch:opensearch-plugin-classloader:{VERSION}"),
                &format!("org.opensearch.plugin:transport-netty4-client:{VERSION}"),
                LOG4J,
            ],
            &libraries,
        )?;
        separate(&libraries, &fresh.join(MODULE))
            .map_err(|error| Failure::new(format!("cannot arrange {}: {error}", fresh.display())))
    })
}

/// No class may be both the node's and the plugin's.
fn separate(libraries: &Path, module: &Path) -> io::Result<()> {
    fs::create_dir_all(module)?;
    for entry in fs::read_dir(libraries)? {
        let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        let text = name.to_string_lossy();
        if text.starts_with("netty-") || text.starts_with("transport-netty4-") {
            fs::rename(path, module.join(&name))?;
        }
    }
    let description = format!("{PLUGIN}version={VERSION}\nopensearch.version={VERSION}\n");
    fs::write(module.join("plugin-descriptor.properties"), description)?;
    fs::write(module.join("plugin-security.policy"), POLICY)
}
