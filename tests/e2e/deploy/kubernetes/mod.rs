//! `k8s/`: rendered and judged, without a cluster; `pods` runs it.
//!
//! What only a cluster can tell (network policies, scheduling, an image that starts) is not tested.

mod pods;

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use sitewatch::run::Exit;
use sitewatch::settings::var;
use sitewatch_tests::directory::copy_all;
use sitewatch_tests::manifests::{self, KUBERNETES};

use super::{BIN, reads};
use crate::documents::{FUNCTIONS, root};

/// DATABASE_STATEMENT_TIMEOUT when nothing sets it.
const STATEMENT_TIMEOUT: u64 = 60;

/// What `kubectl apply -k` would send, by directory.
fn kustomizations() -> BTreeMap<&'static str, &'static Vec<Value>> {
    manifests::read()["kustomizations"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(directory, objects)| (directory.as_str(), objects.as_array().unwrap()))
        .collect()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("no {kind} is called {name}"))
}

/// A job of ours: where it comes from, its own settings, its pod, its one container.
struct Job<'a> {
    place: String,
    object: &'a Value,
    spec: &'a Value,
    pod: &'a Value,
    container: &'a Value,
}

impl<'a> Job<'a> {
    fn of(directory: &str, object: &'a Value) -> Option<Self> {
        let spec = match object["kind"].as_str().unwrap() {
            "CronJob" => &object["spec"]["jobTemplate"]["spec"],
            "ScaledJob" => &object["spec"]["jobTargetRef"],
            "Job" => &object["spec"],
            _ => return None,
        };
        let pod = &spec["template"]["spec"];
        assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
        assert_eq!(pod["initContainers"], Value::Null);
        Some(Self {
            place: format!(
                "{directory}: {} {}",
                object["kind"], object["metadata"]["name"]
            ),
            object,
            spec,
            pod,
            container: &pod["containers"][0],
        })
    }

    fn all() -> Vec<Job<'static>> {
        let jobs: Vec<_> = kustomizations()
            .into_iter()
            .flat_map(|(directory, objects)| {
                objects
                    .iter()
                    .filter_map(move |object| Job::of(directory, object))
            })
            .collect();
        // Every kustomization has some, and every component is in two.
        assert!(jobs.len() >= 30, "{}", jobs.len());
        jobs
    }

    /// Whether it was rendered with this component.
    fn has(&self, component: &str) -> bool {
        self.place.starts_with("components:")
            || self.place.starts_with(&format!("components/{component}:"))
    }

    fn function(&self) -> &'a str {
        let command = self.container["command"][0].as_str().unwrap();
        command.strip_prefix(BIN).unwrap().trim_start_matches('/')
    }

    fn env(&self) -> impl Iterator<Item = &'a Value> {
        self.container["env"].as_array().into_iter().flatten()
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.env().find(|variable| variable["name"] == name)?["value"].as_str()
    }

    fn seconds(&self, name: &str) -> Option<u64> {
        let value = self.value(name)?;
        Some(value.strip_suffix('s').unwrap().parse().unwrap())
    }

    fn config_maps(&self) -> impl Iterator<Item = &'a str> {
        self.container["envFrom"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|from| from["configMapRef"]["name"].as_str().unwrap())
    }
}

#[test]
fn the_oldest_and_the_newest_kubernetes_know_every_field() {
    let mut objects: Vec<Value> = kustomizations().into_values().flatten().cloned().collect();
    objects.extend(manifests::read()["templates"].as_array().unwrap().clone());
    for object in &mut objects {
        // KEDA's own object is not Kubernetes'; the Job that it describes is.
        if object["kind"] == "ScaledJob" {
            *object = json!({
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": object["metadata"],
                "spec": object["spec"]["jobTargetRef"],
            });
        }
    }
    let objects: Vec<&Value> = objects.iter().collect();
    for minor in KUBERNETES {
        if let Err(failure) = manifests::validate(minor, &objects) {
            panic!("{failure}");
        }
    }

    let mut wrong = find(kustomizations()["base"], "CronJob", "probe").clone();
    wrong["spec"]["jobTemplate"]["spec"]["activeDeadlineSecond"] = json!(55);
    let refused = manifests::validate(KUBERNETES[1], &[&wrong]).unwrap_err();
    assert!(
        refused.to_string().contains("activeDeadlineSecond"),
        "{refused}"
    );
}

#[test]
fn a_pod_that_is_not_restricted_would_be_refused() {
    // That the real ones are not is part of reading them.
    let directory = tempfile::tempdir().unwrap();
    let k8s = directory.path().join("k8s");
    copy_all(&root().join("k8s"), &k8s).unwrap();
    let drain = k8s.join("base/drain.yaml");
    let text = fs::read_to_string(&drain).unwrap();
    fs::write(&drain, text.replace("drop: [ALL]", "drop: []")).unwrap();
    let refused = manifests::read_directory(&k8s).unwrap_err();
    for part in ["base: CronJob drain is not restricted", "capabilities"] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
}

#[test]
fn a_container_is_given_only_what_its_function_reads() {
    let maps = kustomizations()["base"];
    for job in Job::all() {
        let function = job.function();
        let named = job.env().map(|variable| variable["name"].as_str().unwrap());
        let shared = job.config_maps().flat_map(|map| {
            find(maps, "ConfigMap", map)["data"]
                .as_object()
                .unwrap()
                .keys()
        });
        for name in named.chain(shared.map(String::as_str)) {
            assert!(
                reads(function, name),
                "{}: {function} does not read {name}",
                job.place
            );
        }
    }
}

#[test]
fn a_container_sees_its_own_secret_and_probe_none_of_the_database() {
    for job in Job::all() {
        let function = job.function();
        let keys = job
            .env()
            .map(|variable| &variable["valueFrom"]["secretKeyRef"]["name"]);
        let volumes = job.pod["volumes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|volume| &volume["secret"]["secretName"]);
        for name in keys.chain(volumes).filter_map(Value::as_str) {
            // The certificate that a hosted Kafka hands out is one for all who talk to it.
            let is_shared = name == "kafka-tls"
                && job.has("kafka-tls")
                && !["maintain", "notify"].contains(&function);
            assert!(name == function || is_shared, "{}: {name}", job.place);
        }
        if function == "probe" && !job.has("sites-from-database") {
            let database = job
                .env()
                .find(|variable| variable["name"].as_str().unwrap().contains("DATABASE"));
            assert!(database.is_none(), "{}: {database:?}", job.place);
        }
        assert_eq!(job.pod["serviceAccountName"], function, "{}", job.place);
    }
}

#[test]
fn what_a_person_must_mend_is_not_tried_again() {
    for job in Job::all() {
        let rules = job.spec["podFailurePolicy"]["rules"].as_array().unwrap();
        // Of several pods one may have met an invalid row: the others' checks go on.
        let action = match job.spec["completionMode"].as_str() {
            Some("Indexed") => "FailIndex",
            _ => "FailJob",
        };
        let codes: Vec<u64> = rules
            .iter()
            .filter(|rule| rule["action"] == action)
            .flat_map(|rule| rule["onExitCodes"]["values"].as_array().unwrap())
            .map(|code| code.as_u64().unwrap())
            .collect();
        let mended = [Exit::Usage, Exit::Configuration].map(|exit| u64::from(exit.code()));
        assert_eq!(codes, mended, "{}", job.place);
    }
}

#[test]
fn a_program_ends_by_itself_before_its_job_does_and_its_job_before_the_next_run() {
    for job in Job::all() {
        let active = job.spec["activeDeadlineSeconds"].as_u64().unwrap();
        let grace = job.pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        let own = match job.function() {
            "probe" => job.seconds("PROBE_DEADLINE"),
            "drain" => job.seconds("DRAIN_DEADLINE"),
            "maintain" => job.seconds("MAINTAIN_DEADLINE"),
            "notify" => job.seconds("NOTIFY_DEADLINE"),
            _ => None,
        };
        assert!(own.is_some() || job.function() == "setup", "{}", job.place);
        let mut longest = own.unwrap_or(0);
        if job.function() != "probe" {
            let step = job
                .seconds("DATABASE_STATEMENT_TIMEOUT")
                .unwrap_or(STATEMENT_TIMEOUT);
            assert!(step < grace, "{}: {step}, {grace}", job.place);
            // Begun just before the deadline.
            longest += step;
        }
        assert!(longest < active, "{}: {longest}, {active}", job.place);
        if job.object["kind"] == "CronJob" {
            let period = match job.object["spec"]["schedule"].as_str().unwrap() {
                "* * * * *" => 60,
                "7-59/10 * * * *" => 600,
                other => panic!("{}: nothing here knows {other:?}", job.place),
            };
            assert!(active < period, "{}: {active}", job.place);
        }
    }
}

#[test]
fn there_are_as_many_shards_as_pods() {
    let sharded = find(kustomizations()["overlays/sharded"], "CronJob", "probe");
    let job = Job::of("sharded", sharded).unwrap();
    let count: u64 = job.value("PROBE_SHARD_COUNT").unwrap().parse().unwrap();
    assert_eq!(job.spec["completions"], count);
    assert_eq!(job.spec["parallelism"], count);
}

#[test]
fn drain_by_lag_is_the_drain_of_the_base_and_asks_for_the_group_it_commits() {
    let keda = kustomizations()["overlays/keda"];
    let scaled = &find(keda, "ScaledJob", "drain")["spec"];
    let base = find(kustomizations()["base"], "CronJob", "drain");
    assert_eq!(scaled["jobTargetRef"], base["spec"]["jobTemplate"]["spec"]);
    assert_eq!(find(keda, "CronJob", "drain")["spec"]["suspend"], true);
    let kafka = &find(keda, "ConfigMap", "kafka")["data"];
    let trigger = &scaled["triggers"][0]["metadata"];
    assert_eq!(trigger["consumerGroup"], kafka["KAFKA_GROUP_ID"]);
    assert_eq!(trigger["topic"], kafka["KAFKA_TOPIC"]);
    assert_eq!(trigger["bootstrapServers"], kafka["KAFKA_BROKERS"]);
    assert_eq!(trigger["lagThreshold"], var::DRAIN_BATCH_SIZE.default);
}

#[test]
fn the_image_has_what_the_manifests_start() {
    let stages = manifests::read()["dockerfile"].as_array().unwrap();
    let instructions = |stage: &'static Value| -> Vec<&str> {
        let all = stage["instructions"].as_array().unwrap();
        all.iter().map(|text| text.as_str().unwrap()).collect()
    };
    let build = instructions(&stages[0]);
    for function in FUNCTIONS {
        let builds =
            |text: &&str| text.contains("cargo build") && text.contains(&format!("-p {function}"));
        // Once for its dependencies alone.
        assert_eq!(
            build.iter().filter(|text| builds(text)).count(),
            2,
            "{function}"
        );
    }
    assert!(build.last().unwrap().contains(&format!("/image{BIN}/")));
    // Each file that the build copies is one that the ignore file lets through.
    let ignored = fs::read_to_string(root().join("k8s/Dockerfile.dockerignore")).unwrap();
    let allowed: Vec<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    for source in build
        .iter()
        .filter_map(|text| text.strip_prefix("COPY "))
        .flat_map(|text| text.split(' ').rev().skip(1))
    {
        assert!(root().join(source).exists(), "{source}");
        assert!(
            allowed
                .iter()
                .any(|path| source.starts_with(path.trim_end_matches("/*.sql"))),
            "{source} is ignored"
        );
    }
    let image = instructions(stages.last().unwrap());
    let tag = format!("sitewatch:{}", env!("CARGO_PKG_VERSION"));
    for job in Job::all() {
        // Those who render a part have no name for the image yet.
        let whole = !["base/", "overlays/multi-location/"]
            .iter()
            .any(|part| job.place.starts_with(part));
        assert!(FUNCTIONS.contains(&job.function()), "{}", job.place);
        assert!(!whole || job.container["image"] == tag, "{}", job.place);
        let pod = &job.pod["securityContext"];
        let user = format!("USER {}:{}", pod["runAsUser"], pod["runAsGroup"]);
        assert!(image.contains(&user.as_str()), "{}: {user}", job.place);
    }
}
