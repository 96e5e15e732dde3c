//! What `aqueduct status --json` prints.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    daemon::{PartitionLag, RunningPipeline},
    model::{Ledger, LostRange},
    supervision::{BranchStatus, chain},
    telemetry::GaugesSnapshot,
};

/// The whole daemon.
#[derive(Debug, Serialize)]
pub struct Status {
    /// aqueduct's version.
    pub version: &'static str,
    /// The daemon's process id.
    pub pid: u32,
    /// The pipelines, in the config's order.
    pub pipelines: Vec<PipelineStatus>,
}

/// One pipeline.
#[derive(Debug, Serialize)]
pub struct PipelineStatus {
    /// Its name.
    pub name: String,
    /// The ledger, as committed; `None` while it cannot be read.
    pub ledger: Option<Ledger>,
    /// The first equation of the ledger that does not hold while nothing moves.
    pub gap: Option<String>,
    /// Lag by partition.
    pub partitions: Vec<PartitionLag>,
    /// What partitions have lost: they have stopped, and wait for a person.
    pub lost: Vec<LostRange>,
    /// Whether every shard of the source is at its end for now.
    pub source_at_end: Option<bool>,
    /// Why the ledger cannot be read.
    pub unreadable: Option<String>,
    /// The supervision tree: branches in the direction of the data, with each actor's state, life and last failure.
    pub branches: Vec<BranchStatus>,
    /// What this daemon has done since it started.
    pub live: GaugesSnapshot,
}

impl Status {
    /// Reads it all. Blocks for milliseconds, or up to some seconds in an outage.
    pub fn read(pipelines: &[Arc<RunningPipeline>]) -> Self {
        let pipelines = pipelines
            .iter()
            .map(|pipeline| PipelineStatus::read(pipeline))
            .collect();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            pipelines,
        }
    }
}

impl PipelineStatus {
    fn read(pipeline: &RunningPipeline) -> Self {
        let (name, branches, live) = (pipeline.name().to_owned(), pipeline.branch_status(), pipeline.gauges());
        match pipeline.report() {
            Ok(report) => Self {
                name,
                ledger: Some(report.ledger),
                gap: report.gap,
                partitions: report.partitions,
                lost: report.lost,
                source_at_end: Some(report.source_at_end),
                unreadable: None,
                branches,
                live,
            },
            Err(error) => Self {
                name,
                ledger: None,
                gap: None,
                partitions: Vec::new(),
                lost: live
                    .partitions
                    .values()
                    .filter_map(|gauge| gauge.lost.clone())
                    .collect(),
                source_at_end: None,
                unreadable: Some(chain(error.as_ref())),
                branches,
                live,
            },
        }
    }
}
