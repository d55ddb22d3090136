//! What a plan is made from: what Kafka has, and what is recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use sitewatch::run::{Failure, Summary};
use sitewatch::settings::{DatabaseSettings, Problems};
use sitewatch_kafka::{PartitionBounds, Reader};

use super::{Loss, Plan};
use crate::settings::{Settings, Start};
use crate::store::{self, Shared, Stored, Topic};

/// What Kafka has of a topic, what is recorded of it, and what a run will therefore do.
pub(crate) struct Survey {
    pub(crate) topic: Topic,
    /// The offset up to which each partition is recorded that was ever drained.
    pub(crate) stored: BTreeMap<i32, i64>,
    pub(crate) plan: Plan,
    bounds: Vec<PartitionBounds>,
}

impl Survey {
    /// Asks PostgreSQL and Kafka, and plans.
    ///
    /// # Errors
    /// When one of them cannot be asked, or a person has to decide about what was lost.
    pub(crate) fn take(
        settings: &Settings,
        topic: &str,
        client: &Shared,
        reader: &mut Reader,
    ) -> Result<Self, Failure> {
        let stored = store::stored(&mut client.lock(), &settings.database, topic)?;
        let bounds = reader.bounds()?;
        let id = topic_id(reader, &stored, topic)?;
        let recreated = id
            .as_deref()
            .map_or_else(BTreeSet::new, |id| stored.of_another_topic(id));
        let starts = starts(settings.start, reader, &stored.offsets)?;
        let plan = Plan::new(
            &bounds,
            &starts,
            &recreated,
            settings.offset_reset,
            settings.start,
        )
        .map_err(|losses| undecided(topic, &losses))?;
        Ok(Self {
            topic: Topic {
                name: topic.to_owned(),
                id,
            },
            stored: stored.offsets,
            plan,
            bounds,
        })
    }

    /// Writes down what is passed over and says so; returns how many messages that is.
    ///
    /// # Errors
    /// When PostgreSQL cannot be used.
    pub(crate) fn record_losses(
        &mut self,
        client: &Shared,
        settings: &DatabaseSettings,
    ) -> Result<u64, Failure> {
        let losses = &self.plan.losses;
        if losses.is_empty() {
            return Ok(0);
        }
        store::record_losses(client, settings, &self.topic, losses)?;
        for loss in losses {
            log::warn!(
                "{} partition {}: recording had got to offset {}, goes on at {}: {}",
                self.topic.name,
                loss.partition,
                loss.from,
                loss.to,
                loss.reason
            );
            self.stored.insert(loss.partition, loss.to);
        }
        Ok(losses.iter().map(Loss::messages).sum())
    }

    /// The recorded offset of every partition, as far as it is known without the run's work.
    pub(crate) fn positions(&self) -> BTreeMap<i32, i64> {
        self.bounds
            .iter()
            .filter_map(|bound| Some((bound.partition, *self.stored.get(&bound.partition)?)))
            .collect()
    }

    /// Says what a run would do.
    pub(crate) fn show(&self) -> Summary {
        let plan = &self.plan;
        let mut text = format!(
            "{:>9} {:>12} {:>12} {:>12}  {}\n",
            "partition", "recorded", "end", "pending", self.topic.name
        );
        for bound in &self.bounds {
            let recorded = self
                .stored
                .get(&bound.partition)
                .map_or_else(|| "never".to_owned(), ToString::to_string);
            let range = plan
                .ranges
                .iter()
                .find(|range| range.partition == bound.partition);
            let pending = range.map_or(0, |range| range.end - range.next);
            let loss = plan
                .losses
                .iter()
                .find(|loss| loss.partition == bound.partition);
            let note = loss.map_or_else(String::new, |loss| {
                format!("  would go on at {}: {}", loss.to, loss.reason)
            });
            text.push_str(&format!(
                "{:>9} {recorded:>12} {:>12} {pending:>12}{note}\n",
                bound.partition, bound.end
            ));
        }
        // A reader that has seen enough is no failure.
        drop(std::io::stdout().write_all(text.as_bytes()));
        Summary::done(
            format!(
                "dry run: {} offsets pending in {} partitions, nothing changed",
                plan.pending(),
                plan.ranges.len()
            ),
            vec![("pending", plan.pending())],
        )
    }
}

/// The topic's id. Not to know it is an error only where it was known before: a recreated topic
/// would otherwise go unnoticed.
fn topic_id(reader: &Reader, stored: &Stored, topic: &str) -> Result<Option<String>, Failure> {
    match reader.topic_id() {
        Ok(id) => Ok(id),
        Err(error) if stored.knows_id() => Err(error.into()),
        Err(error) => {
            log::warn!(
                "{error}: should {topic} be deleted and recreated, that shows only while it is shorter than what is recorded"
            );
            Ok(None)
        }
    }
}

/// Up to where each partition is known to be recorded.
fn starts(
    start: Start,
    reader: &mut Reader,
    stored: &BTreeMap<i32, i64>,
) -> Result<BTreeMap<i32, i64>, Failure> {
    Ok(match start {
        Start::Stored | Start::Earliest => stored.clone(),
        Start::Group => {
            let mut starts = stored.clone();
            for (partition, offset) in reader.group_offsets()? {
                if let Some(offset) = offset {
                    starts.entry(partition).or_insert(offset);
                }
            }
            starts
        }
    })
}

fn undecided(topic: &str, losses: &[Loss]) -> Failure {
    let mut problems = Problems::default();
    for loss in losses {
        problems.add(
            format!("{topic} partition {}", loss.partition),
            format!(
                "was recorded up to offset {}, and Kafka goes on at {}: {}; DRAIN_OFFSET_RESET=fail leaves it to you: earliest or latest goes on",
                loss.from, loss.to, loss.reason
            ),
        );
    }
    problems.into()
}
