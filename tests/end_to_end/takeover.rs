//! A daemon that was paused comes back after another one has taken over.

use std::time::Duration;

use aqueduct::demo::simulator::{Options, Simulator};
use nix::sys::signal::Signal;

use crate::{
    job::{Brokers, Job, LIMIT, PipelineText},
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
