//! The connection is cut exactly at COMMIT, again and again: rows once, no dead letters, the ledger exact.

use aqueduct::demo::simulator::{Options, Simulator};

use crate::{
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::unique,
    postgres::{TestDatabase, wait_for},
    proxy::{Proxy, Trap},
};

const RESULTS: u64 = 100;
const PAGES: u64 = 60;

#[test]
fn commits_whose_answer_is_lost_load_every_record_once() {
    let simulator = Simulator::start(Options {
        delay: std::time::Duration::from_millis(50),
        ..Options::default()
    })
    .unwrap();
    let name = unique("commit");
    let pipeline = || PipelineText::users(&name, &simulator.url(), RESULTS, PAGES);
    let table = pipeline().table;
    let database = TestDatabase::empty();
    let (proxy, url) = Proxy::before_postgres(database.url().expose());
    let direct = database.url().expose().to_owned();
    let job = Job::new(database, &Brokers::Embedded, &[pipeline()]);
    let path = job.dir.path().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(&format!("{direct:?}")));
    std::fs::write(&path, text.replace(&format!("{direct:?}"), &format!("{url:?}"))).unwrap();

    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    let writer = format!("{name} writer");
    for number in 0..8 {
        proxy.trap(Trap {
            of: writer.clone(),
            at: "COMMIT\0",
            delivers: number % 2 == 0,
        });
        wait_for("a writer walks into the trap", LIMIT, || {
            assert!(daemon.is_running(), "{}", daemon.tail());
            proxy.num_sprung() > number
        });
    }
    let total = (RESULTS * PAGES).cast_signed();
    wait_for("all rows", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        job.try_count("SELECT sum(consumed) FROM aqueduct.offsets") == Some(total)
    });
    let mut status = None;
    wait_for("the ledger is closed", LIMIT, || {
        status = job.status("config.toml");
        status
            .as_ref()
            .is_some_and(|status| status["pipelines"][0]["ledger"]["pending"] == 0)
    });
    let status = status.unwrap();
    for branch in status["pipelines"][0]["branches"].as_array().unwrap() {
        for actor in branch["children"].as_array().unwrap() {
            assert_eq!(actor["life"], 1, "a lost answer spent a restart: {actor:#}");
        }
    }
    assert_eq!(status["pipelines"][0]["ledger"]["applied"], total);
    assert_eq!(job.count(&format!("SELECT count(*) FROM {table}")), total);
    assert_eq!(job.count(&format!("SELECT count(DISTINCT uuid) FROM {table}")), total);
    assert_eq!(job.count("SELECT count(*) FROM aqueduct.dead_letters"), 0);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
}
