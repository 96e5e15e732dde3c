//! The end of the process when something in it will not end.

use std::{fs, time::Duration};

use aqueduct::demo::simulator::{Options, Simulator};
use nix::sys::signal::Signal;
use tokio::time::Instant;

use crate::{
    door::edit_config,
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::unique,
    postgres::{TestDatabase, wait_for},
};

/// At once, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(15);

fn is_gone(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[test]
fn a_second_sigterm_ends_at_once_whatever_hangs_leaves_nothing_running_and_loses_nothing() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let name = unique("hangs").to_lowercase();
    let people = PipelineText::users(&name, &simulator.url(), 100, 4);
    let table = people.table.clone();
    let database = TestDatabase::empty();
    // A writer sits in this for as long as its statement may take, and nobody can wake it.
    database.execute(&format!(
        "CREATE TABLE {table} (uuid text, age int, born_at timestamptz, email text, nat text); \
         CREATE FUNCTION crawl() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'; \
         CREATE TRIGGER crawl BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION crawl()"
    ));
    let job = Job::new(database, &Brokers::Embedded, &[people]);
    edit_config(&job, &[("[supervision]", "[supervision]\ngrace = \"1h\"")]);
    let path = job.dir.path().join("config.toml");
    let program = format!(
        "[[pipeline]]\nname = \"{name}-p\"\nschema = \"id BIGINT\"\n[pipeline.source]\nkind = \"exec\"\n\
         command = [\"/bin/sh\", \"-c\", 'trap \"\" TERM; echo $$ >pid; while :; do sleep 1; done']\n\
         [[pipeline.table]]\nname = \"{table}_p\"\nmode = \"append\"\ncreate = true\nsql = \"SELECT id FROM records\"\n"
    );
    fs::write(&path, fs::read_to_string(&path).unwrap() + &program).unwrap();

    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    let sleepers = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database() AND application_name LIKE 'aqueduct%'";
    let mut pid = String::new();
    wait_for("a writer hangs and the program runs", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        pid = fs::read_to_string(job.dir.path().join("pid")).unwrap_or_default();
        !pid.trim().is_empty() && job.try_count(sleepers).unwrap_or(0) > 0
    });
    daemon.signal(Signal::SIGTERM);
    wait_for("it stops in order, which takes as long as the writer", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        daemon.log().contains("stopping, as asked")
    });
    daemon.signal(Signal::SIGTERM);
    let asked_again = Instant::now();
    let status = daemon.wait("it ends at once");
    assert!(asked_again.elapsed() < AT_ONCE, "{:?}", asked_again.elapsed());
    assert_eq!(status.code(), Some(0), "{}", daemon.tail());
    assert!(
        daemon.log().contains("ended at once, as asked by a second signal"),
        "{}",
        daemon.tail()
    );
    wait_for("its program and its sessions are gone", LIMIT, || {
        is_gone(&pid) && job.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'aqueduct%'") == 0
    });
    assert_eq!(job.count(&format!("SELECT count(*) FROM {table}")), 0);
    assert_eq!(job.count("SELECT coalesce(sum(consumed), 0) FROM aqueduct.offsets"), 0);

    job.database.execute(&format!("DROP TRIGGER crawl ON {table}"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(&program, "")).unwrap();
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    assert_eq!(job.count(&format!("SELECT count(DISTINCT uuid) FROM {table}")), 400);
    assert_eq!(job.count(&format!("SELECT count(*) FROM {table}")), 400);
}
