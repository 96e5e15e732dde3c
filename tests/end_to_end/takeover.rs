//! A daemon that was paused comes back after another one has taken over.

use std::time::Duration;

use aqueduct::demo::simulator::{Options, Simulator};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    job::{Brokers, Daemon, Job, LIMIT, PipelineText},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
};

const RESULTS: u64 = 50;
const PAGES: u64 = 400;

#[test]
fn a_paused_daemon_that_comes_back_writes_nothing_and_does_not_push_the_new_owner_out() {
    let simulator = Simulator::start(Options {
        delay: Duration::from_millis(30),
        ..Options::default()
    })
    .unwrap();
    let name = unique("takeover");
    let text = || PipelineText::users(&name, &simulator.url(), RESULTS, PAGES);
    let table = text().table;
    let brokers = Brokers::Kafka(TestKafka::shared().address().to_owned());
    let job = Job::new(TestDatabase::empty(), &brokers, &[text()]);
    job.write_config("second.toml", &brokers, &[text()]);
    let settled = || job.try_count(&format!("SELECT count(*) FROM {table}")).unwrap_or(0);

    let mut first = job.start("config.toml", &["run"], "first.log");
    wait_for("the first daemon works", LIMIT, || settled() > 2_000);
    first.signal(Signal::SIGSTOP);
    let mut second = job.start("second.toml", &["run"], "second.log");
    let at_takeover = settled();
    wait_for("the second daemon has taken over", LIMIT, || {
        settled() > at_takeover + 2_000
    });
    let epochs = || job.count("SELECT sum(epoch) FROM aqueduct.offsets");
    let owners = || job.texts("SELECT DISTINCT split_part(owner, ' ', 1) FROM aqueduct.offsets");
    let (epochs_before, owners_before) = (epochs(), owners());
    assert_eq!(
        owners_before.len(),
        1,
        "the second owns every partition: {owners_before:?}"
    );

    // It wakes up in the middle of whatever it was doing, finds out, and joins again as a member like any other: then
    // partitions move by agreement. What it had in hand is refused.
    first.signal(Signal::SIGCONT);
    wait_for("all rows are there", LIMIT, || {
        assert!(
            second.is_running() && first.is_running(),
            "{}\n{}",
            first.tail(),
            second.tail()
        );
        settled() >= (RESULTS * PAGES).cast_signed()
    });
    assert!(epochs() >= epochs_before);
    assert_eq!(job.count(&format!("SELECT count(DISTINCT uuid) FROM {table}")), 20_000);
    assert_eq!(settled(), 20_000);
    assert_eq!(job.count("SELECT count(*) FROM aqueduct.dead_letters"), 0);
    assert_eq!(first.terminate().code(), Some(0), "{}", first.tail());
    assert_eq!(second.terminate().code(), Some(0), "{}", second.tail());
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
}

/// The daemons of the group, as one of them tells: name, shards, partitions.
fn members(job: &Job, config: &str) -> Vec<(String, Vec<i64>, Vec<i64>)> {
    let status = job.status(config).unwrap_or_default();
    let members = status["pipelines"][0]["members"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let numbers = |value: &Value| {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_i64().unwrap())
            .collect()
    };
    let read = |member: &Value| {
        let name = member["name"].as_str().unwrap().to_owned();
        (name, numbers(&member["shards"]), numbers(&member["partitions"]))
    };
    members.iter().map(read).collect()
}

#[test]
fn each_daemon_of_a_group_tells_who_of_them_has_which_shard_and_which_partition_as_they_come_and_go() {
    let simulator = Simulator::start(Options {
        delay: Duration::from_millis(50),
        ..Options::default()
    })
    .unwrap();
    let text = PipelineText::users(&unique("group"), &simulator.url(), RESULTS, 1_000_000);
    let brokers = Brokers::Kafka(TestKafka::shared().address().to_owned());
    let job = Job::new(TestDatabase::empty(), &brokers, std::slice::from_ref(&text));
    let configs = ["config.toml", "second.toml", "third.toml"];
    for config in &configs[1..] {
        job.write_config(config, &brokers, std::slice::from_ref(&text));
    }
    let mut daemons: Vec<_> = configs
        .iter()
        .map(|config| job.start(config, &["run"], &format!("{config}.log")))
        .collect();

    // Each of those that are there says the same, and everything has one owner.
    let until_all_agree = |daemons: &mut [Daemon], alive: &[usize]| {
        let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
        let mut names: Vec<String> = alive
            .iter()
            .map(|at| format!("{host}:{}", daemons[*at].pid()))
            .collect();
        names.sort();
        let mut seen = Vec::new();
        wait_for(&format!("{} daemons agree", alive.len()), LIMIT, || {
            seen = members(&job, configs[alive[0]]);
            let mut shards: Vec<i64> = seen.iter().flat_map(|member| member.1.clone()).collect();
            let mut partitions: Vec<i64> = seen.iter().flat_map(|member| member.2.clone()).collect();
            shards.sort_unstable();
            partitions.sort_unstable();
            let is_whole = shards == [0, 1] && partitions == [0, 1, 2];
            is_whole
                && seen.iter().map(|member| &member.0).eq(&names)
                && alive.iter().all(|at| members(&job, configs[*at]) == seen)
        });
        seen
    };
    let seen = until_all_agree(&mut daemons, &[0, 1, 2]);
    assert!(
        seen.iter().all(|member| member.2.len() == 1),
        "a partition each: {seen:?}"
    );
    let said = job.command("third.toml", &["status"]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(seen.iter().all(|member| said.contains(&member.0)), "{said}");

    daemons[1].kill9();
    until_all_agree(&mut daemons, &[0, 2]);
    assert_eq!(daemons[0].terminate().code(), Some(0), "{}", daemons[0].tail());
    until_all_agree(&mut daemons, &[2]);
    // What PostgreSQL has been told says the same, once it moves on.
    let owners = "SELECT DISTINCT split_part(owner, ' ', 1) FROM aqueduct.offsets";
    let last = format!(":{}", daemons[2].pid());
    wait_for("it has claimed all", LIMIT, || {
        let owners = job.texts(owners);
        owners.len() == 1 && owners[0].ends_with(&last)
    });
    assert_eq!(daemons[2].terminate().code(), Some(0), "{}", daemons[2].tail());
}
