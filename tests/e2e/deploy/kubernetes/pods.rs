//! The pods of `k8s/`, run as the kubelet would run them, against a real Kafka and PostgreSQL.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use serde_json::{Value, json};
use sitewatch::run::Exit;
use sitewatch_tests::cgroup::{Cgroup, Limit};
use sitewatch_tests::command::{Finished, Run, Running};
use sitewatch_tests::kafka::Version;
use sitewatch_tests::shared;
use sitewatch_tests::websites::Website;

use super::super::{BIN, install, is_root, open_directory, set_mode};
use super::{Job, find, kustomizations};
use crate::documents::FUNCTIONS;
use crate::support::unique;

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

/// The most memory that a container may take, in bytes.
fn memory(job: &Job<'_>) -> u64 {
    let limit = &job.container["resources"]["limits"]["memory"];
    let limit = limit.as_str().unwrap();
    match limit.split_at(limit.len() - 2) {
        (number, "Mi") => number.parse::<u64>().unwrap() << 20,
        (number, "Gi") => number.parse::<u64>().unwrap() << 30,
        _ => panic!("{limit} is in another unit"),
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
    /// other, and with no more memory, where this is root on a system that lets it. Mounts are below a
    /// temporary directory, so that paths to them begin differently; nothing else is changed.
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
        let started = match Cgroup::make(Limit::Memory(memory(job))) {
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
            None => {
                eprintln!("NOT TESTED: memory limits: only root can make a control group");
                (Run::program(program).as_user(user), None)
            }
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
