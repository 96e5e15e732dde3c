//! Asks, again and again, what a pipeline needs: does the log answer, does PostgreSQL, does anything move?
//!
//! The questions have threads of their own, one for each that is asked, so that one that hangs (packets that are dropped,
//! not refused) hides nothing of the others. Nobody waits for these threads: what they found is read from memory.

mod api;
mod found;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use slog::Logger;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::found::SeenPartition;
pub(super) use self::found::Still;
use self::{api::Api, found::Found};
use super::evidence::{DependencyStatus, Evidence};
use crate::{
    config::settings::{Brokers, Settings},
    log::{Inspector, LogError},
    model::Ledger,
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
        if !found.has_looked() {
            return None;
        }
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
    session.expect_writable()?;
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
