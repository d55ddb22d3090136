//! Kafka's own command-line tools, where they are the point: they are what operators look with.
//!
//! Each costs a Java process, so the rest of the stack uses a client library instead.

use super::Kafka;
use crate::command::{Finished, Run};

/// What `kafka-consumer-groups --describe` says of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// What the group has committed; none when it has committed nothing here.
    pub current: Option<i64>,
    /// The end of the partition.
    pub end: i64,
    /// How many offsets lie between; none when there is no commit.
    pub lag: Option<i64>,
}

impl Kafka {
    /// Runs a tool by its class, for example `org.apache.kafka.tools.TopicCommand`. Arguments that
    /// name this broker are the caller's to give.
    #[track_caller]
    pub fn tool(&self, class: &str, arguments: &[&str]) -> Finished {
        self.tool_run(class, arguments).run()
    }

    /// A run of a tool by its class, to be told more and then started.
    pub fn tool_run(&self, class: &str, arguments: &[&str]) -> Run {
        let run = Run::program(self.install.java_program()).in_dir(self.install.directory());
        self.install
            .java_arguments(class, "error")
            .iter()
            .map(String::as_str)
            .chain(arguments.iter().copied())
            .fold(run, Run::arg)
    }

    /// A shell script that is the tool of this class, with arguments before those it is given.
    pub fn tool_script(&self, class: &str, arguments: &str) -> String {
        let java = self.install.java_program().display();
        let options = self.install.java_arguments(class, "error").join(" ");
        let directory = self.install.directory().display();
        format!("#!/bin/sh\ncd '{directory}'\nexec '{java}' {options} {arguments} \"$@\"\n")
    }

    /// The lag of a group as an operator sees it, by topic and partition.
    ///
    /// # Panics
    /// When the tool fails, for example because there is no such group.
    #[track_caller]
    pub fn group_lag(&self, group: &str) -> Vec<Lag> {
        let finished = self
            .tool(
                "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
                &[
                    "--bootstrap-server",
                    &self.bootstrap(),
                    "--describe",
                    "--group",
                    group,
                ],
            )
            .exits(0);
        let mut lags: Vec<Lag> = finished.stdout.lines().filter_map(lag).collect();
        assert!(!lags.is_empty(), "no partitions for {group}: it {finished}");
        lags.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        lags
    }
}

/// `GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG …`; the heading is no such line, because
/// its partition is a word.
fn lag(line: &str) -> Option<Lag> {
    let mut fields = line.split_whitespace().skip(1);
    Some(Lag {
        topic: fields.next()?.to_owned(),
        partition: fields.next()?.parse().ok()?,
        current: fields.next()?.parse().ok(),
        end: fields.next()?.parse().ok()?,
        lag: fields.next()?.parse().ok(),
    })
}
