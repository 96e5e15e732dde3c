//! A position that is lost stops its partition alone, is named, and goes on when a person says so.

use std::time::Duration;

use aqueduct::demo::simulator::{Options, Simulator};
use nix::sys::signal::Signal;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::{
    filled::Filled,
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
};

#[test]
fn an_idle_partition_whose_old_records_are_deleted_by_retention_goes_on() {
    let filled = Filled::new("idle", 1);
    filled.append(0, 0..10);
    let mut daemon = filled.start();
    filled.until_rows(10, &mut daemon);
    // Ten records and the marker of their transaction.
    wait_for("it stands at the end", LIMIT, || filled.next_offset(0) == Some(11));
    filled.delete_before(0, 11);
    filled.append(0, 10..15);
    filled.until_rows(15, &mut daemon);
    wait_for("it stands at the end", LIMIT, || filled.next_offset(0) == Some(17));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());

    // Also when nobody was there.
    filled.delete_before(0, 17);
    let mut daemon = filled.start();
    filled.append(0, 15..20);
    filled.until_rows(20, &mut daemon);
    assert_eq!(filled.ids(), (0..20).collect::<Vec<_>>());
    assert_eq!(filled.status().unwrap()["lost"], json!([]));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}

#[test]
fn records_that_retention_deleted_before_they_were_loaded_stop_their_partition_with_the_lost_range() {
    let filled = Filled::new("passed", 2);
    filled.append(0, 0..10);
    filled.append(1, 100..105);
    let mut daemon = filled.start();
    filled.until_rows(15, &mut daemon);
    wait_for("it stands at the end", LIMIT, || filled.next_offset(0) == Some(11));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    // Offsets 11 to 30; 11 to 20 are lost: ids 10 to 19.
    filled.append(0, 10..30);
    filled.delete_before(0, 21);

    let mut daemon = filled.start();
    let lost = filled.until_lost("retention", &mut daemon);
    let named = ["topic", "partition", "from", "to"].map(|name| lost[name].clone());
    assert_eq!(named, [json!(filled.name), json!(0), json!(11), json!(20)]);
    let remedy = lost["remedy"].as_str().unwrap();
    assert_eq!(
        remedy,
        format!(
            "aqueduct offsets skip --pipeline {} --partition 0 --to-low",
            filled.name
        )
    );
    // The other partition goes on.
    filled.append(1, 105..110);
    filled.until_rows(20, &mut daemon);
    let (_, said) = filled.type_in("aqueduct status");
    for part in ["PARTITION 0 HAS STOPPED", "offsets 11 to 20", remedy] {
        assert!(said.contains(part), "{said}");
    }
    let (_, shown) = filled.type_in("aqueduct offsets show --json");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown[0]["next_offset"], &shown[0]["low"], &shown[0]["lost"]["to"]),
        (&json!(11), &json!(21), &json!(20))
    );
    assert!(
        shown[0]["state"]
            .as_str()
            .unwrap()
            .starts_with("stopped: offsets 11 to 20 are gone")
    );
    assert_eq!(
        (&shown[1]["state"], &shown[1]["lost"]),
        (&json!("reading"), &Value::Null)
    );
    assert!(shown[1]["owner"].as_str().unwrap().contains(" consumer-"), "{shown}");

    // What would be wrong is refused.
    let skip = format!("aqueduct offsets skip --pipeline {} --partition", filled.name);
    for (wrong, because) in [
        (format!("{skip} 0 --to 5"), "would read records twice"),
        (format!("{skip} 0 --to 15"), "is gone"),
        (format!("{skip} 0 --to 1000"), "is not there yet"),
        (format!("{skip} 1 --to-low"), "would read records twice"),
        (format!("{skip} 7 --to-low"), "never claimed"),
        (
            "aqueduct offsets skip --pipeline nobody --partition 0 --to-low".into(),
            "nobody",
        ),
    ] {
        let (code, said) = filled.type_in(&wrong);
        assert!(code == 64 && said.contains(because), "{wrong}: {code} {said}");
    }

    let (code, said) = filled.type_in(remedy);
    assert!(
        code == 0 && said.contains("goes on at 21") && said.contains("10 offsets were gone"),
        "{said}"
    );
    filled.until_rows(30, &mut daemon);
    let expected: Vec<i64> = (0..10).chain(20..30).chain(100..110).collect();
    assert_eq!(filled.ids(), expected);
    let status = filled.status().unwrap();
    assert_eq!(status["lost"], json!([]));
    assert_eq!(
        (&status["ledger"]["skipped"], &status["ledger"]["uncounted_skips"]),
        (&json!(0), &json!(1))
    );
    for branch in status["branches"].as_array().unwrap() {
        for actor in branch["children"].as_array().unwrap() {
            assert_eq!(actor["life"], 1, "a stop spent a restart: {actor:#}");
        }
    }
    let record =
        "SELECT skipped_from || ' ' || skipped_to || ' ' || num_uncounted_offsets || ' ' || reason FROM aqueduct.skips";
    let kept = filled.job.texts(record);
    assert!(
        kept.len() == 1 && kept[0].starts_with("11 21 10 offsets 11 to 20 are gone"),
        "{kept:?}"
    );

    // A part that is there is counted: two of the five records, and no marker.
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    filled.append(1, 110..115);
    let next = filled.next_offset(1).unwrap();
    let (code, said) = filled.type_in(&format!("{skip} 1 --to {}", next + 2));
    assert!(code == 0 && said.contains(": 2 records skipped"), "{said}");
    let mut daemon = filled.start();
    filled.until_rows(33, &mut daemon);
    let status = filled.status().unwrap();
    assert_eq!(
        (&status["ledger"]["skipped"], &status["ledger"]["uncounted_skips"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}

#[test]
fn a_topic_deleted_and_created_again_stops_with_the_lost_range_and_nothing_of_it_is_read_at_the_old_number() {
    let filled = Filled::new("again", 1);
    filled.append(0, 0..10);
    let mut daemon = filled.start();
    filled.until_rows(10, &mut daemon);
    wait_for("it stands at the end", LIMIT, || filled.next_offset(0) == Some(11));
    filled.delete();
    let lost = filled.until_lost("topic_absent", &mut daemon);
    assert_eq!((&lost["from"], &lost["to"]), (&json!(11), &Value::Null));
    let (code, said) = filled.type_in(&format!(
        "aqueduct offsets skip --pipeline {} --partition 0 --to-low",
        filled.name
    ));
    assert!(code == 64 && said.contains("does not exist"), "{said}");

    // More records than the old one had: offset 11 is there.
    filled.create(1);
    filled.append(0, 1000..1030);
    let lost = filled.until_lost("topic_replaced", &mut daemon);
    let named = ["topic", "partition", "from", "to"].map(|name| lost[name].clone());
    assert_eq!(named, [json!(filled.name), json!(0), json!(11), Value::Null]);
    assert_eq!(filled.ids(), (0..10).collect::<Vec<_>>(), "nothing is reset in silence");
    // Not by a restart, either.
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    let mut daemon = filled.start();
    wait_for("it has stopped again", LIMIT, || {
        filled.status().is_some_and(|status| {
            let state = status["live"]["partitions"]["0"]["state"].as_str();
            state.is_some_and(|state| state.starts_with("stopped: topic"))
        })
    });
    assert_eq!(filled.ids().len(), 10);

    let (code, said) = filled.type_in(lost["remedy"].as_str().unwrap());
    assert_eq!(code, 0, "{said}");
    filled.until_rows(40, &mut daemon);
    assert_eq!(filled.ids(), (0..10).chain(1000..1030).collect::<Vec<_>>());
    filled.append(0, 1030..1035);
    filled.until_rows(45, &mut daemon);
    assert_eq!(filled.status().unwrap()["lost"], json!([]));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}

#[test]
fn a_topic_created_again_with_fewer_records_stops_too() {
    let filled = Filled::new("fewer", 1);
    filled.append(0, 0..10);
    let mut daemon = filled.start();
    filled.until_rows(10, &mut daemon);
    filled.delete();
    filled.create(1);
    filled.append(0, 1000..1003);
    let lost = filled.until_lost("topic_replaced", &mut daemon);
    let (code, said) = filled.type_in(lost["remedy"].as_str().unwrap());
    assert_eq!(code, 0, "{said}");
    filled.until_rows(13, &mut daemon);
    assert_eq!(filled.ids(), (0..10).chain(1000..1003).collect::<Vec<_>>());
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}

/// No record and no error tells: the position fits the new topic by chance, and nothing comes after it.
#[test]
fn a_topic_created_again_is_noticed_by_an_idle_partition_whose_position_is_the_new_ones_end() {
    let filled = Filled::new("chance", 1);
    filled.append(0, 0..10);
    let mut daemon = filled.start();
    filled.until_rows(10, &mut daemon);
    wait_for("it stands at the end", LIMIT, || filled.next_offset(0) == Some(11));
    // It does not see the time between the two.
    daemon.signal(Signal::SIGSTOP);
    filled.delete();
    filled.create(1);
    filled.append(0, 1000..1010);
    daemon.signal(Signal::SIGCONT);
    let lost = filled.until_lost("topic_replaced", &mut daemon);
    assert_eq!((&lost["from"], &lost["to"]), (&json!(11), &Value::Null));
    assert_eq!(filled.ids(), (0..10).collect::<Vec<_>>());
    let (code, said) = filled.type_in(lost["remedy"].as_str().unwrap());
    assert_eq!(code, 0, "{said}");
    filled.until_rows(20, &mut daemon);
    assert_eq!(filled.ids(), (0..10).chain(1000..1010).collect::<Vec<_>>());
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}

/// PostgreSQL restored from a backup that is newer than the log.
#[test]
fn a_log_that_ends_before_the_position_stops_and_stays_stopped_when_it_has_grown_past_it() {
    let filled = Filled::new("ends", 1);
    filled.append(0, 0..10);
    let mut daemon = filled.start();
    filled.until_rows(10, &mut daemon);
    wait_for("it stands at the end", LIMIT, || filled.next_offset(0) == Some(11));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    filled
        .job
        .database
        .execute("UPDATE aqueduct.offsets SET next_offset = 50");
    let mut daemon = filled.start();
    let lost = filled.until_lost("log_end", &mut daemon);
    assert_eq!(
        (&lost["from"], &lost["to"], &lost["log_end"]),
        (&json!(50), &Value::Null, &json!(11))
    );
    // Twice, in case the daemon is at its first look.
    filled.append(0, 10..70);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    let mut daemon = filled.start();
    let lost = filled.until_lost("log_end", &mut daemon);
    assert_eq!(lost["log_end"], json!(11));
    wait_for("it has stopped again", LIMIT, || {
        filled.status().is_some_and(|status| {
            let state = status["live"]["partitions"]["0"]["state"].as_str();
            state.is_some_and(|state| state.starts_with("stopped: "))
        })
    });
    assert_eq!(filled.ids().len(), 10);
    // Without a daemon: straight in PostgreSQL.
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    let (code, said) = filled.type_in(lost["remedy"].as_str().unwrap());
    assert!(
        code == 0 && said.contains("stood at offset 50 and goes on at 11"),
        "{said}"
    );
    let mut daemon = filled.start();
    filled.until_rows(70, &mut daemon);
    assert_eq!(filled.ids(), (0..70).collect::<Vec<_>>());
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}

/// PostgreSQL restored from a backup that is older than what the log still holds.
#[test]
fn the_ledger_says_what_was_skipped_uncounted_and_adds_up() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let name = unique("restored");
    let pipeline = PipelineText::users(&name, &simulator.url(), 100, 7);
    let table = pipeline.table.clone();
    let brokers = TestKafka::shared().address().to_owned();
    let job = Job::new(TestDatabase::empty(), &Brokers::Kafka(brokers.clone()), &[pipeline]);
    job.run_once();
    let in_first = job.count("SELECT consumed FROM aqueduct.offsets WHERE partition = 0");
    let end = job.count("SELECT next_offset FROM aqueduct.offsets WHERE partition = 0");
    job.database.execute(&format!(
        "TRUNCATE {table}, aqueduct.row_counts; \
         UPDATE aqueduct.offsets SET next_offset = 0, consumed = 0, applied = 0, filtered = 0, dead = 0"
    ));
    let admin: rdkafka::admin::AdminClient<_> =
        ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&name, 0, Offset::Offset(end)).unwrap();
    let options = rdkafka::admin::AdminOptions::new().operation_timeout(Some(Duration::from_secs(60)));
    futures::executor::block_on(admin.delete_records(&list, &options)).unwrap();

    // It cannot get to the end, and says why and what leads on.
    let mut daemon = job.start("config.toml", &["run", "--once"], "stuck.log");
    assert_eq!(daemon.wait("the run gives up").code(), Some(70), "{}", daemon.tail());
    let log = daemon.log();
    assert!(log.contains(&format!("offsets 0 to {} are gone", end - 1)), "{log}");
    let skip = ["offsets", "skip", "--pipeline", &name, "--partition", "0", "--to-low"];
    assert!(log.contains(&skip.join(" ")), "{log}");
    let output = job.command("config.toml", &skip).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let ledger = job.run_once();
    let rest = 700 - in_first;
    assert!(
        ledger.contains(&format!(
            "the ledger adds up with {in_first} records that were skipped uncounted"
        )),
        "{ledger}"
    );
    assert_eq!(
        job.count(&format!("SELECT count(DISTINCT uuid) FROM {table}")),
        rest,
        "{ledger}"
    );
    assert_eq!(job.count("SELECT sum(consumed) FROM aqueduct.offsets"), rest);
}
