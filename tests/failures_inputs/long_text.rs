//! A text of 100 MB in one record: it is written, or refused alone, and the daemon's memory has a bound.

use std::{fs, sync::Arc};

use crate::{
    api::{Api, json},
    job::{Job, LIMIT},
    pipeline::{fates, ids, job, pipeline},
    postgres::wait_for,
};

const LONG: usize = 100_000_000;

fn record(id: &str, len: usize) -> String {
    format!("{{\"id\":{id},\"name\":\"{}\"}}", "x".repeat(len))
}

/// The highest resident size that the daemon has had, in bytes.
fn peak_bytes(pid: u64) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn a_text_of_a_hundred_megabytes_costs_no_neighbour_and_a_bounded_memory() {
    let (good, bad) = (record("2", LONG), record("\"bad\"", LONG));
    let body = [record("1", 5), good, record("3", 5), bad, record("4", 5)].join(",");
    let body: Arc<[u8]> = format!("{{\"items\":[{body}]}}").into_bytes().into();
    let page_bytes = body.len();
    let api = Api::start(move |_| json(&body));
    let schema = "id BIGINT, name STRING";
    let source = "max_page = \"256MiB\"";
    let job: Job = job(&[pipeline(
        "texts",
        &api.url(),
        "",
        source,
        schema,
        "SELECT id, name FROM records",
    )]);
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    wait_for("all five records have their fate", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        job.try_count("SELECT coalesce(sum(consumed), 0) FROM aqueduct.offsets") == Some(5)
    });
    let pid = job.status("config.toml").unwrap()["pid"].as_u64().unwrap();
    let peak = peak_bytes(pid);
    assert_eq!(ids(&job, "texts"), [1, 2, 3, 4]);
    assert_eq!(fates(&job, "texts"), "5 4 0 1 0");
    assert_eq!(job.count("SELECT length(name) FROM texts WHERE id = 2"), LONG as i64);
    assert_eq!(
        job.texts("SELECT stage || ' ' || (length(payload) > 100000000) FROM aqueduct.dead_letters"),
        ["decode true"]
    );
    // The page is there once, its records once more in the log's transaction, and each on its way into the table.
    assert!(
        peak < 6 * page_bytes,
        "{} MB for a page of {} MB",
        peak / 1_000_000,
        page_bytes / 1_000_000
    );
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}
