//! Memory has a bound that the configuration decides, however far behind a consumer is and however slow PostgreSQL is.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use tokio::time::Instant;

use crate::{
    door::{edit_config, until_not_ready},
    filled::Filled,
    job::{Brokers, Daemon, Job, LIMIT},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
};

const MIB: u64 = 1 << 20;

/// The most memory that the daemon has had so far.
fn peak(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}

/// Waits until the most memory has not grown for so long.
fn until_peak_stands(daemon: &mut Daemon, long: Duration) -> u64 {
    let (mut known, mut since) = (0, Instant::now());
    wait_for("its memory does not grow any more", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        let now = peak(daemon);
        if now > known {
            (known, since) = (now, Instant::now());
        }
        since.elapsed() >= long
    });
    known
}

/// Records with a note of this length, spread over the partitions.
fn fill(topic: &str, num_records: i64, note_len: usize) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", TestKafka::shared().address())
        .set("transactional.id", unique("filler"))
        .set("linger.ms", "20")
        .create()
        .unwrap();
    producer.init_transactions(LIMIT).unwrap();
    let note = "x".repeat(note_len);
    let mut id = 0;
    while id < num_records {
        producer.begin_transaction().unwrap();
        for _ in 0..10_000 {
            let payload = format!("{{\"id\":{id},\"note\":\"{note}\"}}");
            let partition = i32::try_from(id % i64::from(NUM_PARTITIONS)).unwrap();
            let record = BaseRecord::<(), _>::to(topic).partition(partition).payload(&payload);
            producer.send(record).map_err(|(problem, _)| problem).unwrap();
            id += 1;
        }
        producer.commit_transaction(LIMIT).unwrap();
    }
}

const NUM_PARTITIONS: i32 = 4;
const BATCH_MIB: u64 = 4;

/// Two transformers and two writers are the default.
const NUM_WORKERS: u64 = 4;

/// What `[pipeline.batch]` in config.toml says: batches for all of them, as records and as rows, and what there is anyway.
const BOUND: u64 = (256 + 2 * BATCH_MIB * (NUM_PARTITIONS as u64 + NUM_WORKERS)) * MIB;

/// A daemon far behind: it loads a part at full speed, and then PostgreSQL takes one row a second. The most memory that it
/// has had when it does not read any more.
fn peak_far_behind(prefix: &str, num_records: i64, note_len: usize) -> u64 {
    let filled = Filled::new(prefix, NUM_PARTITIONS);
    edit_config(
        &filled.job,
        &[
            ("schema = \"id BIGINT\"", "schema = \"id BIGINT, note STRING\""),
            ("age = \"100ms\"", &format!("rows = 8000\nbytes = \"{BATCH_MIB}MiB\"")),
            ("SELECT id FROM", "SELECT id, note FROM"),
        ],
    );
    let fast = (num_records / 3).min(200_000);
    filled.job.database.execute(&format!(
        "CREATE TABLE {table} (id bigint, note text); \
         CREATE FUNCTION crawl() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN IF NEW.id > {fast} THEN PERFORM pg_sleep(1); END IF; RETURN NEW; END'; \
         CREATE TRIGGER crawl BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION crawl()",
        table = filled.table
    ));
    fill(&filled.name, num_records, note_len);
    let mut daemon = filled.start();
    wait_for("it has loaded a part, and crawls", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        let sleepers =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
        let settled = filled.job.try_count("SELECT sum(consumed) FROM aqueduct.offsets");
        settled.unwrap_or(0) > fast / 2 && filled.job.try_count(sleepers).unwrap_or(0) > 0
    });
    let peak = until_peak_stands(&mut daemon, Duration::from_secs(4));
    let pending = num_records - filled.job.count("SELECT sum(consumed) FROM aqueduct.offsets");
    assert!(
        pending > num_records / 2,
        "it was to be far behind: {pending} are pending"
    );
    println!(
        "{num_records} records with notes of {note_len}: at most {} MiB",
        peak / MIB
    );
    peak
}

#[test]
fn far_behind_and_before_a_postgresql_that_takes_one_row_a_second_memory_stays_under_what_the_batch_decides() {
    let peak = peak_far_behind("behind", 300_000, 1_000);
    assert!(peak < BOUND, "{} MiB, where {} are stated", peak / MIB, BOUND / MIB);
}

#[test]
fn far_behind_by_small_records_memory_stays_under_the_same_bound() {
    // Ten million are the same, and take minutes to fill: AQUEDUCT_TEST_BEHIND=10000000.
    let num_records = std::env::var("AQUEDUCT_TEST_BEHIND").map_or(600_000, |number| number.parse().unwrap());
    let peak = peak_far_behind("small", num_records, 0);
    assert!(peak < BOUND, "{} MiB, where {} are stated", peak / MIB, BOUND / MIB);
}

const PAGE: u64 = 200 * MIB;

/// One of a page's records; all are of the same size.
fn record(id: u64) -> String {
    format!("{{\"id\":{},\"note\":\"{}\"}},", 1_000_000 + id, "x".repeat(1_000))
}

fn records_of(size_bytes: u64) -> u64 {
    size_bytes / record(0).len() as u64
}

/// Answers one request with a page of about so many bytes.
fn serve_page(listener: &TcpListener, size_bytes: u64) {
    let (mut client, _) = listener.accept().unwrap();
    read_head(&mut client);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"results\":[";
    let mut is_there = client.write_all(head.as_bytes()).is_ok();
    let last = records_of(size_bytes) - 1;
    for id in 0..=last {
        let text = record(id);
        let text = if id == last { text.trim_end_matches(',') } else { &text };
        // Whoever has had enough hangs up.
        is_there = is_there && client.write_all(text.as_bytes()).is_ok();
    }
    let _ = client.write_all(b"]}");
}

fn read_head(client: &mut TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
}

/// A daemon whose API has one page of this size.
fn paged(brokers: &Brokers, size_bytes: u64, max_page: &str) -> (Job, Daemon, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the test's process; nobody may ask, or more than once.
    std::thread::spawn(move || {
        loop {
            serve_page(&listener, size_bytes);
        }
    });
    let name = unique("page").to_lowercase();
    let table = format!("{}_ids", name.replace('-', "_"));
    let job = Job::new(TestDatabase::empty(), brokers, &[]);
    let path = job.dir.path().join("config.toml");
    let text = format!(
        "[[pipeline]]\nname = \"{name}\"\nschema = \"id BIGINT\"\n[pipeline.source]\nkind = \"http\"\n\
         url = \"http://{address}/\"\nrecords = \"$.results[*]\"\nmax_page = \"{max_page}\"\n\
         [pipeline.batch]\nbytes = \"4MiB\"\n\
         [[pipeline.table]]\nname = \"{table}\"\nmode = \"append\"\ncreate = true\nsql = \"SELECT id FROM records\"\n"
    );
    fs::write(&path, fs::read_to_string(&path).unwrap() + &text).unwrap();
    let daemon = job.start("config.toml", &["run"], "daemon.log");
    (job, daemon, table)
}

#[test]
fn a_page_of_200_mb_is_cut_off_at_max_page_and_parks_the_pipeline() {
    let (job, mut daemon, _) = paged(&Brokers::Embedded, PAGE, "8MiB");
    let mut reason = String::new();
    wait_for("it is parked", LIMIT, || {
        let problem = until_not_ready(&job, &mut daemon, "branch");
        problem["reason"].as_str().unwrap().clone_into(&mut reason);
        reason.contains("parked")
    });
    assert!(reason.contains("raise `max_page`"), "{reason}");
    let peak = peak(&daemon);
    assert!(peak < PAGE, "the daemon has had {} MiB", peak / MIB);
}

#[test]
fn a_page_of_200_mb_that_is_allowed_takes_twice_its_size_and_not_more() {
    let kafka = Brokers::Kafka(TestKafka::shared().address().to_owned());
    let (job, mut daemon, table) = paged(&kafka, PAGE, "256MiB");
    let all = i64::try_from(records_of(PAGE)).unwrap();
    wait_for("all of it is loaded", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        job.try_count(&format!("SELECT count(*) FROM {table}")) == Some(all)
    });
    assert_eq!(job.count(&format!("SELECT count(DISTINCT id) FROM {table}")), all);
    let (peak, bound) = (peak(&daemon), BOUND + 2 * PAGE);
    println!("a page of {} MiB: at most {} MiB", PAGE / MIB, peak / MIB);
    assert!(peak < bound, "{} MiB, where {} are stated", peak / MIB, bound / MIB);
}
