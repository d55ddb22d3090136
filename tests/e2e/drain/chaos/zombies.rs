//! Zombies: suspended in the middle, fenced by another drain, and resumed.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use sitewatch_tests::command::{Run, Running};
use sitewatch_tests::kafka::Version;
use sitewatch_tests::{shared, wait};

use super::{Dice, Ledger, ended_well};

/// Far more than a small backlog needs.
const TIMEOUT: Duration = Duration::from_secs(180);

const ROUNDS: u32 = 6;

/// Ends the sessions that hold partition locks, as a forgetful pooler or firewall does.
fn end_partition_locks(ledger: &Ledger<'_>) {
    shared::postgres()
        .superuser()
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = $1 and exists (
                 select from pg_locks where locktype = 'advisory' and pg_locks.pid = pg_stat_activity.pid
                     -- Writers share another one.
                     and mode = 'ExclusiveLock')",
            &[&ledger.prepared.database.name()],
        )
        .unwrap();
}

/// Small batches, and no long wait for what a zombie has locked.
fn drain(ledger: &Ledger<'_>, dice: &mut Dice) -> Run {
    ledger
        .drain()
        .var("DRAIN_BATCH_SIZE", dice.between(5, 26).to_string())
        .var("DATABASE_STATEMENT_TIMEOUT", "1s")
        .var("DATABASE_LOCK_TIMEOUT", "500ms")
}

/// A drain suspended between its first batch and its last.
fn suspend(ledger: &Ledger<'_>, dice: &mut Dice, run: Run) -> Running {
    let mut run = run.spawn();
    wait::until("a batch is recorded", TIMEOUT, || ledger.recorded() > 0);
    let instant = Duration::from_micros(dice.between(0, 20_000));
    wait::holds_within(instant, || run.has_ended());
    run.signal(Signal::STOP);
    assert!(ledger.recorded() < ledger.sent(), "suspended too late");
    run
}

/// The same, when none of its writers is in a transaction: one that is PostgreSQL would end.
fn suspend_between_batches(ledger: &Ledger<'_>, dice: &mut Dice, run: Run) -> Running {
    let run = suspend(ledger, dice, run);
    let writes = || {
        ledger.prepared.count(
            "select count(*) from pg_stat_activity
             where datname = current_database() and application_name = 'sitewatch drain'
                 and xact_start is not null and not exists (
                     select from pg_locks where locktype = 'advisory'
                         and pg_locks.pid = pg_stat_activity.pid and mode = 'ExclusiveLock')",
        )
    };
    // A COMMIT that is under way comes to its end.
    while !wait::holds_within(Duration::from_millis(50), || writes() == 0) {
        run.signal(Signal::CONT);
        std::thread::sleep(Duration::from_micros(dice.between(0, 5_000)));
        run.signal(Signal::STOP);
        assert!(ledger.recorded() < ledger.sent(), "suspended too late");
    }
    run
}

/// What it writes once it is resumed must find that it was fenced: no lock keeps it from
/// writing.
#[test]
fn a_zombie_is_fenced_and_changes_nothing() {
    let mut dice = Dice::new("zombie");
    let mut fenced = 0;
    for round in 0..ROUNDS {
        let mut ledger = Ledger::new("zombie", shared::kafka(Version::V4_1), 2);
        for partition in 0..2 {
            ledger.produce(&mut dice, partition, 800, 50);
        }
        let zombie = drain(&ledger, &mut dice);
        let zombie = if round % 2 == 0 {
            suspend_between_batches(&ledger, &mut dice, zombie)
        } else {
            suspend(&ledger, &mut dice, zombie)
        };
        wait::until("another drain has done all of it", TIMEOUT, || {
            end_partition_locks(&ledger);
            let other = drain(&ledger, &mut dice).run();
            assert!(matches!(other.code, Some(0 | 75)), "it {other}");
            ledger.recorded() == ledger.sent()
        });
        ledger.everything_once();

        zombie.signal(Signal::CONT);
        let finished = zombie.wait();
        ended_well(&finished);
        fenced += u32::from(finished.stderr.contains("by another drain"));
        ledger.everything_once();
    }
    println!("{fenced} of {ROUNDS} were fenced");
    assert!(fenced > 0, "no zombie met what another drain had done");
}

/// Nobody helps: PostgreSQL itself takes the partitions from a drain that should have ended.
#[test]
fn a_zombie_keeps_its_partitions_no_longer_than_its_deadline() {
    let mut dice = Dice::new("deadline");
    let mut ledger = Ledger::new("deadline", shared::kafka(Version::V4_1), 2);
    for partition in 0..2 {
        ledger.produce(&mut dice, partition, 1_500, 50);
    }
    let zombie = drain(&ledger, &mut dice).var("DRAIN_DEADLINE", "5s");
    let zombie = suspend(&ledger, &mut dice, zombie);
    drain(&ledger, &mut dice)
        .run()
        .exits(0)
        .stderr_has("2 partitions left to another drain");
    wait::until("another drain has done all of it", TIMEOUT, || {
        drain(&ledger, &mut dice).run().exits(0);
        ledger.recorded() == ledger.sent()
    });
    ledger.everything_once();
    zombie.signal(Signal::CONT);
    let finished = zombie.wait();
    assert!(matches!(finished.code, Some(69 | 75)), "it {finished}");
    ledger.everything_once();
}

/// While PostgreSQL waits for a COPY's rows it heeds no time limit of its own, so what a drain
/// suspended just there has locked is freed by the next drain.
#[test]
fn a_zombie_within_its_copy_holds_up_nobody() {
    let mut dice = Dice::new("copy");
    let mut ledger = Ledger::new("copy", shared::kafka(Version::V4_1), 1);
    // Days and sites are there already, so the suspended batch holds no lock but its rows'.
    ledger.produce(&mut dice, 0, 50, 1_000);
    ledger.drain().run().exits(0);
    ledger.produce(&mut dice, 0, 50, 1_000);
    let (port, stuck) = stuck_in_copy();
    let url = ledger.prepared.url().replace(
        &format!(":{}/", shared::postgres().port()),
        &format!(":{port}/"),
    );
    let zombie = drain(&ledger, &mut dice)
        .var("DATABASE_URL", url)
        .var("DATABASE_SSLMODE", "disable")
        .spawn();
    wait::until("a COPY is stuck", TIMEOUT, || stuck.load(Ordering::SeqCst));
    zombie.signal(Signal::STOP);

    let mut freed = false;
    wait::until("another drain has done all of it", TIMEOUT, || {
        end_partition_locks(&ledger);
        let other = drain(&ledger, &mut dice).run();
        assert!(matches!(other.code, Some(0 | 75)), "it {other}");
        freed |= other.stderr.contains("zombie");
        ledger.recorded() == ledger.sent()
    });
    assert!(freed, "nobody said why");
    ledger.everything_once();
    zombie.signal(Signal::CONT);
    ended_well(&zombie.wait());
    ledger.everything_once();
}

/// Carries connections to PostgreSQL, but of a COPY nothing after the first bytes of its rows.
fn stuck_in_copy() -> (u16, Arc<AtomicBool>) {
    const SIGNATURE: &[u8] = b"PGCOPY\n";
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let stuck = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stuck);
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", shared::postgres().port())).unwrap();
            let (mut from_server, mut to_client) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                // Whatever ends it ends the connection.
                std::io::copy(&mut from_server, &mut to_client).ok();
                to_client.shutdown(Shutdown::Both).ok();
            });
            let told = Arc::clone(&told);
            thread::spawn(move || {
                let mut buffer = [0; 1 << 16];
                while let Ok(read @ 1..) = client.read(&mut buffer) {
                    let said = &buffer[..read];
                    let copy = said
                        .windows(SIGNATURE.len())
                        .position(|window| window == SIGNATURE);
                    let carried = &said[..copy.map_or(read, |at| at + SIGNATURE.len())];
                    if server.write_all(carried).is_err() {
                        break;
                    }
                    if copy.is_some() {
                        told.store(true, Ordering::SeqCst);
                        // Open, and silent, for as long as the client is there.
                        while let Ok(1..) = client.read(&mut buffer) {}
                        break;
                    }
                }
            });
        }
    });
    (port, stuck)
}
