//! Fetching Kafka from Maven Central and preparing what makes its brokers start fast.

use std::{fs, path::Path, process::Command, time::Duration};

use rustix::process::Signal;

use super::{CLASSES, CLUSTER, Install, JARS, Version};
use crate::{
    Failure,
    daemon::Daemon,
    go,
    kafka::{
        PASSWORD, USER,
        options::{self, Ports},
        ready,
    },
    maven, wait,
    watchdog::Farewell,
};

/// A first start without archived classes, on a machine busy with compiling.
const FIRST_START: Duration = Duration::from_secs(120);

/// Fills `directory` with the jars, a formatted data directory and the archive of classes.
pub(super) fn fetch(version: Version, directory: &Path) -> Result<(), Failure> {
    let number = version.number();
    let kafka = |artifact: &str| format!("org.apache.kafka:{artifact}:{number}");
    maven::fetch(
        &format!("Kafka {number}"),
        &[&kafka("kafka_2.13"), &kafka("kafka-tools"), maven::SLF4J],
        &directory.join(JARS),
    )?;
    let install = Install::at(directory)?;
    format(&install)?;
    archive_classes(&install)
}

/// Makes the data directory that every broker gets a copy of, with the users of SCRAM in it.
fn format(install: &Install) -> Result<(), Failure> {
    let properties = write_properties(install, &Ports::minimal(), &install.formatted())?;
    let user = |mechanism: &str| format!("{mechanism}=[name={USER},password={PASSWORD}]");
    go::run(
        "format a data directory for Kafka",
        install
            .java("kafka.tools.StorageTool", "warn")
            .args(["format", "-t", CLUSTER, "-c", &properties])
            .args(["--add-scram", &user("SCRAM-SHA-256")])
            .args(["--add-scram", &user("SCRAM-SHA-512")]),
    )
    .map(drop)
}

/// Runs a broker once and keeps what it loaded, in the form the next one maps into memory.
fn archive_classes(install: &Install) -> Result<(), Failure> {
    let data = install.directory.join("first-run");
    let failed = |error| Failure::new(format!("cannot prepare a first run of Kafka: {error}"));
    crate::directory::copy_all(&install.formatted(), &data).map_err(failed)?;
    let ports = Ports::minimal();
    let properties = write_properties(install, &ports, &data)?;
    let log = install.directory.join("first-run.log");
    let mut command = Command::new(&install.java);
    command
        .arg(format!("-XX:ArchiveClassesAtExit={CLASSES}"))
        .args(
            install
                .java_arguments("kafka.Kafka", "info")
                .iter()
                .filter(|argument| !argument.starts_with("-XX:SharedArchiveFile")),
        )
        .arg(properties)
        .current_dir(&install.directory);
    let mut broker = Daemon::start(&mut command, &log, Farewell::Kill).map_err(failed)?;
    wait::holds_within(FIRST_START, || {
        broker.ended().is_some() || ready::is_ready(ports.plain)
    });
    broker.stop(Signal::TERM, FIRST_START);
    if install.directory.join(CLASSES).is_file() {
        fs::remove_dir_all(&data).map_err(failed)
    } else {
        Err(Failure::with_log(
            "Kafka's first run left no archive of its classes",
            &crate::daemon::log_tail(&log),
        ))
    }
}

fn write_properties(install: &Install, ports: &Ports, data: &Path) -> Result<String, Failure> {
    let path = install.directory.join(options::PROPERTIES_FILE);
    fs::write(&path, options::properties(ports, data))
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
    Ok(path.display().to_string())
}
