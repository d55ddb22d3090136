//! `k8s/`: rendered, judged, and its containers run as the kubelet would, without a cluster.
//!
//! What only a cluster can tell (network policies, scheduling, an image that starts) is not tested.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use serde_json::{Value, json};
use sitewatch::run::Exit;
use sitewatch::settings::var;
use sitewatch_tests::cgroup::{Cgroup, Limit};
use sitewatch_tests::command::{Finished, Run, Running};
use sitewatch_tests::kafka::Version;
use sitewatch_tests::manifests::{self, KUBERNETES};
use sitewatch_tests::shared;
use sitewatch_tests::websites::Website;

use super::{BIN, install, is_root, open_directory, reads, set_mode};
use crate::documents::{FUNCTIONS, root};
use crate::support::unique;

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

    /// The most memory that it may take, in bytes.
    fn memory(&self) -> u64 {
        let limit = self.container["resources"]["limits"]["memory"]
            .as_str()
            .unwrap();
        match limit.split_at(limit.len() - 2) {
            (number, "Mi") => number.parse::<u64>().unwrap() << 20,
            (number, "Gi") => number.parse::<u64>().unwrap() << 30,
            _ => panic!("{limit} is another unit"),
        }
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
    Run::program("cp")
        .arg("-r")
        .arg(root().join("k8s"))
        .arg(directory.path())
        .run()
        .exits(0);
    let drain = directory.path().join("k8s/base/drain.yaml");
    let text = fs::read_to_string(&drain).unwrap();
    fs::write(&drain, text.replace("drop: [ALL]", "drop: []")).unwrap();
    let refused = manifests::read_directory(&directory.path().join("k8s")).unwrap_err();
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
                "7 * * * *" => 3_600,
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

/// A container that can be started.
struct Container {
    run: Run,
    cgroup: Option<Cgroup>,
}

impl Container {
    fn spawn(self) -> (Running, Option<Cgroup>) {
        (self.run.spawn(), self.cgroup)
    }

    fn run(self) -> Finished {
        let (running, _cgroup) = self.spawn();
        running.wait()
    }
}

/// A node, as far as a container notices it.
struct Node {
    directory: tempfile::TempDir,
    objects: Vec<Value>,
    secrets: Secrets,
}

impl Node {
    /// A container's command with the environment and the files that its manifest says, and no
    /// other, and with no more memory, where this is root on a system that lets it. Mounts are below a temporary directory, so that paths to them begin differently;
    /// nothing else is changed.
    fn container(&self, job: &Job<'_>, index: Option<u64>) -> Container {
        let user = job.pod["securityContext"]["runAsUser"].as_u64().unwrap();
        let user = u32::try_from(user).unwrap();
        let pod = self.directory.path().join(unique(job.function()));
        fs::create_dir(&pod).unwrap();
        set_mode(&pod, 0o755);
        let mut mounts = Vec::new();
        for mount in job.container["volumeMounts"].as_array().unwrap() {
            let path = mount["mountPath"].as_str().unwrap();
            let place = pod.join(path.trim_start_matches('/'));
            fs::create_dir_all(&place).unwrap();
            self.mount(job, &mount["name"], &place, user);
            mounts.push((path, place));
        }
        let place = |value: &str| {
            mounts
                .iter()
                .find_map(|(path, place)| {
                    let rest = value.strip_prefix(path)?.trim_start_matches('/');
                    Some(place.join(rest).to_str().unwrap().to_owned())
                })
                .unwrap_or_else(|| value.to_owned())
        };

        let shared = job.config_maps().flat_map(|map| {
            let data = &find(&self.objects, "ConfigMap", map)["data"];
            data.as_object().unwrap().iter()
        });
        let shared = shared.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let own = job.env().filter_map(|variable| {
            let name = variable["name"].as_str().unwrap().to_owned();
            if let Some(value) = variable["value"].as_str() {
                return Some((name, place(value)));
            }
            let from = &variable["valueFrom"]["secretKeyRef"];
            let secret = self.secrets.get(from["name"].as_str().unwrap());
            let value = secret.and_then(|keys| keys.get(from["key"].as_str().unwrap()));
            assert!(
                value.is_some() || from["optional"] == true,
                "{name} has no value"
            );
            Some((name, value?.clone()))
        });
        assert_eq!(job.container["command"].as_array().unwrap().len(), 1);
        let program = self.directory.path().join("bin").join(job.function());
        let started = match Cgroup::make(Limit::Memory(job.memory())) {
            // Root puts itself into the group before it becomes the pod's user.
            Some(cgroup) => {
                let user = user.to_string();
                let script = r#"echo $$ > "$0" && exec /usr/bin/setpriv --reuid "$1" --regid "$1" --clear-groups "$2""#;
                let run = Run::program("/bin/sh")
                    .arg("-c")
                    .arg(script)
                    .arg(cgroup.processes())
                    .arg(user)
                    .arg(program);
                (run, Some(cgroup))
            }
            None => (Run::program(program).as_user(user), None),
        };
        let run = started
            .0
            .bare()
            // The image's, then what every container has, whatever enableServiceLinks says.
            .var("PATH", BIN)
            .var("HOME", "/")
            .var("HOSTNAME", job.function())
            .var("KUBERNETES_SERVICE_HOST", "10.96.0.1")
            .var("KUBERNETES_SERVICE_PORT", "443")
            .vars(index.map(|index| ("JOB_COMPLETION_INDEX", index.to_string())))
            .vars(shared.chain(own))
            // Nothing there can be written by anybody but root.
            .in_dir("/");
        Container {
            run,
            cgroup: started.1,
        }
    }

    fn mount(&self, job: &Job<'_>, name: &Value, place: &Path, user: u32) {
        let volumes = job.pod["volumes"].as_array().unwrap();
        let volume = volumes
            .iter()
            .find(|volume| &volume["name"] == name)
            .unwrap();
        if let Some(map) = volume["configMap"]["name"].as_str() {
            let data = find(&self.objects, "ConfigMap", map)["data"]
                .as_object()
                .unwrap();
            for (file, text) in data {
                fs::write(place.join(file), text.as_str().unwrap()).unwrap();
                set_mode(&place.join(file), 0o644);
            }
            return;
        }
        if volume["persistentVolumeClaim"].is_object() {
            // A disk of the pod's group.
            set_mode(place, 0o770);
            if is_root() {
                chown(place, Some(0), Some(user)).unwrap();
            }
            return;
        }
        let secret = &volume["secret"];
        let keys = &self.secrets[secret["secretName"].as_str().unwrap()];
        let items: Vec<(&str, &str)> = match secret["items"].as_array() {
            None => keys.keys().map(|key| (*key, *key)).collect(),
            Some(items) => items
                .iter()
                .map(|item| {
                    (
                        item["key"].as_str().unwrap(),
                        item["path"].as_str().unwrap(),
                    )
                })
                .collect(),
        };
        for (key, path) in items {
            let file = place.join(path);
            fs::write(&file, &keys[key]).unwrap();
            set_mode(
                &file,
                u32::try_from(secret["defaultMode"].as_u64().unwrap()).unwrap(),
            );
            if is_root() {
                // fsGroup: root's file, the pod's group.
                assert_eq!(job.pod["securityContext"]["fsGroup"], user);
                chown(&file, Some(0), Some(user)).unwrap();
            }
        }
    }
}

#[test]
fn the_containers_of_a_sharded_installation_record_each_check_once() {
    let kafka = shared::kafka(Version::V4_1);
    each_check_is_recorded_once("overlays/sharded", &kafka.bootstrap(), BTreeMap::new());
}

#[test]
fn with_all_components_they_do_over_tls_with_sites_from_the_database() {
    let kafka = shared::kafka(Version::V4_1);
    let certificates = ["ca.pem", "service.cert", "service.key"].map(|name| {
        let text = fs::read_to_string(kafka.certificate_dir().join(name)).unwrap();
        (name, text)
    });
    each_check_is_recorded_once(
        "components",
        &kafka.ssl_bootstrap(),
        BTreeMap::from([("kafka-tls", certificates.into())]),
    );
}

type Secrets = BTreeMap<&'static str, BTreeMap<&'static str, String>>;

fn each_check_is_recorded_once(kustomization: &str, brokers: &str, mut secrets: Secrets) {
    const SITES: i64 = 24;
    let database = shared::postgres().create_database("kubernetes");
    let website = Website::up("fine");
    let receiver = Website::up("taken");
    let mut sites: Vec<Value> = (0..SITES)
        .map(|n| json!({"name": format!("site-{n}"), "url": format!("{}{n}", website.url())}))
        .collect();
    sites[0]["regex"] = "something else".into();

    // What whoever installs it edits, and nothing else: where Kafka is, the list, the secrets.
    let mut objects = kustomizations()[kustomization].clone();
    for object in &mut objects {
        let name = object["metadata"]["name"].clone();
        if object["kind"] == "ConfigMap" && name == "kafka" {
            object["data"]["KAFKA_BROKERS"] = brokers.into();
            object["data"]["KAFKA_TOPIC"] = unique("kubernetes").into();
        } else if object["kind"] == "ConfigMap" && name == "sites" {
            object["data"]["sites.json"] = Value::from(sites.clone()).to_string().into();
        } else if object["kind"] == "CronJob" && name == "probe" {
            // The websites are on this machine.
            let pod = "/spec/jobTemplate/spec/template/spec/containers/0/env";
            let env = object.pointer_mut(pod).unwrap().as_array_mut().unwrap();
            env.retain(|variable| variable["name"] != "PROBE_DENY_NETWORKS");
        }
    }
    let url = || BTreeMap::from([("DATABASE_URL", database.url().to_owned())]);
    // Of probe only where its manifest asks for it.
    secrets.extend(["setup", "drain", "probe", "maintain"].map(|function| (function, url())));
    let mut of_notify = url();
    of_notify.insert("NOTIFY_URLS", format!("webhook+{}", receiver.url()));
    secrets.insert("notify", of_notify);
    let directory = open_directory();
    install(&FUNCTIONS, directory.path());
    let mut node = Node {
        directory,
        objects,
        secrets,
    };
    let job =
        |kind: &str, name: &str| Job::of(kustomization, find(&node.objects, kind, name)).unwrap();

    let run = |job: &Job<'_>| node.container(job, None).run();
    run(&job("Job", "setup")).exits(0);
    let (probe, drain) = (job("CronJob", "probe"), job("CronJob", "drain"));
    let shards = probe.spec["completions"].as_u64().unwrap();
    const TICKS: i64 = 3;
    for _ in 0..TICKS {
        let pods: Vec<_> = (0..shards)
            .map(|index| node.container(&probe, Some(index)).spawn())
            .collect();
        for (pod, _cgroup) in pods {
            let finished = pod.wait().exits(0);
            assert!(
                finished.stderr.lines().all(|line| line.starts_with('{')),
                "{finished}"
            );
        }
        run(&drain).exits(0);
    }
    run(&drain).exits(0);
    let counts = database
        .client()
        .query_one(
            "select count(*), count(distinct website_id) from checks",
            &[],
        )
        .unwrap();
    assert_eq!((counts.get(0), counts.get(1)), (TICKS * SITES, SITES));
    run(&job("CronJob", "maintain")).exits(0);
    if kustomization == "components" {
        run(&job("CronJob", "notify")).exits(0);
        assert_eq!(receiver.requests().len(), 1);
    }

    // What is tried again in the next minute, and what a person must mend.
    let nobody = sitewatch_tests::port::reserve();
    for (url, exit) in [
        (
            format!("postgres://drain@127.0.0.1:{nobody}/sitewatch"),
            Exit::Unavailable,
        ),
        ("a host, or something".to_owned(), Exit::Configuration),
    ] {
        node.secrets
            .insert("drain", BTreeMap::from([("DATABASE_URL", url)]));
        node.container(&drain, None).run().exits(exit.code().into());
    }
}
