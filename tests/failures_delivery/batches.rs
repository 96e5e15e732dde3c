//! Batches that fail: what PostgreSQL refuses goes alone, and what came later moves nothing on.

use std::{fs, time::Duration};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::{filled::Filled, job::LIMIT, postgres::wait_for};

/// Appends without a transaction, so that no marker takes an offset.
fn append_plainly(filled: &Filled, ids: std::ops::Range<i64>) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &filled.brokers)
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    for id in ids {
        let payload = format!("{{\"id\":{id}}}");
        let record = BaseRecord::<(), _>::to(&filled.name).partition(0).payload(&payload);
        producer.send(record).map_err(|(problem, _)| problem).unwrap();
    }
    producer.flush(LIMIT).unwrap();
}

#[test]
fn of_three_records_the_refused_second_is_a_dead_letter_and_the_offset_is_three() {
    let filled = Filled::new("second", 1);
    let Filled { job, table, .. } = &filled;
    job.database
        .execute(&format!("CREATE TABLE {table} (id bigint CHECK (id <> 2))"));
    append_plainly(&filled, 1..4);
    let settled = || filled.next_offset(0) == Some(3);
    let look = || {
        let letters = job.texts(
            "SELECT format('%s at %s: %s', convert_from(payload, 'UTF8'), record_offset, sqlstate) FROM aqueduct.dead_letters",
        );
        (filled.ids(), letters)
    };
    let mut daemon = filled.start();
    wait_for("all three are settled", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        settled()
    });
    let (ids, letters) = look();
    assert_eq!(ids, [1, 3]);
    assert_eq!(letters, ["{\"id\":2} at 1: 23514"]);
    // The refusal is for good: another life does not ask again.
    daemon.kill9();
    append_plainly(&filled, 4..5);
    let mut daemon = filled.start();
    filled.until_rows(3, &mut daemon);
    assert_eq!(look(), (vec![1, 3, 4], letters));
    assert_eq!(filled.next_offset(0), Some(4));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}

#[test]
fn a_batch_that_fails_is_read_again_after_a_crash_whatever_was_delivered_after_it() {
    const BATCH: i64 = 10;
    const RECORDS: i64 = 40;

    let filled = Filled::new("again", 2);
    let Filled { job, table, .. } = &filled;
    let path = job.dir.path().join("config.toml");
    let text = fs::read_to_string(&path).unwrap();
    let own = text
        .replace(
            "SELECT id FROM records",
            "SELECT id, _partition AS part, _offset AS off FROM records",
        )
        .replace("age = \"100ms\"", &format!("age = \"100ms\"\nrows = {BATCH}"));
    assert_ne!(text, own);
    fs::write(&path, own).unwrap();
    // Not the data's fault: such an error is repeated until it goes away. A sequence counts also what is rolled back.
    job.database.execute(&format!(
        "CREATE TABLE {table} (id bigint, part int, off bigint, txn bigint DEFAULT txid_current()); \
         CREATE TABLE shut (); CREATE SEQUENCE refused; \
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN \
         IF to_regclass('shut') IS NOT NULL THEN PERFORM nextval('refused'); \
         RAISE EXCEPTION 'not now' USING ERRCODE = '55P03'; END IF; RETURN NEW; END$$; \
         CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW WHEN (NEW.id = {}) EXECUTE FUNCTION refuse()",
        BATCH + 5
    ));
    filled.append(0, 0..RECORDS);
    filled.append(1, 1_000..1_000 + RECORDS);

    let mut daemon = filled.start();
    wait_for(
        "later batches are delivered, and the second one is refused again",
        LIMIT,
        || {
            assert!(daemon.is_running(), "{}", daemon.tail());
            let others = job.try_count(&format!("SELECT count(*) FROM {table} WHERE part = 1"));
            others == Some(RECORDS) && job.count("SELECT last_value FROM refused") >= 2
        },
    );
    assert_eq!(
        filled.next_offset(0),
        Some(BATCH),
        "no offset goes past a batch that is not written"
    );
    daemon.kill9();
    job.database.execute("DROP TABLE shut");
    let mut daemon = filled.start();
    filled.until_rows(2 * RECORDS, &mut daemon);
    let ids: Vec<i64> = (0..RECORDS).chain(1_000..1_000 + RECORDS).collect();
    assert_eq!(filled.ids(), ids);
    // Each transaction wrote offsets without a gap, and began where the one before had ended.
    let gaps = job.texts(&format!(
        "SELECT format('partition %s: after %s came %s to %s, %s rows', part, before, low, high, num) FROM (\
         SELECT part, min(off) AS low, max(off) AS high, count(*) AS num, \
         coalesce(lag(max(off)) OVER (PARTITION BY part ORDER BY txn), -1) AS before FROM {table} GROUP BY part, txn) AS t \
         WHERE low <> before + 1 OR num <> high - low + 1"
    ));
    assert!(gaps.is_empty(), "{gaps:?}");
    assert_eq!(job.count("SELECT count(*) FROM aqueduct.dead_letters"), 0);
    wait_for("the ledger is closed", Duration::from_secs(60), || {
        filled
            .status()
            .is_some_and(|status| status["ledger"]["pending"] == 0 && status["ledger"]["applied"] == 2 * RECORDS)
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}
