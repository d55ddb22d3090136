//! What `.github/workflows/release.yml` does that needs no GitHub: `.ci/release`, `.ci/image-size`,
//! `.ci/sbom` and `.ci/release-notes`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use serde_json::Value;
use sitewatch_tests::command::Run;

use super::compiling;
use crate::deploy::text;
use crate::documents::{FUNCTIONS, root};
use crate::readme::{Shell, block};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn script(name: &str) -> Run {
    compiling(root().join(".ci").join(name))
}

fn names(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_release_is_an_archive_of_stripped_functions_with_their_manual_and_a_package() {
    let directory = tempfile::tempdir().unwrap();
    let setup = Run::setup();
    script("release")
        .arg(setup.executable().parent().unwrap())
        .arg(directory.path())
        .run()
        .exits(0);
    let machine = Run::program("uname").arg("-m").run().stdout;
    let name = format!("sitewatch-{VERSION}-linux-{}", machine.trim());
    let archive = format!("{name}.tar.gz");
    let made = names(directory.path());
    assert_eq!(made.len(), 2, "{made:?}");
    assert!(made.contains(&archive), "{made:?}");
    assert!(made.iter().any(|name| name.ends_with(".deb")), "{made:?}");

    // What is asked of others is not here: apt, whose turn comes where the package is tested, an
    // engine for containers, and GitHub.
    let shell = ["apt-get", "docker", "gh"]
        .into_iter()
        .fold(Shell::new(), Shell::without);
    for file in &made {
        fs::copy(directory.path().join(file), shell.work().join(file)).unwrap();
    }
    Run::program("sh")
        .arg("-ec")
        .arg("sha256sum * >SHA256SUMS")
        .in_dir(shell.work())
        .run()
        .exits(0);
    let said = shell.run(&block("README.md", "apt-get install"));
    assert_eq!(said.stdout.matches(": OK\n").count(), 2, "{said}");
    let asked: Vec<String> = shell.asked().iter().map(|words| words.join(" ")).collect();
    let package = made.iter().find(|name| name.ends_with(".deb")).unwrap();
    assert_eq!(
        asked,
        [
            format!("apt-get install ./{package}"),
            format!("docker run --rm ghcr.io/sitewatch/sitewatch:{VERSION} probe --help"),
            format!("gh attestation verify {package} --repo sitewatch/sitewatch"),
        ]
    );
    let tree = shell.work().join(name);
    for function in FUNCTIONS {
        let executable = tree.join("bin").join(function);
        Run::program(&executable)
            .arg("--version")
            .run()
            .exits(0)
            .stdout_is(&format!("{function} {VERSION}\n"));
        Run::program("file")
            .arg(executable)
            .run()
            .exits(0)
            .stdout_has(", stripped");
        let page = fs::read_to_string(tree.join(format!("man/man8/sitewatch-{function}.8")));
        assert!(page.unwrap().starts_with(".TH SITEWATCH"));
    }
    for file in [
        "LICENSE",
        "README.md",
        "cron/README.md",
        "cron/systemd/sitewatch-probe.timer",
    ] {
        assert_eq!(fs::read_to_string(tree.join(file)).unwrap(), text(file));
    }
}

#[test]
fn an_image_of_50_mb_is_too_large() {
    let image = tempfile::tempdir().unwrap();
    let probe = File::create(image.path().join("probe")).unwrap();
    let size = || script("image-size").arg(image.path()).run();
    probe.set_len(49_900_000).unwrap();
    size().exits(0);
    probe.set_len(50_000_000).unwrap();
    size()
        .exits(1)
        .stderr_is("50 MB or more; the largest files:\n50000000\tprobe\n");
}

#[test]
fn an_sbom_of_each_function_has_what_it_is_made_of_and_no_tests() {
    let directory = tempfile::tempdir().unwrap();
    script("sbom").arg(directory.path()).run().exits(0);
    let expected = FUNCTIONS.map(|function| format!("sitewatch-{function}-{VERSION}.cdx.json"));
    assert_eq!(names(directory.path()), BTreeSet::from(expected));
    let lock = text("Cargo.lock");
    for function in FUNCTIONS {
        let file = format!("sitewatch-{function}-{VERSION}.cdx.json");
        let sbom = fs::read(directory.path().join(file)).unwrap();
        let sbom: Value = serde_json::from_slice(&sbom).unwrap();
        assert_eq!(sbom["bomFormat"], "CycloneDX");
        assert_eq!(sbom["metadata"]["component"]["name"], function);
        let mut components = BTreeSet::new();
        for component in sbom["components"].as_array().unwrap() {
            let name = component["name"].as_str().unwrap();
            let version = component["version"].as_str().unwrap();
            let locked = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&locked), "{name} {version}");
            assert!(component["licenses"].is_array(), "{name}");
            components.insert(name);
        }
        assert!(components.contains("sitewatch") && components.contains("openssl-sys"));
        let kafka = ["setup", "probe", "drain"].contains(&function);
        assert_eq!(components.contains("rdkafka-sys"), kafka, "{function}");
        assert!(!components.contains("rcgen"), "{function}");
    }
}

#[test]
fn the_notes_are_the_changelogs_of_the_version_that_the_sources_have() {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    fs::create_dir_all(at(".ci")).unwrap();
    fs::create_dir_all(at(".github")).unwrap();
    fs::copy(root().join(".ci/release-notes"), at(".ci/release-notes")).unwrap();
    fs::write(at("Cargo.toml"), "version = \"1.2.0\"\n").unwrap();
    let changes =
        "# Changes\n\n## Unreleased\n\n- c\n\n## 1.2.0 (2026-12-01)\n\n- b\n\n## 1.1.0\n\n- a\n";
    fs::write(at(".github/CHANGELOG.md"), changes).unwrap();
    let notes = |version: &str| Run::program(at(".ci/release-notes")).arg(version).run();
    notes("1.2.0").exits(0).stdout_is("\n- b\n");
    notes("1.1.0")
        .exits(1)
        .stderr_is("Cargo.toml is not of version 1.1.0\n");
    fs::write(at("Cargo.toml"), "version = \"1.3.0\"\n").unwrap();
    notes("1.3.0")
        .exits(1)
        .stderr_is(".github/CHANGELOG.md has nothing under \"## 1.3.0\"\n");
}
