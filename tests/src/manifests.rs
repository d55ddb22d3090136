//! What is in `k8s/`, read by the code that reads it elsewhere: `tests/k8s-check`, a program in Go,
//! because kustomize, Pod Security's policy, Compose's loader and BuildKit's parser are; and
//! `kubernetes-validate` from PyPI, which carries the API's schemas. Both are kept in the cache.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

use crate::{Failure, go, python};

/// The oldest and the newest minor that Kubernetes' maintainers support.
pub const KUBERNETES: [&str; 2] = ["1.35", "1.37"];

/// Every version that the environment consists of, so that it is the same everywhere.
const PYTHON: [&str; 9] = [
    "kubernetes-validate==1.37.0",
    "PyYAML==6.0.3",
    "attrs==26.1.0",
    "importlib_resources==7.1.0",
    "jsonschema==4.26.0",
    "packaging==26.3",
    "referencing==0.37.0",
    "rpds-py==2026.9.1",
    "typing_extensions==4.16.0",
];

/// All that `tests/k8s-check` says of `k8s/`: rendered, judged and parsed once per process.
///
/// # Panics
/// When anything there is refused, with every reason.
pub fn read() -> &'static Value {
    static READ: OnceLock<Value> = OnceLock::new();
    READ.get_or_init(|| {
        let directory = go::workspace().join("k8s");
        read_directory(&directory).unwrap_or_else(|failure| panic!("{failure}"))
    })
}

/// The same of another directory of that layout.
///
/// # Errors
/// When anything there is refused, with every reason.
pub fn read_directory(directory: &Path) -> Result<Value, Failure> {
    let output = go::run(
        "judge k8s/",
        Command::new(go::build("k8s-check")?).arg(directory),
    )?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::new(format!("k8s-check printed no JSON: {error}")))
}

/// Validates objects against the schemas of one minor of Kubernetes; unknown fields are mistakes.
///
/// # Errors
/// When one is not valid, with the reasons.
pub fn validate(minor: &str, objects: &[&Value]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot write an object: {error}"));
    let mut file = tempfile::Builder::new()
        .suffix(".yaml")
        .tempfile()
        .map_err(failed)?;
    for object in objects {
        // JSON is YAML.
        writeln!(file, "---\n{object}").map_err(failed)?;
    }
    go::run(
        &format!("validate against Kubernetes {minor}"),
        // Not by its own first line: that names where it was installed, before it moved.
        Command::new(python()?.join("bin/python"))
            .arg(python()?.join("bin/kubernetes-validate"))
            .args(["--strict", "--quiet", "--kubernetes-version", minor])
            .arg(file.path()),
    )
    .map(drop)
}

/// A Python environment with `kubernetes-validate`.
fn python() -> Result<&'static Path, Failure> {
    static PYTHON_DIRECTORY: OnceLock<Result<PathBuf, Failure>> = OnceLock::new();
    PYTHON_DIRECTORY
        .get_or_init(|| python::environment("kubernetes-validate", &PYTHON))
        .as_deref()
        .map_err(Failure::new)
}
