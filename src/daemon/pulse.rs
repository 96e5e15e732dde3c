//! Asks, again and again, what a pipeline needs: does the log answer, does PostgreSQL, does anything move?
//!
//! The questions have threads of their own, one for each that is asked, so that one that hangs (packets that are dropped,
//! not refused) hides nothing of the others. Nobody waits for these threads: what they found is read from memory.

mod api;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use chrono::{DateTime, Utc};
use slog::Logger;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::api::Api;
use super::evidence::{DependencyStatus, Evidence};
use crate::{
    config::settings::{Brokers, Settings},
    log::{Bounds, Inspector, LogError},
    model::{Ledger, RecordCounts, RowCounts},
    store::{Session, ledger, offsets},
    supervision::{BoxError, chain},
    topology::Wiring,
};

/// The longest slice of a pause.
const LOOK: Duration = Duration::from_millis(50);

/// What is away is asked at least this often, so that `/readyz` is true again soon.
const IMPATIENT: Duration = Duration::from_secs(1);

/// A batch, and with it the offset, may take this long on a slow server without being called still.
const SLOW_BATCH: Duration = Duration::from_secs(30);

/// The questions of one pipeline, asked until this is dropped.
pub(super) struct Pulse {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    wiring: Wiring,
    every: Duration,
    stall_after: Duration,
    logger: Logger,
    log: Evidence,
    store: Evidence,
    api: Option<Api>,
    found: Mutex<Found>,
}

/// What the last answers said.
#[derive(Default)]
struct Found {
    bounds: BTreeMap<i32, Bounds>,
    fetched_and_produced: Option<(u64, u64)>,
    next_offsets: BTreeMap<i32, i64>,
    records: RecordCounts,
    tables: BTreeMap<String, RowCounts>,
    moved: Option<Moved>,
    moved_partitions: BTreeMap<i32, Moved>,
}

/// When the load side, or one partition, was last seen to get on.
struct Moved {
    sum: i64,
    at: Instant,
    since: DateTime<Utc>,
}

impl Moved {
    fn now(sum: i64) -> Self {
        let (at, since) = (Instant::now(), Utc::now());
        Self { sum, at, since }
    }
}

/// Records that wait while nothing is settled.
#[derive(Debug)]
pub(super) struct Still {
    /// `None` = of no partition.
    pub(super) partition: Option<i32>,
    pub(super) since: DateTime<Utc>,
    pub(super) lag: i64,
}

/// A partition as last seen by the pulse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenPartition {
    /// Its number.
    pub partition: i32,
    /// Everything below it is settled.
    pub next_offset: i64,
    /// Offsets up to the last stable one.
    pub lag: i64,
}

impl Pulse {
    pub(super) fn start(wiring: &Wiring, settings: &Settings, logger: &Logger) -> Self {
        let (log_name, log_place) = match &settings.kafka.brokers {
            Brokers::Embedded => (
                "embedded log",
                settings.daemon.state_dir.join("log.redb").display().to_string(),
            ),
            Brokers::Hosts(brokers) => ("kafka", brokers.clone()),
        };
        let shared = Arc::new(Shared {
            wiring: wiring.clone(),
            every: settings.daemon.probe_every,
            stall_after: settings.supervision.stall_after,
            logger: logger.clone(),
            log: Evidence::new(
                log_name,
                log_place,
                "its actors wait and go on by themselves, nothing is lost",
            ),
            store: Evidence::new(
                "postgres",
                wiring.connect.place().to_owned(),
                "the writers repeat their batch with growing pauses, nothing is lost and nothing becomes a dead letter",
            ),
            api: Api::of(&wiring.pipeline.source),
            found: Mutex::default(),
        });
        let stop = CancellationToken::new();
        spawn("pulse-log", &shared, &stop, ask_log_for_ever);
        spawn("pulse-store", &shared, &stop, ask_store_for_ever);
        if shared.api.is_some() {
            spawn("pulse-api", &shared, &stop, ask_api_for_ever);
        }
        Self {
            shared,
            _stop: stop.drop_guard(),
        }
    }

    /// How long an answer is good for.
    pub(super) fn good_for(&self) -> Duration {
        self.shared.every * 2
    }

    /// What the pipeline needs, in the direction of the data.
    pub(super) fn dependencies(&self) -> Vec<DependencyStatus> {
        let good_for = self.good_for();
        let meters = self.shared.wiring.gauges.meters();
        let api = self.shared.api.as_ref().map(|api| api.judge(meters, self.shared.every));
        api.into_iter()
            .chain([self.shared.log.judge(good_for), self.shared.store.judge(good_for)])
            .collect()
    }

    /// Where records wait and nothing has been settled for too long: everywhere, or in one partition, which then has a
    /// little longer, because others may go first. Polls that find nothing to do are progress, too.
    pub(super) fn still(&self) -> Vec<Still> {
        let limit = self.good_for().max(SLOW_BATCH);
        self.shared.found().still(limit, limit.max(self.shared.stall_after))
    }

    /// The ledger as the last answers had it; `None` before the first ones.
    pub(super) fn ledger(&self) -> Option<Ledger> {
        let found = self.shared.found();
        found.moved.as_ref()?;
        let (fetched, produced) = found.fetched_and_produced.unzip();
        let pending = match produced {
            _ if found.lag() == 0 => 0,
            Some(produced) => produced.saturating_sub(found.records.consumed),
            None => u64::try_from(found.lag()).unwrap_or(0),
        };
        Some(Ledger {
            fetched,
            produced,
            records: found.records,
            pending,
            tables: found.tables.clone(),
            // Skips are the probe's to count: `status` has them.
            ..Ledger::default()
        })
    }

    /// The partitions as the last answers had them.
    pub(super) fn partitions(&self) -> Vec<SeenPartition> {
        self.shared.found().partitions().collect()
    }
}

impl Found {
    fn partitions(&self) -> impl Iterator<Item = SeenPartition> {
        self.bounds.iter().map(|(partition, bounds)| {
            let next_offset = self.next_offsets.get(partition).copied().unwrap_or(bounds.low);
            SeenPartition {
                partition: *partition,
                next_offset,
                lag: (bounds.last_stable - next_offset).max(0),
            }
        })
    }

    fn lag(&self) -> i64 {
        self.partitions().map(|partition| partition.lag).sum()
    }

    /// Records moved, or there was nothing to move.
    fn look(&mut self) {
        let sum = self.next_offsets.values().sum();
        let has_moved = self.lag() == 0 || self.moved.as_ref().is_none_or(|moved| moved.sum != sum);
        if has_moved {
            self.moved = Some(Moved::now(sum));
        }
        let seen: Vec<_> = self.partitions().collect();
        self.moved_partitions
            .retain(|partition, _| seen.iter().any(|seen| seen.partition == *partition));
        for SeenPartition {
            partition,
            next_offset,
            lag,
        } in seen
        {
            let known = self.moved_partitions.get(&partition);
            if lag == 0 || known.is_none_or(|moved| moved.sum != next_offset) {
                self.moved_partitions.insert(partition, Moved::now(next_offset));
            }
        }
    }

    fn still(&self, limit: Duration, partition_limit: Duration) -> Vec<Still> {
        let lag = self.lag();
        let everywhere = self
            .moved
            .as_ref()
            .filter(|moved| lag > 0 && moved.at.elapsed() > limit);
        if let Some(Moved { since, .. }) = everywhere {
            let (partition, since) = (None, *since);
            return vec![Still { partition, since, lag }];
        }
        let of_partition = |seen: SeenPartition| {
            let moved = self.moved_partitions.get(&seen.partition)?;
            (seen.lag > 0 && moved.at.elapsed() > partition_limit).then_some(Still {
                partition: Some(seen.partition),
                since: moved.since,
                lag: seen.lag,
            })
        };
        self.partitions().filter_map(of_partition).collect()
    }
}

impl Shared {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an answer and waits for the next question.
    fn note(&self, evidence: &Evidence, answer: Result<(), BoxError>, stop: &CancellationToken) {
        let pause = match answer {
            Ok(()) => {
                if evidence.answered() {
                    let status = evidence.judge(self.every * 2);
                    slog::info!(self.logger, "answers again"; "dependency" => status.name, "place" => &status.place);
                }
                self.every
            }
            Err(error) => {
                if evidence.failed(chain(error.as_ref())) {
                    let status = evidence.judge(self.every * 2);
                    slog::warn!(self.logger, "does not answer"; "dependency" => status.name, "place" => &status.place,
                        "reason" => status.reason, "since" => &status.since, "meanwhile" => evidence.meanwhile());
                }
                self.every.min(IMPATIENT)
            }
        };
        evidence.asks_again_in(pause);
        let until = Instant::now() + pause;
        while !stop.is_cancelled() && Instant::now() < until {
            std::thread::park_timeout(until.saturating_duration_since(Instant::now()).min(LOOK));
        }
    }
}

fn spawn(name: &str, shared: &Arc<Shared>, stop: &CancellationToken, body: fn(&Arc<Shared>, &CancellationToken)) {
    let (shared, stop, logger) = (shared.clone(), stop.clone(), shared.logger.clone());
    let started = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || body(&shared, &stop));
    if let Err(error) = started {
        // Without answers `/readyz` is false, which is the truth: nobody looks.
        slog::error!(logger, "cannot watch"; "thread" => name, "reason" => %error);
    }
}

fn ask_log_for_ever(shared: &Arc<Shared>, stop: &CancellationToken) {
    let mut inspector = None;
    while !stop.is_cancelled() {
        let answer = ask_log(shared, &mut inspector);
        shared.note(&shared.log, answer, stop);
    }
}

fn ask_log(shared: &Shared, inspector: &mut Option<Arc<dyn Inspector>>) -> Result<(), BoxError> {
    let wiring = &shared.wiring;
    let inspector = match inspector {
        Some(inspector) => inspector,
        None => match wiring.log.inspector(&wiring.spec) {
            Ok(opened) => inspector.insert(opened),
            // The log does answer: nobody has made the topic yet.
            Err(LogError::Gone { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        },
    };
    let num_partitions = match inspector.num_partitions() {
        // The brokers do answer. Its partitions stop, and say so.
        Err(LogError::Gone { .. }) => 0,
        answer => answer?,
    };
    let bounds = (0..num_partitions)
        .map(|partition| Ok((partition, inspector.bounds(partition)?)))
        .collect::<Result<BTreeMap<_, _>, BoxError>>()?;
    let fetched_and_produced = match &wiring.source {
        None => None,
        Some(_) => {
            let cursors = inspector.cursors()?;
            let committed = cursors.iter().filter_map(|(_, cursor)| cursor.as_ref());
            Some(committed.fold((0, 0), |sum, cursor| (sum.0 + cursor.fetched, sum.1 + cursor.produced)))
        }
    };
    let mut found = shared.found();
    found.bounds = bounds;
    found.fetched_and_produced = fetched_and_produced;
    Ok(())
}

fn ask_store_for_ever(shared: &Arc<Shared>, stop: &CancellationToken) {
    let mut session = None;
    while !stop.is_cancelled() {
        let answer = match ask_store_in_time(shared, session.take()) {
            Ok(usable) => {
                session = Some(usable);
                Ok(())
            }
            Err(error) => Err(error),
        };
        shared.note(&shared.store, answer, stop);
    }
}

/// A server whose machine acknowledges and which never answers cannot be left from within: the question's thread is left
/// behind, and the next one has a connection of its own.
fn ask_store_in_time(shared: &Arc<Shared>, mut session: Option<Session>) -> Result<Session, BoxError> {
    let limits = shared.wiring.connect.limits;
    let (tell, told) = mpsc::channel();
    let asking = shared.clone();
    std::thread::Builder::new()
        .name("pulse-question".to_owned())
        .spawn(move || {
            let answer = ask_store(&asking, &mut session);
            // Nobody may wait any more.
            let _ = tell.send(answer.and_then(|()| session.ok_or_else(|| "there is no session".into())));
        })?;
    told.recv_timeout(limits.connect + limits.answer())
        .unwrap_or_else(|_| Err("it is connected and does not answer".into()))
}

fn ask_store(shared: &Shared, session: &mut Option<Session>) -> Result<(), BoxError> {
    let (connect, spec) = (&shared.wiring.connect, &shared.wiring.spec);
    let session = match session {
        Some(session) => session,
        None => session.insert(Session::connect(connect, &format!("{} pulse", spec.pipeline))?),
    };
    let known = offsets::read_all(session, &spec.pipeline)?;
    let (records, tables) = ledger::read(session, &spec.pipeline)?;
    let mut found = shared.found();
    found.next_offsets = known
        .into_iter()
        .filter(|state| *state.key.topic == *spec.topic)
        .map(|state| (state.key.partition, state.next_offset))
        .collect();
    found.records = records;
    found.tables = tables;
    found.look();
    Ok(())
}

fn ask_api_for_ever(shared: &Arc<Shared>, stop: &CancellationToken) {
    let Some(api) = &shared.api else { return };
    while !stop.is_cancelled() {
        match api.ask(shared.wiring.gauges.meters(), shared.every) {
            Some(answer) => shared.note(&api.reached, answer, stop),
            None => {
                api.reached.answered();
                std::thread::park_timeout(LOOK.max(shared.every / 10));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(120));

    fn found(next_offsets: [i64; 2]) -> Found {
        let bounds = |last_stable| Bounds { low: 0, last_stable };
        Found {
            bounds: BTreeMap::from([(0, bounds(1_000)), (1, bounds(10))]),
            next_offsets: BTreeMap::from([(0, next_offsets[0]), (1, next_offsets[1])]),
            ..Found::default()
        }
    }

    fn places(found: &Found) -> Vec<Option<i32>> {
        let still = found.still(LIMITS.0, LIMITS.1);
        still.into_iter().map(|still| still.partition).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_stands_still_is_seen_beside_one_that_moves_and_an_idle_one_never_is() {
        let mut found = found([0, 3]);
        for second in 0..=120 {
            found.next_offsets.insert(0, second);
            found.look();
            assert_eq!(places(&found), [], "after {second} s");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(places(&found), [Some(1)]);
        // At its end it may rest for hours.
        found.next_offsets.insert(1, 10);
        for hour in 0..24 {
            found.next_offsets.insert(0, 500 + hour);
            found.look();
            assert_eq!(places(&found), []);
            tokio::time::advance(Duration::from_secs(100)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_moves_at_all_it_is_said_once_and_sooner() {
        let mut found = found([5, 3]);
        found.look();
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(places(&found), [None]);
    }
}
