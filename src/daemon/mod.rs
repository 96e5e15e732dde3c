//! A running daemon: what is started before the branches, the branches, and what is read from outside of them.

mod building;
mod evidence;
mod goal;
mod moving;
mod positions;
mod probe;
mod pulse;
mod readiness;
mod replay;
mod skipping;
mod startup;
mod watchdog;

use std::sync::{Arc, Mutex};

use slog::Logger;
use tokio_util::sync::CancellationToken;

pub use self::{
    building::{Program, StartError, compile},
    evidence::DependencyStatus,
    moving::{Moved, move_cursors},
    positions::{ChangeError, PartitionPosition, Positions, SkipRequest, Skipped},
    probe::{PartitionLag, PipelineReport, Probe},
    pulse::SeenPartition,
    readiness::{Problem, Readiness},
    replay::{ReplayError, Replayed, replay},
    skipping::SkipTo,
    startup::Startup,
    watchdog::{feed_watchdog, feed_watchdog_at_start},
};
use crate::{
    config::settings::{Pipeline, Settings},
    log::LogError,
    model::{GroupMember, Ledger},
    store::{ConnectInfo, embedded::EmbeddedPostgres},
    supervision::{BoxError, BranchHandle, BranchState, BranchStatus, Root, RootOutcome},
    telemetry::{Gauges, GaugesSnapshot, Meters, PartitionGauge},
    topology,
};

/// How long the daemon is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until it is told to stop.
    Daemon,
    /// To the end of the source, drained to PostgreSQL.
    Once,
}

/// Everything that runs.
pub struct Daemon {
    root: Root,
    pipelines: Vec<Arc<RunningPipeline>>,
    connect: Arc<ConnectInfo>,
    embedded_postgres: Option<EmbeddedPostgres>,
}

/// One pipeline's live part, as status and dashboard see it. Shared with their threads.
pub struct RunningPipeline {
    name: Arc<str>,
    branches: Vec<BranchHandle>,
    gauges: Arc<Gauges>,
    probe: Mutex<Probe>,
    positions: Positions,
    pulse: pulse::Pulse,
    noticed: readiness::Noticed,
}

impl RunningPipeline {
    /// The pipeline's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its branches, in the direction of the data.
    pub fn branch_status(&self) -> Vec<BranchStatus> {
        self.branches.iter().map(BranchHandle::status).collect()
    }

    /// Why nothing more will come of it without a person: a parked branch, a stopped partition.
    pub fn stuck(&self) -> Option<String> {
        let parked = |status: BranchStatus| match status.state {
            BranchState::Parked => Some(format!(
                "{} is parked: {}",
                status.name,
                status.reason.unwrap_or_default()
            )),
            _ => None,
        };
        let stopped = |(partition, gauge): (i32, PartitionGauge)| {
            let remedy = gauge.lost.map(|lost| format!("; to go on: {}", lost.remedy));
            gauge.state.starts_with("stopped").then(|| {
                format!(
                    "partition {partition} has {}{}",
                    gauge.state,
                    remedy.unwrap_or_default()
                )
            })
        };
        let branches = self.branch_status().into_iter().find_map(parked);
        branches.or_else(|| self.gauges().partitions.into_iter().find_map(stopped))
    }

    /// Tries parked branches at once.
    pub fn resume(&self) {
        self.branches.iter().for_each(BranchHandle::resume);
    }

    /// Where its partitions stand. Blocks for milliseconds, or up to some seconds in an outage.
    pub fn positions(&self) -> Result<Vec<PartitionPosition>, BoxError> {
        let mut positions = self.positions.show()?;
        let live = self.gauges().partitions;
        for position in &mut positions {
            let owned = live.get(&position.partition).filter(|gauge| gauge.owned);
            if let Some(gauge) = owned.filter(|_| position.lost.is_none()) {
                position.state.clone_from(&gauge.state);
            }
        }
        Ok(positions)
    }

    /// Leads a partition on, past records that are not loaded. Its owner, in whichever daemon, finds out by itself.
    pub fn skip(&self, request: &SkipRequest) -> Result<Skipped, ChangeError> {
        self.positions.skip(request)
    }

    /// Its live numbers.
    pub fn gauges(&self) -> GaugesSnapshot {
        self.gauges.snapshot()
    }

    /// What else is counted.
    pub fn meters(&self) -> &Meters {
        self.gauges.meters()
    }

    /// What it needs, and whether that answers, in the direction of the data.
    pub fn dependencies(&self) -> Vec<DependencyStatus> {
        self.pulse.dependencies()
    }

    /// Whether it gets on. Read from memory: never blocks.
    pub fn readiness(&self) -> Readiness {
        let (dependencies, branches) = (self.dependencies(), self.branch_status());
        self.noticed
            .judge(&self.name, &dependencies, &branches, &self.gauges(), self.pulse.still())
    }

    /// The ledger as it was when PostgreSQL and the log were last asked; `None` before that. Never blocks.
    pub fn seen_ledger(&self) -> Option<Ledger> {
        self.pulse.ledger()
    }

    /// The partitions as they were when PostgreSQL and the log were last asked. Never blocks.
    pub fn seen_partitions(&self) -> Vec<SeenPartition> {
        self.pulse.partitions()
    }

    /// The daemons that share it out, this one among them, as the log knows them. After [`report`](Self::report), with whose
    /// connection it asks; blocks as long.
    pub fn members(&self) -> Result<Vec<GroupMember>, LogError> {
        self.probe
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .members()
    }

    /// Reads ledger and lag from PostgreSQL and the log. Blocks for milliseconds, or up to some seconds in an outage.
    pub fn report(&self) -> Result<PipelineReport, BoxError> {
        self.probe
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .read()
    }
}

/// The positions of all pipelines without a running daemon. The embedded server, if there is one, ends with the second part.
pub async fn positions(
    settings: &Settings,
    log: &Logger,
) -> Result<(Vec<Positions>, Option<EmbeddedPostgres>), StartError> {
    // The log first: an embedded one is locked while a daemon runs, whose server must not be touched.
    let kafka_or_file = building::open_log(settings, log).await?;
    let (connect, server) = building::connect_info(settings, log).await?;
    let of = |pipeline: &Arc<Pipeline>| Positions::of(pipeline, connect.clone(), kafka_or_file.clone());
    Ok((settings.pipelines.iter().map(of).collect(), server))
}

impl Daemon {
    /// Starts what is embedded, migrates, opens the log and starts every pipeline. Outages are waited out until `cancel`;
    /// `startup` says so meanwhile.
    pub async fn start(
        settings: &Settings,
        programs: Vec<Program>,
        mode: Mode,
        log: &Logger,
        startup: &Startup,
        cancel: &CancellationToken,
    ) -> Result<Self, StartError> {
        let (connect, embedded_postgres) = building::connect_info(settings, log).await?;
        if settings.postgres.migrate {
            building::migrate(settings, &connect, log, startup, cancel).await?;
        }
        let kafka_or_file = building::open_log(settings, log).await?;
        let mut root = Root::new(log);
        let mut pipelines = Vec::new();
        for (pipeline, program) in settings.pipelines.iter().zip(programs) {
            let log = log.new(slog::o!("pipeline" => pipeline.name.to_string()));
            let wiring = building::wire(pipeline, program, kafka_or_file.clone(), connect.clone(), mode, &log)?;
            let load = topology::load_branch(&wiring, &settings.supervision, &log);
            let ingest = topology::ingest_branch(&wiring, &settings.supervision, &log);
            let branches: Vec<_> = ingest.into_iter().chain([load]).collect();
            root.add_line(branches.clone());
            pipelines.push(Arc::new(RunningPipeline {
                name: pipeline.name.clone(),
                branches,
                gauges: wiring.gauges.clone(),
                probe: Mutex::new(Probe::new(&wiring)),
                positions: Positions::new(&wiring),
                pulse: pulse::Pulse::start(&wiring, settings, &log),
                noticed: readiness::Noticed::default(),
            }));
        }
        startup.is_over(&pipelines);
        Ok(Self {
            root,
            pipelines,
            connect,
            embedded_postgres,
        })
    }

    /// The pipelines, in the config's order.
    pub fn pipelines(&self) -> &[Arc<RunningPipeline>] {
        &self.pipelines
    }

    /// How PostgreSQL is reached.
    pub fn connect_info(&self) -> &Arc<ConnectInfo> {
        &self.connect
    }

    /// The embedded server, if there is one.
    pub fn embedded_postgres(&self) -> Option<&EmbeddedPostgres> {
        self.embedded_postgres.as_ref()
    }

    /// Resolves when the daemon has to give up.
    pub async fn outcome(&self) -> RootOutcome {
        self.root.outcome().await
    }

    /// The status of all branches.
    pub fn status(&self) -> Vec<BranchStatus> {
        self.root.status()
    }

    /// Resolves when every source is at its end and everything is settled, with the last reports.
    pub async fn drained(&self) -> Vec<PipelineReport> {
        let mut reports = Vec::new();
        for pipeline in &self.pipelines {
            reports.push(probe::drained(pipeline).await);
        }
        reports
    }

    /// Resolves with the reason when a run to the end cannot get there: a branch is parked, or a partition has stopped.
    pub async fn stuck(&self) -> String {
        loop {
            for pipeline in &self.pipelines {
                if let Some(reason) = pipeline.stuck() {
                    return format!("pipeline {}: {reason}", pipeline.name);
                }
            }
            tokio::time::sleep(building::LOOK).await;
        }
    }

    /// Stops the branches in data order, then what is embedded. `true` = everything stopped by itself within its grace.
    pub async fn stop(mut self) -> bool {
        let summaries = self.root.stop().await;
        if let Some(postgres) = self.embedded_postgres.take() {
            // A fast shutdown of the server blocks for a moment; nothing else runs any more.
            drop(postgres);
        }
        summaries.iter().all(crate::supervision::StopSummary::is_clean)
    }
}
