//! Daemons that come and go: one, two, four, eight of them on one pipeline of 64 partitions and 32 shards, started, ended in
//! order and killed at random. After each change everything has an owner again, and at the end each record is there once.
//!
//! Without variables it is the short form, from a fixed seed. `AQUEDUCT_SIMULATION_SECONDS=600` asks for the long form,
//! `AQUEDUCT_SIMULATION_SEED` for the changes of an earlier run.

#![allow(clippy::unwrap_used, reason = "a run that cannot go on has failed")]

#[path = "support/door.rs"]
mod door;
#[path = "support/job.rs"]
mod job;
#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/postgres.rs"]
mod postgres;

use std::{collections::BTreeSet, time::Duration};

use aqueduct::demo::simulator::{Options, Simulator};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::Value;
use tokio::time::Instant;

use door::edit_config;
use job::{Brokers, Daemon, Job, LIMIT, PipelineText};
use kafka::{TestKafka, unique};
use postgres::{TestDatabase, wait_for};

const NUM_PARTITIONS: usize = 64;
const NUM_SHARDS: u64 = 32;
const MOST_DAEMONS: usize = 8;

/// The API has no more: like the real one it begins anew behind it.
const LAST_PAGE: u64 = 10_000;
/// So that the shards have not fetched them all within ten minutes.
const PAGE_TAKES: Duration = Duration::from_secs(2);

/// The first changes: up to eight and down to one. Then chance decides.
const STAIRS: [usize; 6] = [1, 2, 4, 8, 3, 1];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// What a change was, and how long it took until everything had an owner again.
struct Change {
    what: String,
    num_daemons: usize,
    took: Duration,
}

struct Group {
    job: Job,
    slots: Vec<Option<Daemon>>,
    changes: Vec<Change>,
}

impl Group {
    fn config(slot: usize) -> String {
        format!("daemon-{slot}.toml")
    }

    fn running(&self) -> Vec<usize> {
        (0..self.slots.len())
            .filter(|slot| self.slots[*slot].is_some())
            .collect()
    }

    fn start(&mut self, slot: usize) {
        let log = format!("daemon-{slot}.log");
        self.slots[slot] = Some(self.job.start(&Self::config(slot), &["run"], &log));
    }

    fn end(&mut self, slot: usize, is_killed: bool) {
        let mut daemon = self.slots[slot].take().unwrap();
        if is_killed {
            daemon.kill9();
        } else {
            assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
        }
    }

    /// Waits until those that run share out everything among them, each of them a part, and one of them says so.
    fn until_whole(&mut self, what: String) {
        let begin = Instant::now();
        let running = self.running();
        let pids: BTreeSet<String> = running
            .iter()
            .map(|slot| self.slots[*slot].as_ref().unwrap().pid().to_string())
            .collect();
        let mut seen = Value::Null;
        wait_for(&format!("{what}: everything has an owner"), LIMIT, || {
            for slot in &running {
                let daemon = self.slots[*slot].as_mut().unwrap();
                assert!(daemon.is_running(), "{}", daemon.tail());
            }
            let status = self.job.status(&Self::config(running[0])).unwrap_or_default();
            seen = status["pipelines"][0]["members"].clone();
            let members = seen.as_array().cloned().unwrap_or_default();
            let of = |member: &Value| member["name"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
            let all = |key: &str| {
                let numbers = members
                    .iter()
                    .flat_map(|member| member[key].as_array().unwrap().clone());
                let mut numbers: Vec<i64> = numbers.map(|it| it.as_i64().unwrap()).collect();
                numbers.sort_unstable();
                numbers
            };
            members.iter().map(of).collect::<BTreeSet<_>>() == pids
                && members
                    .iter()
                    .all(|member| !member["partitions"].as_array().unwrap().is_empty())
                && all("partitions") == (0..NUM_PARTITIONS as i64).collect::<Vec<_>>()
                && all("shards") == (0..NUM_SHARDS as i64).collect::<Vec<_>>()
        });
        let num_daemons = running.len();
        let took = begin.elapsed();
        println!("{what}: {num_daemons} daemons, whole after {:.1} s", took.as_secs_f64());
        self.changes.push(Change {
            what,
            num_daemons,
            took,
        });
    }

    /// Up or down to so many.
    fn step_to(&mut self, num_daemons: usize, random: &mut StdRng) {
        while self.running().len() < num_daemons {
            let slot = (0..MOST_DAEMONS).find(|slot| self.slots[*slot].is_none()).unwrap();
            self.start(slot);
        }
        while self.running().len() > num_daemons {
            let slot = *self.running().choose(random).unwrap();
            let is_killed = random.random_bool(0.5);
            self.end(slot, is_killed);
        }
        self.until_whole(format!("{num_daemons} of them"));
    }

    /// One comes, goes, or dies.
    fn change(&mut self, random: &mut StdRng) {
        let running = self.running();
        let comes = running.len() == 1 || running.len() < MOST_DAEMONS && random.random_bool(0.5);
        let what = if comes {
            let free: Vec<usize> = (0..MOST_DAEMONS).filter(|slot| self.slots[*slot].is_none()).collect();
            let slot = *free.choose(random).unwrap();
            self.start(slot);
            format!("daemon {slot} comes")
        } else {
            let (slot, is_killed) = (*running.choose(random).unwrap(), random.random_bool(0.5));
            self.end(slot, is_killed);
            format!("daemon {slot} {}", if is_killed { "is killed" } else { "goes" })
        };
        // Now and then the next one comes before the group is whole again.
        if random.random_bool(0.7) {
            self.until_whole(what);
        } else {
            println!("{what}");
        }
    }

    fn report(&self) {
        let mut took: Vec<Duration> = self.changes.iter().map(|change| change.took).collect();
        took.sort_unstable();
        let longest = self.changes.iter().max_by_key(|change| change.took).unwrap();
        println!(
            "{} times everything had an owner again after {:.1} s in the middle, {:.1} s at most ({}, {} daemons)",
            took.len(),
            took[took.len() / 2].as_secs_f64(),
            longest.took.as_secs_f64(),
            longest.what,
            longest.num_daemons
        );
    }
}

#[test]
fn of_one_to_eight_daemons_that_come_go_and_die_each_shard_and_partition_has_an_owner_and_each_record_arrives_once() {
    let duration = number("AQUEDUCT_SIMULATION_SECONDS");
    let seed = number("AQUEDUCT_SIMULATION_SEED").unwrap_or(if duration.is_some() {
        rand::random::<u32>().into()
    } else {
        1
    });
    println!("AQUEDUCT_SIMULATION_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let simulator = Simulator::start(Options {
        delay: PAGE_TAKES,
        remember: true,
        ..Options::default()
    })
    .unwrap();
    let text = PipelineText {
        shards: NUM_SHARDS,
        sql: "SELECT login.uuid AS uuid, _partition AS part, _offset AS pos FROM records".into(),
        ..PipelineText::users(&unique("simulated"), &simulator.url(), 50, LAST_PAGE)
    };
    let brokers = Brokers::Kafka(TestKafka::shared().address().to_owned());
    let job = Job::new(TestDatabase::empty(), &brokers, std::slice::from_ref(&text));
    let partitions = [("partitions = 3", "partitions = 64")];
    edit_config(&job, &partitions);
    for slot in 0..MOST_DAEMONS {
        // A door of its own for each.
        let path = job.write_config(&Group::config(slot), &brokers, std::slice::from_ref(&text));
        let own = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, own.replacen(partitions[0].0, partitions[0].1, 1)).unwrap();
    }
    let mut group = Group {
        job,
        slots: (0..MOST_DAEMONS).map(|_| None).collect(),
        changes: Vec::new(),
    };

    let begin = Instant::now();
    let stairs: &[usize] = if duration.is_some() { &STAIRS } else { &[1, 4, 2] };
    for &num_daemons in stairs {
        group.step_to(num_daemons, &mut random);
    }
    while begin.elapsed() < Duration::from_secs(duration.unwrap_or(0)) {
        group.change(&mut random);
        std::thread::park_timeout(Duration::from_millis(random.random_range(500..5_000)));
    }
    group.until_whole("at the end".into());
    group.report();

    // Nothing was lost or doubled by all this.
    for slot in group.running() {
        group.end(slot, false);
    }
    let job = &group.job;
    edit_config(job, &[(&format!("last = {LAST_PAGE}"), "last = 1")]);
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "seed {seed}: {ledger}");
    let rows = job.texts(&format!("SELECT uuid FROM {}", text.table));
    let served: BTreeSet<String> = simulator.served_uuids().iter().map(ToString::to_string).collect();
    let twice = format!(
        "SELECT string_agg(part || '@' || pos, ' ' ORDER BY part, pos) || ' ' || uuid FROM {} GROUP BY uuid HAVING count(*) > 1",
        text.table
    );
    let twice = job.texts(&twice);
    assert!(
        rows.windows(2).all(|pair| pair[0] != pair[1]),
        "seed {seed}: {} rows came twice, like {:?} (partition@offset); {ledger}",
        twice.len(),
        &twice[..twice.len().min(40)]
    );
    assert!(rows.iter().all(|uuid| served.contains(uuid)), "seed {seed}");
    assert_eq!(
        rows.len() as i64,
        job.count("SELECT sum(consumed) FROM aqueduct.offsets"),
        "seed {seed}"
    );
    assert_eq!(
        job.count("SELECT count(*) FROM aqueduct.dead_letters"),
        0,
        "seed {seed}"
    );
    println!("{} records, each once", rows.len());
}
