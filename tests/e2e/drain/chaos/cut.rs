//! Connections cut and silenced at any byte, servers that end and come back.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sitewatch_tests::command::{Run, Running};
use sitewatch_tests::kafka::{Kafka, Version};
use sitewatch_tests::postgres::Postgres;
use sitewatch_tests::proxy::{Direction, Proxy};
use sitewatch_tests::shared;
use sitewatch_tests::wait::{self, SOON};

use super::{Dice, Ledger, ended_well};
use crate::support::{Prepared, unique};

const TIMEOUT: Duration = Duration::from_secs(60);

const CUTS: usize = 80;

const WAYS: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

/// A ledger whose drains reach PostgreSQL through a proxy.
struct Cable {
    ledger: Ledger<'static>,
    proxy: Proxy,
}

impl Cable {
    fn new(story: &str, partitions: u16) -> Self {
        let ledger = Ledger::new(story, shared::kafka(Version::V4_1), partitions);
        Self {
            ledger,
            proxy: Proxy::to((Ipv4Addr::LOCALHOST, shared::postgres().port())),
        }
    }

    /// A proxy without anything left of the last one.
    fn renew(&mut self) {
        self.proxy = Proxy::to((Ipv4Addr::LOCALHOST, shared::postgres().port()));
    }

    fn drain(&self) -> Run {
        let url = self.ledger.prepared.url().replace(
            &format!(":{}/", shared::postgres().port()),
            &format!(":{}/", self.proxy.port()),
        );
        self.ledger
            .drain()
            .var("DATABASE_URL", url)
            // Unencrypted, a byte more or less is a byte of the protocol.
            .var("DATABASE_SSLMODE", "disable")
    }

    fn bytes(&self) -> [u64; 2] {
        WAYS.map(|direction| self.proxy.bytes(direction))
    }
}

#[test]
fn a_connection_cut_at_any_byte_loses_and_repeats_nothing() {
    let mut dice = Dice::new("cut");
    let mut cable = Cable::new("cut", 2);
    let (mut cut, mut done) = (0, 0);
    // What a run that is not cut carries in each direction.
    let mut whole = [0, 0];
    for number in 0..CUTS {
        for partition in 0..2 {
            cable.ledger.produce(&mut dice, partition, 25, 20);
        }
        let before = cable.bytes();
        if number > 0 {
            let way = dice.between(0, 2) as usize;
            let bytes = dice.between(1, whole[way] * 9 / 8);
            cable.proxy.cut_after(bytes, WAYS[way]);
        }
        let finished = cable
            .drain()
            .var("DRAIN_BATCH_SIZE", dice.between(5, 26).to_string())
            .run();
        ended_well(&finished);
        if finished.code == Some(0) {
            done += 1;
            let now = cable.bytes();
            whole = [now[0] - before[0], now[1] - before[1]];
            // A limit that was not reached would cut the next run.
            cable.renew();
        } else {
            cut += 1;
        }
        cable.ledger.offsets_say_what_is_recorded();
    }
    println!("{cut} runs were cut, {done} were not");
    assert!(cut > CUTS / 2, "only {cut} runs were cut");
    cable.ledger.drain().run().exits(0);
    cable.ledger.everything_once();
}

/// PostgreSQL does what it was asked, and the drain never hears of it: it cannot know whether its
/// batch is recorded.
#[test]
fn a_commit_whose_answer_is_lost_is_neither_lost_nor_repeated() {
    let mut dice = Dice::new("commit");
    let mut ledger = Ledger::new("commit", shared::kafka(Version::V4_1), 1);
    let mut unknown = 0;
    // Four batches; a few more commits are made before and after them.
    for number in 1..=8 {
        ledger.produce(&mut dice, 0, 20, 1_000);
        let port = deaf_after_commit(number);
        let url = ledger.prepared.url().replace(
            &format!(":{}/", shared::postgres().port()),
            &format!(":{port}/"),
        );
        let finished = ledger
            .drain()
            .var("DATABASE_URL", url)
            .var("DATABASE_SSLMODE", "disable")
            .var("DRAIN_BATCH_SIZE", "5")
            .run();
        ended_well(&finished);
        // A run that failed although all of its work is recorded: the last batch's answer was lost.
        // PostgreSQL may still be at it.
        unknown += u32::from(
            finished.code == Some(69)
                && wait::holds_within(Duration::from_millis(500), || {
                    ledger.recorded() == ledger.sent()
                }),
        );
        ledger.offsets_say_what_is_recorded();
        ledger.drain().run().exits(0);
        assert_eq!(ledger.recorded(), ledger.sent());
    }
    println!("{unknown} runs failed with all of their work recorded");
    assert!(unknown > 0, "no run lost the answer to its last COMMIT");
    ledger.everything_once();
}

/// Carries connections to PostgreSQL until the given COMMIT, counted over all of them: that one
/// still reaches the server, and whatever the server says from then on reaches nobody.
fn deaf_after_commit(number: usize) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let commits = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let server = TcpStream::connect(("127.0.0.1", shared::postgres().port())).unwrap();
            let (mut from_server, mut to_client) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            let deaf = Arc::new(AtomicBool::new(false));
            let answers = Arc::clone(&deaf);
            thread::spawn(move || {
                let mut buffer = [0; 1 << 16];
                while let Ok(read @ 1..) = from_server.read(&mut buffer) {
                    if answers.load(Ordering::SeqCst)
                        || to_client.write_all(&buffer[..read]).is_err()
                    {
                        break;
                    }
                }
                to_client.shutdown(Shutdown::Both).ok();
            });
            let commits = Arc::clone(&commits);
            thread::spawn(move || carry(client, server, &commits, number, &deaf));
        }
    });
    port
}

fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    commits: &AtomicUsize,
    number: usize,
    deaf: &AtomicBool,
) {
    const COMMIT: &[u8] = b"COMMIT\0";
    let mut buffer = [0; 1 << 16];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        let said = &buffer[..read];
        if said.windows(COMMIT.len()).any(|window| window == COMMIT)
            && commits.fetch_add(1, Ordering::SeqCst) + 1 == number
        {
            // Before it is sent: the answer must not be quicker.
            deaf.store(true, Ordering::SeqCst);
        }
        if server.write_all(said).is_err() {
            break;
        }
    }
    server.shutdown(Shutdown::Write).ok();
}

#[test]
fn a_postgresql_that_falls_silent_costs_a_deadline_and_nothing_else() {
    let mut dice = Dice::new("stall");
    let mut cable = Cable::new("stall", 2);
    for _ in 0..3 {
        for partition in 0..2 {
            cable.ledger.produce(&mut dice, partition, 1_000, 50);
        }
        let mut deadline = 1;
        let drain = loop {
            let before = cable.ledger.recorded();
            let mut drain = cable
                .drain()
                .var("DRAIN_BATCH_SIZE", "5")
                .var("DRAIN_DEADLINE", format!("{deadline}s"))
                .spawn();
            wait::until("a batch is recorded, or never will be", TIMEOUT, || {
                cable.ledger.recorded() > before || drain.has_ended()
            });
            if !drain.has_ended() {
                break drain;
            }
            // A busy machine takes that long to begin.
            deadline *= 2;
        };
        cable.proxy.stall();
        let finished = drain.wait();
        assert!(matches!(finished.code, Some(69 | 75)), "it {finished}");
        assert!(finished.elapsed < SOON, "it {finished}");
        cable.proxy.cut();
        cable.proxy.resume();
        cable.ledger.offsets_say_what_is_recorded();
    }
    cable.ledger.drain().run().exits(0);
    cable.ledger.everything_once();
}

#[test]
fn a_postgresql_that_ends_and_comes_back_loses_and_repeats_nothing() {
    let mut dice = Dice::new("restart");
    let server = Postgres::start(None);
    let prepared = Prepared::on(&server, "restart");
    let mut ledger = Ledger::over(prepared, "restart", shared::kafka(Version::V4_1), 2);
    for power_cut in [false, true, false, true] {
        for partition in 0..2 {
            ledger.produce(&mut dice, partition, 2_000, 50);
        }
        let before = ledger.recorded();
        let drain = ledger.drain().var("DRAIN_BATCH_SIZE", "5").spawn();
        wait::until("a batch is recorded", TIMEOUT, || {
            ledger.recorded() > before
        });
        if power_cut {
            server.kill();
        } else {
            server.stop();
        }
        let finished = drain.wait().exits(69);
        assert!(finished.elapsed < TIMEOUT, "it {finished}");
        server.start_again();
        ledger.offsets_say_what_is_recorded();
    }
    ledger.drain().run().exits(0);
    ledger.everything_once();
}

/// A broker of our own, and drains that read it in small bites: one that has fetched all of its
/// work beforehand would not miss the broker.
struct Broker<'k> {
    ledger: Ledger<'k>,
    dice: Dice,
}

const SMALL_BITES: &str =
    "fetch.message.max.bytes=2000,queued.min.messages=10,queued.max.messages.kbytes=10";

impl<'k> Broker<'k> {
    fn new(story: &str, kafka: &'k Kafka) -> Self {
        Self {
            ledger: Ledger::new(story, kafka, 2),
            dice: Dice::new(story),
        }
    }

    /// The first of two brokers; both partitions are led by the second.
    fn led_by_the_second(story: &str, first: &'k Kafka) -> Self {
        wait::until("the cluster has two brokers", TIMEOUT, || {
            first.brokers() == 2
        });
        let topic = unique(story);
        first.create_topic_led_by(2, &topic, 2);
        Self {
            ledger: Ledger::of_topic(Prepared::new(story), topic, first, 2),
            dice: Dice::new(story),
        }
    }

    /// A drain that has begun to record.
    fn at_work(&mut self) -> Running {
        for partition in 0..2 {
            self.ledger.produce(&mut self.dice, partition, 800, 50);
        }
        let before = self.ledger.recorded();
        let drain = self
            .ledger
            .drain()
            .var("DRAIN_BATCH_SIZE", "5")
            .var("KAFKA_TIMEOUT", "3s")
            .var("KAFKA_OPTIONS", SMALL_BITES)
            .var("LOG_LEVEL", "debug")
            .spawn();
        wait::until("a batch is recorded", TIMEOUT, || {
            self.ledger.recorded() > before
        });
        drain
    }

    #[track_caller]
    fn the_rest_follows(&self) {
        self.ledger.offsets_say_what_is_recorded();
        self.ledger.drain().run().exits(0);
        self.ledger.everything_once();
    }
}

#[test]
fn a_kafka_that_is_gone_ends_the_run_and_loses_nothing() {
    let kafka = shared::borrow_kafka(Version::V4_1);
    let mut broker = Broker::new("gone", &kafka);
    let run = broker.at_work();
    kafka.kill();
    let gone = Instant::now();
    let finished = run.wait().exits(69);
    // KAFKA_TIMEOUT, and a little for what comes after.
    assert!(gone.elapsed() < SOON, "{:?}: it {finished}", gone.elapsed());
    kafka.start_again();
    broker.the_rest_follows();
}

#[test]
fn leaders_that_move_to_another_broker_do_not_disturb_a_run() {
    for version in Version::ALL {
        let kafkas = shared::kafkas(version);
        let (first, second) = &*kafkas;
        for power_cut in [false, true] {
            // The round before left it that way.
            if second.pid().is_none() {
                second.start_again();
            }
            let mut broker = Broker::led_by_the_second("moves", first);
            let run = broker.at_work();
            if power_cut {
                second.kill();
            } else {
                second.stop();
            }
            run.wait().exits(0);
            broker.ledger.everything_once();
            assert_eq!(first.leaders(&broker.ledger.topic), [Some(1); 2]);
        }
    }
}

#[test]
fn a_kafka_that_is_paused_does_not_hold_a_run_that_should_end() {
    let kafka = shared::borrow_kafka(Version::V4_1);
    let mut broker = Broker::new("mute", &kafka);
    let run = broker.at_work();
    kafka.pause();
    let asked = Instant::now();
    run.signal(Signal::TERM);
    let finished = run.wait();
    assert!(matches!(finished.code, Some(69 | 75)), "it {finished}");
    assert!(
        asked.elapsed() < SOON,
        "{:?}: it {finished}",
        asked.elapsed()
    );
    kafka.resume();
    broker.the_rest_follows();
}

#[test]
fn a_kafka_that_comes_back_in_time_is_read_on() {
    let kafka = shared::borrow_kafka(Version::V4_1);
    let mut broker = Broker::new("back", &kafka);
    let run = broker.at_work();
    kafka.pause();
    wait::holds_within(Duration::from_millis(700), || false);
    assert!(
        broker.ledger.recorded() < broker.ledger.sent(),
        "the pause came too late"
    );
    kafka.resume();
    run.wait().exits(0);

    let run = broker.at_work();
    kafka.stop();
    kafka.start_again();
    ended_well(&run.wait());
    broker.the_rest_follows();
}
