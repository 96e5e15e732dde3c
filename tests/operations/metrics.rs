//! `/metrics` is the text format of Prometheus, and says what the ledger says.

use std::{collections::BTreeMap, sync::Arc};

use aqueduct::demo::simulator::{Options, Simulator};
use serde_json::Value;

use crate::{
    door::{IMPATIENT, edit_config, get},
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::unique,
    postgres::{TestDatabase, wait_for},
};

/// Name and labels as written -> value. Holds the format to its rules on the way: each sample stands below the head of its
/// family, each family once, counters end in `_total`, buckets grow and end in `+Inf`.
fn parse(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'));
    let (mut samples, mut families) = (BTreeMap::new(), BTreeMap::new());
    let (mut helped, mut family) = (String::new(), String::new());
    let mut bucket: Option<(String, f64)> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.'), "{line}");
            helped = name.to_owned();
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "the help stands above the type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(
                families.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{name} twice"
            );
            family = name.to_owned();
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
            "{line}"
        );
        let labels = labels.strip_suffix('}').unwrap();
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (key, value) = label.split_once("=\"").unwrap();
            assert!(!key.is_empty() && !value.contains('\n'), "{line}");
        }
        if families[&family] == "histogram" {
            let part = name.strip_prefix(family.as_str()).unwrap();
            assert!(["_bucket", "_sum", "_count"].contains(&part), "{line}");
            if part == "_bucket" {
                let of = labels.rsplit_once("le=").unwrap().0.to_owned();
                if let Some((before, count)) = &bucket {
                    assert!(*before != of || *count <= value, "buckets are cumulative: {line}");
                }
                bucket = Some((of, value));
            } else if part == "_count" {
                assert_eq!(bucket.take().unwrap().1, value, "+Inf holds them all: {line}");
            }
        } else {
            assert_eq!(name, family, "{line}");
        }
        assert!(samples.insert(series.to_owned(), value).is_none(), "{series} twice");
    }
    samples
}

#[test]
fn the_counters_are_in_prometheus_text_format_and_equal_the_ledger_after_a_run() {
    let simulator = Simulator::start(Options {
        corrupt: Some(Arc::new(|_, index, record: &str| {
            (index == 7).then(|| record.replacen("\"age\":", "\"age\":\"x\",\"was\":", 1))
        })),
        ..Options::default()
    })
    .unwrap();
    let name = unique("metrics").to_lowercase();
    let mut pipeline = PipelineText::users(&name, &simulator.url(), 200, 5);
    pipeline.sql += " WHERE nat <> 'FR'";
    let table = pipeline.table.clone();
    let job = Job::new(TestDatabase::empty(), &Brokers::Embedded, &[pipeline]);
    edit_config(&job, &[IMPATIENT]);
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    let mut ledger = Value::Null;
    wait_for("everything is settled", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        let status = job.status("config.toml");
        ledger = status.map_or(Value::Null, |status| status["pipelines"][0]["ledger"].clone());
        ledger["consumed"] == 1_000 && ledger["pending"] == 0
    });
    let mut samples = BTreeMap::new();
    // What is committed is read every half second.
    wait_for("the metrics have seen the end", LIMIT, || {
        let answer = get(&job, "/metrics").unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("text/plain; version=0.0.4"), "{}", answer.head);
        samples = parse(&answer.body);
        // The log and PostgreSQL are asked apart.
        ["fetched", "consumed"].iter().all(|count| {
            let series = format!("aqueduct_ledger_records{{pipeline=\"{name}\",count=\"{count}\"}}");
            samples.get(&series) == Some(&1_000.0)
        }) && samples.get(&format!("aqueduct_records_pending{{pipeline=\"{name}\"}}")) == Some(&0.0)
    });
    let of = |name: &str, labels: &str| {
        let series = if labels.is_empty() {
            name.to_owned()
        } else {
            format!("{name}{{{labels}}}")
        };
        *samples
            .get(&series)
            .unwrap_or_else(|| panic!("{series} is not in {samples:#?}"))
    };
    let own = format!("pipeline=\"{name}\"");
    for count in ["fetched", "produced", "consumed", "applied", "filtered", "dead"] {
        let committed = ledger[count].as_u64().unwrap() as f64;
        assert_eq!(
            of(&format!("aqueduct_records_{count}_total"), &own),
            committed,
            "{count}"
        );
        let labels = format!("{own},count=\"{count}\"");
        assert_eq!(of("aqueduct_ledger_records", &labels), committed, "{count}");
    }
    assert_eq!(of("aqueduct_records_dead_total", &own), 5.0);
    assert!(of("aqueduct_records_filtered_total", &own) > 0.0);
    let inserted = format!("{own},table=\"{table}\",change=\"inserted\"");
    assert_eq!(
        of("aqueduct_rows_total", &inserted),
        job.count(&format!("SELECT count(*) FROM {table}")) as f64
    );
    assert_eq!(
        of("aqueduct_fetch_requests_total", &format!("{own},class=\"2xx\"")),
        5.0
    );
    assert_eq!(of("aqueduct_pages_fetched_total", &own), 5.0);
    assert!(of("aqueduct_write_duration_seconds_count", &own) >= 3.0);
    assert!(of("aqueduct_append_duration_seconds_count", &own) >= 1.0);
    assert_eq!(
        of("aqueduct_dependency_up", &format!("{own},dependency=\"postgres\"")),
        1.0
    );
    assert_eq!(
        of("aqueduct_branch_parked", &format!("{own},branch=\"{name}/load\"")),
        0.0
    );
    let writer = format!("{own},branch=\"{name}/load\",actor=\"writer-0\"");
    assert_eq!(of("aqueduct_actor_lives_total", &writer), 1.0);
    assert_eq!(of("aqueduct_actor_stalls_total", &writer), 0.0);
    for partition in 0..3 {
        assert_eq!(
            of("aqueduct_partition_lag", &format!("{own},partition=\"{partition}\"")),
            0.0
        );
    }
    assert_eq!(of("aqueduct_ready", &own), 1.0);
    assert!(of("process_resident_memory_bytes", "") > 1_000_000.0);
    assert!(of("process_cpu_seconds_total", "") > 0.0);
    assert!(
        samples
            .keys()
            .any(|series| series.starts_with("aqueduct_build_info{version="))
    );
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}
