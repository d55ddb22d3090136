//! Building from the sources, as the README and the Dockerfile say. Dependencies are shared with the
//! tests' own build as far as they are the same, and the profile is the tests': a release build
//! would take minutes and show nothing more.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sitewatch_tests::command::Run;
use sitewatch_tests::manifests;

use super::compiling;
use crate::deploy::{BIN, text};
use crate::documents::{FUNCTIONS, root};
use crate::readme::{Block, block};

/// What is found by looking up from here: `target/debug/setup` has both.
struct Target {
    directory: PathBuf,
    profile: String,
}

impl Target {
    /// Of this very process. The functions are built by then, so that nobody waits for us.
    fn of_the_tests() -> Self {
        let setup = Run::setup();
        let profile = setup.executable().parent().unwrap();
        let name = profile.file_name().unwrap().to_str().unwrap();
        Self {
            directory: profile.parent().unwrap().to_owned(),
            // The one profile whose directory has another name.
            profile: if name == "debug" { "dev" } else { name }.to_owned(),
        }
    }

    /// A run that compiles: the tests' directory holds what is in between, not what comes out.
    fn compiling(&self, program: &str) -> Run {
        compiling(program).var("CARGO_BUILD_BUILD_DIR", &self.directory)
    }
}

#[test]
fn cargo_installs_each_function_from_its_own_directory() {
    let target = Target::of_the_tests();
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path).display().to_string();
    let profile = format!("--profile {}", target.profile);
    let install = |block: &Block| {
        target
            .compiling("bash")
            .arg("-euc")
            .arg(block.script())
            .var("CARGO_TARGET_DIR", at("target"))
            .in_dir(root())
            .run()
            .exits(0)
    };
    let installed = |bin: &str| {
        for function in FUNCTIONS {
            Run::program(directory.path().join(bin).join(function))
                .arg("--version")
                .run()
                .exits(0)
                .stdout_is(&format!("{function} {}\n", env!("CARGO_PKG_VERSION")));
        }
    };

    let by_anybody = block("README.md", "for function in")
        .replace("cargo install", format!("cargo install {profile}"))
        .replace("~/.local/lib/sitewatch", at("home"));
    install(&by_anybody);
    installed("home/bin");
    let all = fs::read_dir(at("home/bin")).unwrap().count();
    assert_eq!(all, FUNCTIONS.len());

    fs::create_dir_all(at("etc/systemd/system")).unwrap();
    let by_root = block("cron/README.md", "for function in")
        .replace("--profile dist", profile)
        .replace(BIN.trim_end_matches("/bin"), at("lib"))
        .replace("/etc/", at("etc/"))
        // Nobody's systemd is told of these.
        .replace("systemctl daemon-reload", "true");
    install(&by_root);
    installed("lib/bin");
    for file in [
        "lib/bin/tell-once",
        "etc/sitewatch/env",
        "etc/sitewatch/sites.json",
        "etc/systemd/system/sitewatch-probe.timer",
    ] {
        assert!(directory.path().join(file).is_file(), "{file}");
    }
}

/// Does what the build stage of the Dockerfile says, in its order, below a directory: `/src` and
/// `/image` are there. Nothing else is changed.
fn build_image(root: &Path, target: &Target) {
    let stage = &manifests::read()["dockerfile"][0];
    let mut variables = Vec::new();
    let mut directory = None;
    for instruction in stage["instructions"].as_array().unwrap() {
        let (verb, rest) = instruction.as_str().unwrap().split_once(' ').unwrap();
        match verb {
            "WORKDIR" => {
                let path = root.join(rest.trim_start_matches('/'));
                fs::create_dir_all(&path).unwrap();
                directory = Some(path);
            }
            "ARG" => {
                let (name, _) = rest.split_once('=').unwrap();
                assert_eq!(name, "PROFILE");
                variables.push((name, target.profile.as_str()));
            }
            "COPY" => copy(rest, directory.as_deref().unwrap()),
            "RUN" => {
                let image = root.join("image");
                let script = rest.replace("/image", image.to_str().unwrap());
                target
                    .compiling("/bin/sh")
                    .arg("-c")
                    .arg(script)
                    .vars(variables.iter().copied())
                    .in_dir(directory.as_deref().unwrap())
                    .run()
                    .exits(0);
            }
            _ => panic!("{verb} is not known here: {rest}"),
        }
    }
}

/// COPY, of what the ignore file lets through.
fn copy(arguments: &str, directory: &Path) {
    assert!(!arguments.starts_with("--"), "{arguments}");
    let ignored = text("k8s/Dockerfile.dockerignore");
    let words: Vec<&str> = arguments.split(' ').collect();
    let (to, sources) = words.split_last().unwrap();
    let to = directory.join(to);
    fs::create_dir_all(&to).unwrap();
    for source in sources {
        let path = root().join(source);
        let files: Vec<PathBuf> = if path.is_dir() {
            let only = ignored
                .lines()
                .find_map(|line| line.strip_prefix(&format!("!{source}/*.")));
            fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| {
                    only.is_none() || path.extension().and_then(|end| end.to_str()) == only
                })
                .collect()
        } else {
            vec![path]
        };
        let run = Run::program("cp").arg("-r");
        let run = files.iter().fold(run, |run, file| run.arg(file));
        run.arg(&to).run().exits(0);
    }
}

#[test]
fn the_dockerfile_builds_an_image_that_has_all_that_its_executables_need() {
    let target = Target::of_the_tests();
    // Always the same place: cargo knows packages by it, and would keep a build of each.
    let directory = target.directory.join("dockerfile");
    fs::create_dir_all(&directory).unwrap();
    let lock = File::create(directory.join("lock")).unwrap();
    lock.lock().unwrap();
    for part in ["src", "image"] {
        fs::remove_dir_all(directory.join(part)).ok();
    }
    build_image(&directory, &target);

    let image = directory.join("image");
    for path in [
        "etc/ssl/certs/ca-certificates.crt",
        "usr/lib/ssl/openssl.cnf",
        "usr/share/zoneinfo/Europe/Berlin",
    ] {
        assert!(image.join(path).symlink_metadata().is_ok(), "{path}");
    }
    // What OpenSSL looks for by a certificate's hash, and other names of time zones.
    for directory in ["etc/ssl/certs", "usr/share/zoneinfo"] {
        let astray = Run::program("find")
            .arg(image.join(directory))
            .arg("-xtype")
            .arg("l")
            .run();
        astray.exits(0).stdout_is("");
    }
    let trusted = Run::program("openssl")
        .arg("verify")
        .arg("-CApath")
        .arg(image.join("etc/ssl/certs"))
        .arg("-no-CAfile")
        .arg("-no-CAstore")
        .arg(image.join("etc/ssl/certs/ISRG_Root_X1.pem"))
        .run();
    trusted.exits(0);
    let passwd = fs::read_to_string(image.join("etc/passwd")).unwrap();
    assert!(passwd.contains(":65532:65532:"), "{passwd}");

    let libraries = Run::program("find")
        .arg(&image)
        .arg("-name")
        .arg("*.so*")
        .run()
        .exits(0)
        .stdout;
    let loader = libraries
        .lines()
        .find(|path| path.contains("/ld-linux"))
        .expect("the loader is in the image");
    let mut directories: Vec<&str> = libraries
        .lines()
        .filter_map(|path| path.rsplit_once('/'))
        .map(|(directory, _)| directory)
        .collect();
    directories.sort_unstable();
    directories.dedup();
    // By the image's own loader, with the image's libraries.
    let load = || {
        Run::program(loader)
            .arg("--inhibit-cache")
            .arg("--library-path")
            .arg(directories.join(":"))
    };
    for function in FUNCTIONS {
        let executable = image.join(BIN.trim_start_matches('/')).join(function);
        let list = load().arg("--list").arg(&executable).run().exits(0).stdout;
        for found in list.lines().filter_map(|line| line.split_once(" => ")) {
            assert!(found.1.starts_with(image.to_str().unwrap()), "{list}");
        }
        load()
            .arg(&executable)
            .arg("--version")
            .run()
            .exits(0)
            .stdout_is(&format!("{function} {}\n", env!("CARGO_PKG_VERSION")));
    }
    // Large, and of no use to anybody.
    fs::remove_dir_all(image).unwrap();
    fs::remove_dir_all(directory.join("src/target")).unwrap();
}
