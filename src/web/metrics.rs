//! `/metrics`: everything that is counted, in the text format of Prometheus 0.0.4.
//!
//! Names follow the field's conventions: `aqueduct_…`, base units, `_total` for what only grows. Counters begin at zero with
//! each daemon; `aqueduct_ledger_…` is what is committed, over all daemons and restarts.

mod page;

use actix_web::{HttpResponse, Responder, web};

use self::page::Page;
use super::process::Process;
use crate::{
    daemon::{RunningPipeline, Startup},
    supervision::{BranchState, BranchStatus, ChildState},
};

/// Answers from what is known: nothing is asked now, so it answers in an outage, too.
pub(super) async fn metrics(startup: web::Data<Startup>) -> impl Responder {
    let mut page = Page::default();
    let build = [("version", env!("CARGO_PKG_VERSION"))];
    page.gauge("aqueduct_build_info", "The version that runs; always 1.", &build, 1.0);
    of_process(&mut page, &Process::read());
    for readiness in startup.readiness() {
        page.gauge(
            "aqueduct_ready",
            "Whether nothing is in the pipeline's way, as /readyz says.",
            &[("pipeline", &readiness.pipeline)],
            flag(readiness.ready),
        );
    }
    for pipeline in startup.running().iter().flat_map(|pipelines| pipelines.iter()) {
        of_pipeline(&mut page, pipeline);
    }
    match page.render() {
        Ok(text) => HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4; charset=utf-8")
            .body(text),
        Err(error) => HttpResponse::InternalServerError().body(format!("{error}\n")),
    }
}

fn of_process(page: &mut Page, process: &Process) {
    let counter = ("process_cpu_seconds_total", "User and system CPU time, in seconds.");
    if let Some(seconds) = process.cpu_seconds {
        page.counter(counter.0, counter.1, &[], seconds);
    }
    let gauges = [
        (
            "process_resident_memory_bytes",
            "Memory in RAM, in bytes.",
            process.resident_bytes.map(|bytes| bytes as f64),
        ),
        (
            "process_virtual_memory_bytes",
            "Address space, in bytes.",
            process.virtual_bytes.map(|bytes| bytes as f64),
        ),
        (
            "process_start_time_seconds",
            "When the process started, in seconds since 1970.",
            process.started_seconds,
        ),
        (
            "process_open_fds",
            "Open file descriptors.",
            process.open_fds.map(|number| number as f64),
        ),
        (
            "process_threads",
            "OS threads.",
            process.threads.map(|number| number as f64),
        ),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            page.gauge(name, help, &[], value);
        }
    }
}

fn of_pipeline(page: &mut Page, pipeline: &RunningPipeline) {
    let own = [("pipeline", pipeline.name())];
    for dependency in pipeline.dependencies() {
        let labels = [own[0], ("dependency", dependency.name)];
        page.gauge(
            "aqueduct_dependency_up",
            "Whether what the pipeline needs answers.",
            &labels,
            flag(dependency.up == Some(true)),
        );
        let since = chrono::DateTime::parse_from_rfc3339(&dependency.since)
            .ok()
            .filter(|_| dependency.is_down())
            .map_or(0.0, |since| since.timestamp() as f64);
        page.gauge(
            "aqueduct_dependency_waiting_since_seconds",
            "Since when the pipeline waits for it, in seconds since 1970; 0 = it does not.",
            &labels,
            since,
        );
    }
    of_source(page, own[0], pipeline);
    of_records(page, own[0], pipeline);
    for branch in pipeline.branch_status() {
        of_branch(page, own[0], &branch);
    }
}

type Label<'a> = (&'a str, &'a str);

fn of_source(page: &mut Page, own: Label<'_>, pipeline: &RunningPipeline) {
    let (live, counted) = (pipeline.gauges(), pipeline.meters().snapshot());
    let counters = [
        (
            "aqueduct_records_fetched_total",
            "Records fetched.",
            live.fetched_records,
        ),
        ("aqueduct_pages_fetched_total", "Pages fetched.", live.fetched_pages),
        (
            "aqueduct_pages_empty_total",
            "Pages that were answered without records.",
            live.empty_answers,
        ),
        (
            "aqueduct_fetched_bytes_total",
            "Bytes of pages fetched.",
            live.fetched_bytes,
        ),
        (
            "aqueduct_records_produced_total",
            "Records committed to the log.",
            live.produced_records,
        ),
        (
            "aqueduct_fetch_retries_total",
            "Requests that were repeated after a failure.",
            counted.retries,
        ),
        (
            "aqueduct_fetch_rate_waits_total",
            "Times that a request had to wait for source.rate.",
            counted.rate_waits,
        ),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, &[own], value as f64);
    }
    page.counter(
        "aqueduct_fetch_rate_wait_seconds_total",
        "Time that requests had to wait for source.rate, in seconds.",
        &[own],
        counted.rate_wait_seconds,
    );
    for class in ["2xx", "3xx", "4xx", "5xx", "timeout", "no_answer"] {
        page.counter(
            "aqueduct_fetch_requests_total",
            "Requests by the class of their answer.",
            &[own, ("class", class)],
            counted.requests.get(class).copied().unwrap_or(0) as f64,
        );
    }
    page.histogram(
        "aqueduct_append_duration_seconds",
        "How long transactions of the log took, in seconds.",
        &[own],
        pipeline.meters().append_seconds(),
    );
    page.histogram(
        "aqueduct_write_duration_seconds",
        "How long batches took in PostgreSQL, in seconds.",
        &[own],
        pipeline.meters().write_seconds(),
    );
}

fn of_records(page: &mut Page, own: Label<'_>, pipeline: &RunningPipeline) {
    let counted = pipeline.meters().snapshot();
    let records = counted.records;
    for (name, help, value) in [
        ("aqueduct_records_consumed_total", "Records settled.", records.consumed),
        (
            "aqueduct_records_applied_total",
            "Records of which at least one row was written, found equal or superseded.",
            records.applied,
        ),
        (
            "aqueduct_records_filtered_total",
            "Records that the SQL left out.",
            records.filtered,
        ),
        (
            "aqueduct_records_dead_total",
            "Records that went to the dead letters.",
            records.dead,
        ),
        (
            "aqueduct_records_skipped_total",
            "Records that this daemon skipped; what an operator skips is in the ledger.",
            records.skipped,
        ),
    ] {
        page.counter(name, help, &[own], value as f64);
    }
    for (table, rows) in &counted.rows {
        for (change, value) in [
            ("inserted", rows.inserted),
            ("updated", rows.updated),
            ("unchanged", rows.unchanged),
            ("superseded", rows.superseded),
        ] {
            let labels = [own, ("table", table), ("change", change)];
            page.counter("aqueduct_rows_total", "What became of rows.", &labels, value as f64);
        }
    }
    if let Some(ledger) = pipeline.seen_ledger() {
        let counts = [
            ("fetched", ledger.fetched),
            ("produced", ledger.produced),
            ("consumed", Some(ledger.records.consumed)),
            ("applied", Some(ledger.records.applied)),
            ("filtered", Some(ledger.records.filtered)),
            ("dead", Some(ledger.records.dead)),
            ("skipped", Some(ledger.records.skipped)),
        ];
        for (count, value) in counts {
            if let Some(value) = value {
                page.gauge(
                    "aqueduct_ledger_records",
                    "The ledger as committed, over all daemons and restarts.",
                    &[own, ("count", count)],
                    value as f64,
                );
            }
        }
        page.gauge(
            "aqueduct_records_pending",
            "Records in the topic that are not settled.",
            &[own],
            ledger.pending as f64,
        );
    }
    for seen in pipeline.seen_partitions() {
        let partition = seen.partition.to_string();
        let labels = [own, ("partition", &partition)];
        page.gauge(
            "aqueduct_partition_lag",
            "Offsets between what is settled and the last stable one, transaction markers included.",
            &labels,
            seen.lag as f64,
        );
        page.gauge(
            "aqueduct_partition_next_offset",
            "Everything below it is settled.",
            &labels,
            seen.next_offset as f64,
        );
    }
    for (partition, gauge) in pipeline.gauges().partitions {
        let partition = partition.to_string();
        let labels = [own, ("partition", &partition)];
        page.gauge(
            "aqueduct_partition_owned",
            "Whether this daemon reads the partition.",
            &labels,
            flag(gauge.owned),
        );
        page.gauge(
            "aqueduct_partition_stopped",
            "Whether the partition has stopped and needs a person.",
            &labels,
            flag(gauge.state.starts_with("stopped")),
        );
    }
}

fn of_branch(page: &mut Page, own: Label<'_>, branch: &BranchStatus) {
    let labels = [own, ("branch", branch.name.as_str())];
    for (name, help, value) in [
        (
            "aqueduct_branch_running",
            "Whether all actors of the branch are up.",
            flag(branch.state == BranchState::Running),
        ),
        (
            "aqueduct_branch_parked",
            "Whether the branch is parked.",
            flag(branch.state == BranchState::Parked),
        ),
        (
            "aqueduct_branch_restarts_left",
            "Failures that the branch can take before it escalates.",
            f64::from(branch.restarts_left),
        ),
    ] {
        page.gauge(name, help, &labels, value);
    }
    page.counter(
        "aqueduct_abandoned_threads_total",
        "Threads that outlived their grace and were left behind.",
        &labels,
        branch.abandoned_threads as f64,
    );
    for child in &branch.children {
        let labels = [own, ("branch", branch.name.as_str()), ("actor", child.name.as_str())];
        page.gauge(
            "aqueduct_actor_up",
            "Whether the actor runs.",
            &labels,
            flag(child.state == ChildState::Up),
        );
        page.gauge(
            "aqueduct_actor_waits",
            "Waits for somebody else that the actor has declared.",
            &labels,
            child.waiting.len() as f64,
        );
        for (name, help, value) in [
            (
                "aqueduct_actor_lives_total",
                "Lives that the actor has begun.",
                child.life,
            ),
            (
                "aqueduct_actor_restarts_total",
                "Times that the actor was started again.",
                child.life.saturating_sub(1),
            ),
            (
                "aqueduct_actor_stalls_total",
                "Lives that ended because the actor hung.",
                child.stalls,
            ),
        ] {
            page.counter(name, help, &labels, value as f64);
        }
    }
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}
