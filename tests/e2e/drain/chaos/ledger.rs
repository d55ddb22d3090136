//! What was sent, and whether all of it is recorded, once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use postgres::Client;
use sitewatch::event::CheckEvent;
use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::Kafka;

use super::Dice;
use crate::support::{Known, Prepared, State, down, unique, up};

/// Sites of each partition.
const SITES: u64 = 7;

/// How far back the first event of a partition lies; later ones are a second apart.
const BACK: i64 = 86_000;

/// A topic of its own, a database of its own, and a list of what was sent.
pub(super) struct Ledger<'k> {
    pub(super) kafka: &'k Kafka,
    pub(super) topic: String,
    pub(super) prepared: Prepared,
    /// Site and microseconds since 1970.
    events: BTreeSet<(String, i64)>,
    /// Partition and offset of what is no event.
    dead_letters: BTreeSet<(i32, i64)>,
    /// Events of each partition so far: gives each its second.
    made: Vec<i64>,
    /// Messages of each partition so far.
    ends: Vec<i64>,
    /// Asked all the time, and a login takes longer than the question.
    looking: RefCell<Option<Client>>,
}

impl<'k> Ledger<'k> {
    pub(super) fn new(story: &str, kafka: &'k Kafka, partitions: u16) -> Self {
        Self::over(Prepared::new(story), story, kafka, partitions)
    }

    pub(super) fn over(prepared: Prepared, story: &str, kafka: &'k Kafka, partitions: u16) -> Self {
        let topic = unique(story);
        kafka.create_topic(&topic, partitions);
        Self::of_topic(prepared, topic, kafka, partitions)
    }

    /// A ledger of a topic that is there, and empty.
    pub(super) fn of_topic(
        prepared: Prepared,
        topic: String,
        kafka: &'k Kafka,
        partitions: u16,
    ) -> Self {
        Self {
            kafka,
            topic,
            prepared,
            events: BTreeSet::new(),
            dead_letters: BTreeSet::new(),
            made: vec![0; partitions.into()],
            ends: vec![0; partitions.into()],
            looking: RefCell::new(None),
        }
    }

    /// A drain of the topic into the database.
    pub(super) fn drain(&self) -> Run {
        self.prepared
            .drain()
            .var("KAFKA_BROKERS", self.kafka.bootstrap())
            .var("KAFKA_TOPIC", &self.topic)
            .var("KAFKA_GROUP_ID", &self.topic)
    }

    /// Messages sent so far.
    pub(super) fn sent(&self) -> usize {
        self.events.len() + self.dead_letters.len()
    }

    /// Events sent so far.
    pub(super) fn events(&self) -> usize {
        self.events.len()
    }

    /// Messages recorded so far, in one way or the other.
    pub(super) fn recorded(&self) -> usize {
        let count =
            self.look("select (select count(*) from checks) + (select count(*) from dead_letters)");
        usize::try_from(count).unwrap()
    }

    #[track_caller]
    fn look(&self, query: &str) -> i64 {
        let mut looking = self.looking.borrow_mut();
        // The server may have been started again meanwhile.
        if looking
            .as_mut()
            .is_none_or(|client| client.is_valid(Duration::from_secs(1)).is_err())
        {
            *looking = Some(self.prepared.client());
        }
        let client = looking.as_mut().unwrap();
        client.query_one(query, &[]).unwrap().get(0)
    }

    /// From now on there are as many; the topic is the caller's to change.
    pub(super) fn grow(&mut self, partitions: usize) {
        self.made.resize(partitions, 0);
        self.ends.resize(partitions, 0);
    }

    /// Writes messages to a partition: mostly events, one in `dead_one_in` something else.
    pub(super) fn produce(
        &mut self,
        dice: &mut Dice,
        partition: i32,
        messages: u64,
        dead_one_in: u64,
    ) {
        let batch = self.make(dice, partition, messages, dead_one_in);
        self.kafka.produce(&self.topic, partition, &batch);
    }

    /// The same messages, for a caller that writes them its own way, in this order.
    pub(super) fn make(
        &mut self,
        dice: &mut Dice,
        partition: i32,
        messages: u64,
        dead_one_in: u64,
    ) -> Vec<(String, Vec<u8>)> {
        (0..messages)
            .map(|_| {
                if dice.one_in(dead_one_in) {
                    return self.dead_message(partition);
                }
                let event = self.event(dice, partition);
                (event.site.to_string(), event.to_json())
            })
            .collect()
    }

    /// Offsets of the partition that hold no message, such as a transaction's marker.
    pub(super) fn skip(&mut self, partition: i32, offsets: i64) {
        self.ends[partition as usize] += offsets;
    }

    fn event(&mut self, dice: &mut Dice, partition: i32) -> CheckEvent<'static> {
        let number = &mut self.made[partition as usize];
        let site = format!("p{partition}-{}", dice.between(0, SITES));
        let seconds_ago = BACK - *number;
        *number += 1;
        self.ends[partition as usize] += 1;
        let event = if dice.one_in(3) {
            down(&site, seconds_ago)
        } else {
            up(&site, seconds_ago)
        };
        self.events
            .insert((site, event.checked_at.as_microsecond()));
        event
    }

    fn dead_message(&mut self, partition: i32) -> (String, Vec<u8>) {
        let offset = &mut self.ends[partition as usize];
        self.dead_letters.insert((partition, *offset));
        *offset += 1;
        ("?".to_owned(), format!("no event {offset}").into_bytes())
    }

    /// In one snapshot, between any two transactions: what is recorded is what the offsets say.
    /// For topics without holes.
    #[track_caller]
    pub(super) fn offsets_say_what_is_recorded(&self) {
        let difference = self.look(
            "select (select count(*) from checks) + (select count(*) from dead_letters)
                  - (select coalesce(sum(next_offset), 0)::int8 from kafka_offsets)",
        );
        assert_eq!(
            difference, 0,
            "messages recorded and not counted by offsets"
        );
    }

    /// Sent = stored + dead-lettered, nothing twice, and what is derived from it is right.
    #[track_caller]
    pub(super) fn everything_once(&self) {
        let stored: Vec<(String, i64)> = self
            .prepared
            .checks()
            .into_iter()
            .map(|(site, at, _)| (site, at))
            .collect();
        let distinct: BTreeSet<_> = stored.iter().cloned().collect();
        assert_eq!(stored.len(), distinct.len(), "checks stored twice");
        let lost: Vec<_> = self.events.difference(&distinct).collect();
        let strange: Vec<_> = distinct.difference(&self.events).collect();
        assert!(
            lost.is_empty() && strange.is_empty(),
            "{} lost, such as {:?}; {} never sent, such as {:?}",
            lost.len(),
            lost.first(),
            strange.len(),
            strange.first()
        );
        let dead_letters: Vec<(i32, i64)> = self
            .prepared
            .client()
            .query("select partition, message_offset from dead_letters", &[])
            .unwrap()
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        assert_eq!(
            dead_letters.len(),
            self.dead_letters.len(),
            "dead letters, each once"
        );
        assert_eq!(
            dead_letters.into_iter().collect::<BTreeSet<_>>(),
            self.dead_letters
        );

        let offsets: BTreeMap<i32, i64> = self
            .prepared
            .client()
            .query(
                "select partition, next_offset from kafka_offsets where next_offset > 0",
                &[],
            )
            .unwrap()
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        let ends: BTreeMap<i32, i64> = (0..)
            .zip(self.ends.iter().copied())
            .filter(|(_, end)| *end > 0)
            .collect();
        assert_eq!(offsets, ends, "stored offsets and ends");
        self.states_follow_from_checks();
    }

    /// The state of each site is what its checks, in order, lead to.
    #[track_caller]
    fn states_follow_from_checks(&self) {
        let mut checks: BTreeMap<i32, Vec<Known>> = BTreeMap::new();
        let mut client = self.prepared.client();
        let micros = |column: &str| format!("(extract(epoch from {column}) * 1000000)::int8");
        let query = format!(
            "select website_id, {}, up, maintenance from checks order by 1, 2",
            micros("checked_at")
        );
        for row in client.query(&query, &[]).unwrap() {
            checks.entry(row.get(0)).or_default().push(Known {
                at: row.get(1),
                up: row.get(2),
                maintenance: row.get(3),
            });
        }
        let expected: BTreeMap<i32, State> = checks
            .iter()
            .map(|(website, checks)| (*website, State::of(checks)))
            .collect();
        let query = format!(
            "select website_id, {}, {}, up from current_states",
            micros("checked_at"),
            micros("since")
        );
        let states: BTreeMap<i32, State> = client
            .query(&query, &[])
            .unwrap()
            .iter()
            .map(|row| {
                let state = State {
                    checked_at: row.get(1),
                    since: row.get(2),
                    up: row.get(3),
                };
                (row.get(0), state)
            })
            .collect();
        assert_eq!(states, expected);
    }
}
