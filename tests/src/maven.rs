//! Jars from Maven Central.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use crate::{Failure, go};

/// An interface that all of what is fetched here logs through; its simplest implementation prints.
pub(crate) const SLF4J: &str = "org.slf4j:slf4j-simple:1.7.36";

/// Another implementation of [`SLF4J`]'s interface. One is enough.
const OTHER_SLF4J: &str = "<exclusions><exclusion><groupId>org.slf4j</groupId>\
                           <artifactId>slf4j-reload4j</artifactId></exclusion></exclusions>";

/// Fills `directory/jars` with these artifacts, each `GROUP:NAME:VERSION`, and what they need at run
/// time.
pub(crate) fn fetch(what: &str, artifacts: &[&str], jars: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("cannot write in {}: {error}", jars.display()));
    fs::create_dir_all(jars).map_err(failed)?;
    let pom = jars.with_extension("pom.xml");
    fs::write(&pom, project(artifacts)).map_err(failed)?;
    go::run(
        &format!("fetch {what} with Maven (see tests/install.sh)"),
        Command::new("mvn")
            .args(["--batch-mode", "--quiet", "dependency:copy-dependencies"])
            .arg("--file")
            .arg(&pom)
            .arg(format!("-DoutputDirectory={}", jars.display()))
            .arg("-DincludeScope=runtime"),
    )
    .map(drop)
}

fn project(artifacts: &[&str]) -> String {
    let mut dependencies = String::new();
    for artifact in artifacts {
        let [group, name, version] = artifact
            .split(':')
            .collect::<Vec<_>>()
            .try_into()
            .expect("GROUP:NAME:VERSION");
        write!(
            dependencies,
            "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>\
             <version>{version}</version>{OTHER_SLF4J}</dependency>"
        )
        .expect("a string takes everything");
    }
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>sitewatch</groupId>\
         <artifactId>tests</artifactId><version>1</version><packaging>pom</packaging>\
         <dependencies>{dependencies}</dependencies></project>\n"
    )
}
