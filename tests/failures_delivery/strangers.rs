//! A program of somebody's is in the pipeline's group, with an eager strategy.

use std::{fs, time::Duration};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use serde_json::Value;

use crate::{job::LIMIT, kafka::TestKafka, postgres::wait_for, slow::Shared};

/// Joins the pipeline's group as a tool might.
fn stranger(name: &str) -> BaseConsumer {
    let stranger: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", TestKafka::shared().address())
        .set("group.id", name)
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", "3000")
        // The default is as long as the session.
        .set("heartbeat.interval.ms", "500")
        .create()
        .unwrap();
    stranger.subscribe(&[name]).unwrap();
    stranger
}

/// The load branch is parked, everything is in the topic, and this is why nothing is loaded.
fn parked_with_everything_produced(status: &Value, num_records: i64) -> Option<String> {
    let pipeline = &status["pipelines"][0];
    let branches = pipeline["branches"].as_array()?;
    let parked = branches.iter().find(|branch| branch["state"] == "parked")?;
    (pipeline["ledger"]["produced"] == num_records).then(|| parked["reason"].as_str().unwrap().to_owned())
}

#[test]
fn a_stranger_with_an_eager_strategy_parks_the_load_branch_alone_with_the_remedy_until_it_leaves() {
    let shared = Shared::new("stranger", 60, "");
    let path = shared.job.dir.path().join("config.toml");
    let text = fs::read_to_string(&path).unwrap();
    let backoff = "backoff = \"100ms\"\n";
    assert!(text.contains(backoff));
    fs::write(
        &path,
        text.replace(backoff, &format!("{backoff}backoff_max = \"500ms\"\n")),
    )
    .unwrap();
    let mut daemon = shared.start("config.toml");
    shared.until_settled(100, &mut [&mut daemon]);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    let stranger = stranger(&shared.name);
    wait_for("the stranger has the partitions", LIMIT, || {
        let _ = stranger.poll(Duration::from_millis(20));
        stranger.assignment().unwrap().count() == 3
    });
    let (settled, claims) = (shared.num_settled(), shared.sum_of_epochs());

    let mut daemon = shared.start("config.toml");
    let mut reason = None;
    wait_for("the load branch is parked, and the other one at its end", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        let _ = stranger.poll(Duration::ZERO);
        let status = shared.job.status("config.toml");
        reason = status.and_then(|status| parked_with_everything_produced(&status, shared.num_records()));
        reason.is_some()
    });
    let reason = reason.unwrap();
    assert!(
        reason.contains(&shared.name)
            && reason.contains("another program is a member of this consumer group")
            && reason.contains("end it, or give the pipeline another name"),
        "{reason}"
    );
    assert_eq!((shared.num_settled(), shared.sum_of_epochs()), (settled, claims));

    drop(stranger);
    shared.until_settled(shared.num_records(), &mut [&mut daemon]);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    shared.verify();
}
