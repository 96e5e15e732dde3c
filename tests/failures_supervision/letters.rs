//! The brake on dead letters: a topic is not poured into them.

use aqueduct::demo::simulator::{Options, Simulator};

use crate::{
    door::{edit_config, until_not_ready},
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::unique,
    postgres::{TestDatabase, wait_for},
};

#[test]
fn a_missing_partition_of_the_table_parks_the_pipeline_and_it_goes_on_by_itself_when_the_partition_is_there() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let name = unique("parted").to_lowercase();
    let mut pipeline = PipelineText::users(&name, &simulator.url(), 300, 4);
    pipeline.extra = "dead_letters.max = \"100 in 1h\"".into();
    let table = pipeline.table.clone();
    let database = TestDatabase::empty();
    database.execute(&format!(
        "CREATE TABLE {table} (uuid text, age int, born_at timestamptz, email text, nat text) PARTITION BY RANGE (born_at); \
         CREATE TABLE {table}_old PARTITION OF {table} FOR VALUES FROM ('1700-01-01') TO ('1800-01-01')"
    ));
    let job = Job::new(database, &Brokers::Embedded, &[pipeline]);
    edit_config(
        &job,
        &[("backoff = \"100ms\"", "backoff = \"100ms\"\nbackoff_max = \"1s\"")],
    );
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    let mut problem = serde_json::Value::Null;
    wait_for("the pipeline is parked", LIMIT, || {
        problem = until_not_ready(&job, &mut daemon, "branch");
        problem["reason"].as_str().unwrap().starts_with("it is parked")
    });
    let reason = problem["reason"].as_str().unwrap();
    for part in [
        "more than 100 dead letters",
        "23514",
        "no partition of relation",
        "nothing of this batch was written",
    ] {
        assert!(reason.contains(part), "{reason}");
    }
    // It was tried again, and again nothing of a batch was kept.
    wait_for("it was tried again", LIMIT, || {
        let status = job.status("config.toml").unwrap();
        let load = &status["pipelines"][0]["branches"][1];
        load["children"]
            .as_array()
            .unwrap()
            .iter()
            .any(|actor| actor["life"].as_u64() > Some(2))
    });
    // In one look: it may be trying again.
    let uncounted =
        "SELECT (SELECT count(*) FROM aqueduct.dead_letters) - coalesce(sum(dead), 0) FROM aqueduct.offsets";
    assert_eq!(job.count(uncounted), 0);
    assert_eq!(job.count(&format!("SELECT count(*) FROM {table}")), 0);

    job.database
        .execute(&format!("CREATE TABLE {table}_rest PARTITION OF {table} DEFAULT"));
    wait_for("the rest is loaded", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        job.count(&format!(
            "SELECT (SELECT count(*) FROM {table}) + (SELECT count(*) FROM aqueduct.dead_letters)"
        )) == 1_200
    });
    // A batch of a few records may have been written between the tries.
    let dead = job.count("SELECT count(*) FROM aqueduct.dead_letters");
    assert!(dead <= 100, "{dead} dead letters where 100 are allowed");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    // What had become a dead letter is loaded by a person, once.
    let args = [
        "dead-letters",
        "replay",
        "--pipeline",
        &name,
        "--reason",
        "no partition",
        "--since",
        "1h",
        "--json",
    ];
    for applied in [dead, 0] {
        let output = job.command("config.toml", &args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let replayed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = replayed
            .as_array()
            .unwrap()
            .first()
            .map_or(0, |one| one["applied"].as_i64().unwrap());
        assert_eq!(found, applied, "{replayed:#}");
    }
    assert_eq!(job.count(&format!("SELECT count(DISTINCT uuid) FROM {table}")), 1_200);
    assert_eq!(job.count(&format!("SELECT count(*) FROM {table}")), 1_200);
    assert!(job.run_once().contains("the ledger adds up"));
}
