//! What metrics tell of a site's state and of its labels.

use sitewatch_tests::prometheus;

use crate::support::{Prepared, down, lines, up};

#[test]
fn every_state_of_a_site_has_its_sample() {
    let prepared = Prepared::new("report");
    prepared
        .client()
        .batch_execute(
            r#"insert into websites (name, url, settings) values
                 ('degraded', 'https://degraded.example/', '{"agree": "all"}'),
                 ('unknown', 'https://unknown.example/', '{}')"#,
        )
        .unwrap();
    let mut elsewhere = up("degraded", 60);
    elsewhere.location = "fra1".into();
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[
            up("up", 60),
            down("down", 60),
            down("degraded", 60),
            elsewhere,
            up("unmonitored", 3_600),
        ]))
        .run()
        .exits(0);
    let metrics = metrics(&prepared, &[]);
    let states = ["up", "degraded", "down", "unknown", "unmonitored"];
    for site in states {
        for state in states {
            let sample = format!(
                "sitewatch_site_state{{site=\"{site}\",state=\"{state}\"}} {}",
                u8::from(site == state)
            );
            assert!(metrics.lines().any(|line| line == sample), "{sample}");
        }
    }
}

#[test]
fn labels_that_were_chosen_are_those_of_one_metric() {
    let prepared = Prepared::new("report");
    let labelled = |site: &str, labels: &[(&str, &str)]| {
        let mut event = up(site, 60);
        for (name, value) in labels {
            event
                .labels
                .insert((*name).to_owned().into(), (*value).to_owned().into());
        }
        event
    };
    let mut elsewhere = labelled(
        "shop",
        &[("team", "we\"b"), ("k8s.io/name", "x"), ("secret", "y")],
    );
    elsewhere.location = "fra1".into();
    let mut here = elsewhere.clone();
    here.location = "nyc1".into();
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[elsewhere, here, labelled("blog", &[])]))
        .run()
        .exits(0);
    assert!(!metrics(&prepared, &[]).contains("sitewatch_site_info"));
    let chosen = metrics(
        &prepared,
        &[("REPORT_PROMETHEUS_LABELS", "team, k8s.io/name")],
    );
    let infos: Vec<&str> = chosen
        .lines()
        .filter(|line| line.starts_with("sitewatch_site_info"))
        .collect();
    assert_eq!(
        infos,
        [
            r#"sitewatch_site_info{site="blog"} 1"#,
            r#"sitewatch_site_info{site="shop",team="we\"b",k8s_io_name="x"} 1"#,
        ]
    );
    prometheus::check_metrics(&chosen).unwrap();
    prepared
        .report()
        .var("REPORT_PROMETHEUS_LABELS", "a.b,a/b")
        .run()
        .exits(78)
        .logs(
            r#"ERROR report: REPORT_PROMETHEUS_LABELS is "a.b,a/b": "a.b" and "a/b" would both be the label a_b; wants names of labels separated by commas, for example team,env
ERROR report: see `report --help` for every variable it reads (exit code 78)
"#,
        );
}

/// What is written with these variables.
pub(super) fn metrics(prepared: &Prepared, variables: &[(&str, &str)]) -> String {
    prepared
        .report()
        .var("REPORT_FORMAT", "prometheus")
        .vars(variables.to_vec())
        .run()
        .exits(0)
        .stdout
}
