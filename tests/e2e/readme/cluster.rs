//! `k8s/README.md` and `k8s/connect/README.md`, without a cluster: what tools would be told is compared
//! with what is there, manifests as kustomize renders them.

use serde_json::Value;
use sitewatch_tests::manifests;

use super::{Block, Shell};
use crate::documents::root;

const IMAGE: &str = concat!("sitewatch:", env!("CARGO_PKG_VERSION"));

fn rendered(directory: &str) -> &'static [Value] {
    let name = directory.strip_prefix("k8s/").unwrap();
    manifests::read()["kustomizations"][name]
        .as_array()
        .unwrap_or_else(|| panic!("{directory} is no kustomization"))
}

fn has(objects: &[Value], kind: &str, name: &str) -> bool {
    objects.iter().any(|object| {
        let kinds = object["kind"].as_str().unwrap().to_lowercase();
        kinds == kind && object["metadata"]["name"] == name
    })
}

pub(super) fn image(block: &Block) {
    let shell = Shell::new().in_the_repository().without("docker");
    shell.run(block);
    let [build] = &shell.asked()[..] else {
        panic!("{block} is one command");
    };
    let words: Vec<&str> = build.iter().map(String::as_str).collect();
    let ["docker", "build", "-f", file, "-t", tag, "."] = words[..] else {
        panic!("{words:?} is not known here");
    };
    assert!(root().join(file).exists(), "{file}");
    assert_eq!(tag, IMAGE);
    let base = serde_json::to_string(rendered("k8s/base")).unwrap();
    assert!(base.contains(&format!("{tag:?}")), "no pod runs {tag}");
}

pub(super) fn objects(block: &Block) {
    let shell = Shell::new()
        .in_the_repository()
        .without("kind")
        .without("kubectl");
    shell.run(block);
    let mut objects = rendered("k8s/base");
    for asked in shell.asked() {
        let words: Vec<&str> = asked.iter().map(String::as_str).collect();
        match words[..] {
            ["kind", "load", "docker-image", loaded] => assert_eq!(loaded, IMAGE),
            ["kubectl", "apply", "-k", directory] => objects = rendered(directory),
            ["kubectl", "apply", "-f", file] => assert!(root().join(file).exists(), "{file}"),
            ["kubectl", "-n", namespace, ref command @ ..] => {
                assert!(has(objects, "namespace", namespace), "{namespace}");
                in_the_namespace(objects, command);
            }
            _ => panic!("{words:?} is not known here"),
        }
    }
}

fn in_the_namespace(objects: &[Value], command: &[&str]) {
    match command {
        ["get", "jobs,pods"] => {}
        ["wait", "--for=condition=complete", object, "--timeout=10m"] => {
            let (kind, name) = object.split_once('/').unwrap();
            assert!(has(objects, kind, name), "{object}");
        }
        ["create", "secret", "generic", name, files @ ..] => {
            let keys: Vec<&str> = files
                .iter()
                .map(|file| file.strip_prefix("--from-file=").unwrap())
                .map(|file| file.split_once('=').unwrap().0)
                .collect();
            let secrets = manifests::read()["templates"].as_array().unwrap();
            let secret = secrets
                .iter()
                .find(|secret| secret["metadata"]["name"] == **name)
                .unwrap_or_else(|| panic!("base/secrets.example.yaml has no {name}"));
            let expected = secret["stringData"].as_object().unwrap();
            assert_eq!(keys, expected.keys().collect::<Vec<_>>(), "{name}");
        }
        _ => panic!("{command:?} is not known here"),
    }
}

/// What the recipes do is seen by `tests/run.sh connect`.
pub(super) fn recipe(block: &Block) {
    let shell = Shell::new()
        .in_the_repository()
        .without("curl")
        .without("telegraf");
    shell.run(block);
    let [asked] = &shell.asked()[..] else {
        panic!("{block} is one command");
    };
    let mut files = asked
        .iter()
        .map(|word| word.trim_start_matches('@'))
        .filter(|word| word.starts_with("k8s/"));
    let file = files
        .next()
        .unwrap_or_else(|| panic!("{asked:?} names no file"));
    assert!(root().join(file).exists(), "{file}");
}
