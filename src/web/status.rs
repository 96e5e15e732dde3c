//! What `aqueduct status --json` prints.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    daemon::{DependencyStatus, PartitionLag, Problem, RunningPipeline},
    model::{GroupMember, Ledger, LostRange},
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
    /// The daemons that share the pipeline out, and who has what. Empty with the embedded log, and while the log is away.
    pub members: Vec<GroupMember>,
    /// What partitions have lost: they have stopped, and wait for a person.
    pub lost: Vec<LostRange>,
    /// Whether every shard of the source is at its end for now.
    pub source_at_end: Option<bool>,
    /// Why the ledger cannot be read.
    pub unreadable: Option<String>,
    /// Whether it gets on, as `/readyz` says.
    pub ready: bool,
    /// What is in its way, each with since when, why and what to do.
    pub problems: Vec<Problem>,
    /// What it needs, and whether that answers: an outage has its `since`, its `reason`, and what is tried next.
    pub dependencies: Vec<DependencyStatus>,
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
        let (readiness, dependencies) = (pipeline.readiness(), pipeline.dependencies());
        // What is known to be away is not asked once more: the answer about it would come when the asker has gone.
        let away = dependencies
            .iter()
            .find(|dependency| dependency.is_down() && dependency.name != "api");
        let report = match away {
            None => pipeline.report().map_err(|error| chain(error.as_ref())),
            Some(away) => Err(format!(
                "{} at {} is away since {}: {}",
                away.name,
                away.place,
                away.since,
                away.reason.as_deref().unwrap_or_default()
            )),
        };
        let (report, unreadable) = match report {
            Ok(report) => (Some(report), None),
            Err(reason) => (None, Some(reason)),
        };
        let known = || {
            live.partitions
                .values()
                .filter_map(|gauge| gauge.lost.clone())
                .collect()
        };
        // Without the grant to describe groups there is no list, and nothing else is wrong.
        let members = report
            .as_ref()
            .map_or_else(Vec::new, |_| pipeline.members().unwrap_or_default());
        let (ledger, gap, partitions, lost, source_at_end) = match report {
            Some(report) => (
                Some(report.ledger),
                report.gap,
                report.partitions,
                report.lost,
                Some(report.source_at_end),
            ),
            None => (None, None, Vec::new(), known(), None),
        };
        Self {
            name,
            ledger,
            gap,
            partitions,
            members,
            lost,
            source_at_end,
            unreadable,
            ready: readiness.ready,
            problems: readiness.problems,
            dependencies,
            branches,
            live,
        }
    }
}
