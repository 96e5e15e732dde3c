//! Reads a pipeline from outside: its ledger and its lag, from what is committed in PostgreSQL and in the log.
//!
//! Nothing here trusts the actors' memory: `--once` ends because the database and the log say that everything is there.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{RunningPipeline, building::LOOK, goal::Goal, positions};
use crate::{
    api::{Next, Source},
    log::{Inspector, Log, LogError, TopicSpec},
    model::{GroupMember, Ledger, LostRange},
    store::{ConnectInfo, Session, ledger, skips},
    supervision::BoxError,
    topology::Wiring,
};

/// See [`Probe::standing_gap`]; Kafka ends an open transaction after 60 s, and looks every 10 s.
const GAP_STANDS: Duration = Duration::from_secs(75);

/// One partition's distance to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionLag {
    /// The partition.
    pub partition: i32,
    /// `aqueduct.offsets.next_offset`; `None` = never claimed.
    pub next_offset: Option<i64>,
    /// The last stable offset.
    pub end_offset: i64,
    /// Offsets between the two, transaction markers included.
    pub lag: i64,
    /// Who claimed it last.
    pub owner: Option<String>,
}

/// A pipeline as committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineReport {
    /// The pipeline.
    pub name: String,
    /// Its ledger.
    pub ledger: Ledger,
    /// The first equation of the ledger that does not hold while nothing moves.
    pub gap: Option<String>,
    /// Its partitions.
    pub partitions: Vec<PartitionLag>,
    /// What its partitions have lost, and how a person leads them on.
    #[serde(default)]
    pub lost: Vec<LostRange>,
    /// Whether every shard of the source is at its end (for now).
    pub source_at_end: bool,
    /// Whether everything in the topic is settled; with `--once` and nothing to fetch: what was there at the start.
    pub drained: bool,
}

/// Asks PostgreSQL and the log. Keeps its connections.
pub struct Probe {
    connect: Arc<ConnectInfo>,
    log: Arc<dyn Log>,
    spec: TopicSpec,
    source: Option<Source>,
    frozen_now_ms: Option<i64>,
    /// With `--once` and nothing to fetch.
    goal: Option<Goal>,
    gap: Option<(String, Instant)>,
    session: Option<Session>,
    inspector: Option<Arc<dyn Inspector>>,
}

impl Probe {
    pub(super) fn new(wiring: &Wiring) -> Self {
        Self {
            connect: wiring.connect.clone(),
            log: wiring.log.clone(),
            spec: wiring.spec.clone(),
            source: wiring.source.clone(),
            frozen_now_ms: wiring.frozen_now_ms,
            goal: (wiring.source.is_none() && wiring.frozen_now_ms.is_some()).then(Goal::default),
            gap: None,
            session: None,
            inspector: None,
        }
    }

    /// Reads everything anew.
    pub fn read(&mut self) -> Result<PipelineReport, BoxError> {
        let report = self.try_read();
        if report.is_err() {
            self.session = None;
        }
        report
    }

    /// The daemons that share the pipeline out, as far as the log tells.
    pub fn members(&mut self) -> Result<Vec<GroupMember>, LogError> {
        match &self.inspector {
            Some(inspector) => inspector.members(),
            None => Ok(Vec::new()),
        }
    }

    /// A gap counts once it has stood still for longer than any transaction can be open: the markers of one transaction
    /// reach its partitions one after the other, and the parts of a report are read one after the other.
    fn standing_gap(&mut self, gap: Option<String>) -> Option<String> {
        let Some(gap) = gap else {
            self.gap = None;
            return None;
        };
        match &self.gap {
            Some((known, since)) if *known == gap => (since.elapsed() >= GAP_STANDS).then_some(gap),
            _ => {
                self.gap = Some((gap, Instant::now()));
                None
            }
        }
    }

    fn try_read(&mut self) -> Result<PipelineReport, BoxError> {
        let inspector = match &self.inspector {
            Some(inspector) => inspector.clone(),
            None => self.inspector.insert(self.log.inspector(&self.spec)?).clone(),
        };
        // In this order: what is at its end now stays there, so the ends read after it are final.
        let cursors = inspector.cursors()?;
        let now_ms = self
            .frozen_now_ms
            .unwrap_or_else(|| chrono::Utc::now().timestamp_millis());
        let at_end = |source: &Source| {
            cursors.iter().all(|(shard, committed)| {
                let cursor = committed.as_ref().map(|committed| &committed.cursor);
                matches!(
                    source.plan(shard, cursor, now_ms),
                    Ok(Next::WaitUntil(_) | Next::Finished)
                )
            })
        };
        let source_at_end = self.source.as_ref().is_none_or(at_end);
        let topic = positions::look(inspector.as_ref())?;
        let session = match &mut self.session {
            Some(session) => session,
            None => self.session.insert(Session::connect(&self.connect, "probe")?),
        };
        session.expect_writable()?;
        let known = positions::rows(session, &self.spec)?;
        let lost = positions::lost(session, &self.spec, &known, topic.as_ref())?;
        let (records, tables) = ledger::read(session, &self.spec.pipeline)?;
        let uncounted = skips::uncounted(session, &self.spec.pipeline)?;
        let lag = |topic: &positions::Topic, (partition, bounds): (i32, &crate::log::Bounds)| {
            let state = known.iter().find(|state| state.key.partition == partition);
            PartitionLag {
                partition,
                next_offset: state.map(|state| state.next_offset),
                end_offset: bounds.last_stable,
                lag: topic.lag(partition, state).unwrap_or(0),
                owner: state.map(|state| state.owner.clone()),
            }
        };
        let partitions: Vec<PartitionLag> = topic
            .iter()
            .flat_map(|topic| (0..).zip(&topic.bounds).map(|found| lag(topic, found)))
            .collect();
        let drained = lost.is_empty() && partitions.iter().all(|partition| partition.lag == 0);
        let sum = |of: fn(&crate::model::CursorRecord) -> u64| {
            self.source.as_ref().map(|_| {
                cursors
                    .iter()
                    .filter_map(|(_, committed)| committed.as_ref())
                    .map(of)
                    .sum()
            })
        };
        let (fetched, produced): (Option<u64>, Option<u64>) =
            (sum(|cursor| cursor.fetched), sum(|cursor| cursor.produced));
        let num_offsets: u64 = partitions
            .iter()
            .map(|partition| u64::try_from(partition.lag).unwrap_or(0))
            .sum();
        let missing = produced.map(|produced| produced.saturating_sub(records.consumed));
        let pending = match missing {
            _ if drained => 0,
            // What was skipped uncounted is missing, too; no more records are to come than there are offsets.
            Some(missing) if uncounted.num_skips > 0 => missing.min(num_offsets),
            Some(missing) => missing,
            None => num_offsets,
        };
        let lost_records = uncounted.account_for(missing.unwrap_or(0).saturating_sub(pending));
        let ledger = Ledger {
            fetched,
            produced,
            records,
            pending,
            lost: lost_records,
            uncounted_skips: uncounted.num_skips,
            tables,
        };
        let gap = self.standing_gap(ledger.gap().filter(|_| drained && source_at_end));
        let drained = drained || self.goal.as_mut().is_some_and(|goal| goal.is_reached(&partitions));
        Ok(PipelineReport {
            name: self.spec.pipeline.to_string(),
            ledger,
            gap,
            partitions,
            lost,
            source_at_end,
            drained,
        })
    }
}

/// Waits until the source is at its end and everything is settled. An outage on the way is waited out.
pub(super) async fn drained(pipeline: &Arc<RunningPipeline>) -> PipelineReport {
    loop {
        let asked = pipeline.clone();
        let report = tokio::task::spawn_blocking(move || asked.report()).await;
        if let Ok(Ok(report)) = report
            && report.source_at_end
            && report.drained
            // Not yet, or for good.
            && (report.ledger.gap().is_none() || report.gap.is_some())
        {
            return report;
        }
        tokio::time::sleep(LOOK).await;
    }
}
