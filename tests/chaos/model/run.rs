//! Plays a scenario: two processes, the steps, the end of all faults, the check.

use std::{sync::Arc, time::Duration};

use aqueduct::{
    config::settings::{OnEscalate, Supervision},
    log::TopicSpec,
    sql::{self, Program},
    supervision::{BranchHandle, BranchState},
    telemetry::Gauges,
    topology::{Wiring, load_branch},
};
use futures::future::join_all;

use super::{
    check::check,
    log::ModelLog,
    records::{Kind, SQL},
    steps::{PARTITIONS, Step},
    store::{Sabotage, Store},
};
use crate::{
    clock::on_held_time,
    load::{ask, postgres::silent},
    pipeline::{SCHEMA, pipeline},
};

/// By the held clock, from the end of the faults to the last record.
const LIMIT: Duration = Duration::from_secs(200);
/// Real time and held time of one beat.
const BEAT: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(20));

/// `Err` is what is wrong, in a sentence.
pub fn play(steps: &[Step], sabotage: Option<Sabotage>) -> Result<(), String> {
    let store = Store::new(sabotage);
    on_held_time(async {
        tokio::select! {
            played = Scene::new(store).play(steps) => played,
            () = beat() => unreachable!(),
        }
    })
}

/// Moves the held clock along with the threads. A blocking task holds it, where a sleep would move it.
async fn beat() {
    loop {
        tokio::task::spawn_blocking(|| std::thread::park_timeout(BEAT.0))
            .await
            .unwrap();
        tokio::time::advance(BEAT.1).await;
    }
}

struct Scene {
    log: ModelLog,
    store: Store,
    program: Arc<Program>,
    processes: Vec<BranchHandle>,
    /// Something happened for which an actor may end.
    may_restart: bool,
    has_snapshot: bool,
    is_recreated: bool,
}

impl Scene {
    fn new(store: Store) -> Self {
        let declaration = sql::Declaration {
            schema: SCHEMA.into(),
            tables: vec![sql::TableQuery {
                table: "people".into(),
                sql: SQL.into(),
            }],
            on_nul: sql::OnNul::Reject,
            memory_limit_bytes: 64 << 20,
        };
        Self {
            log: ModelLog::new(),
            store,
            program: Program::compile(&declaration).unwrap(),
            processes: Vec::new(),
            may_restart: false,
            has_snapshot: false,
            is_recreated: false,
        }
    }

    fn start(&self, process: usize) -> BranchHandle {
        let mut pipeline = (*pipeline(100_000)).clone();
        pipeline.tables[0].sql = SQL.into();
        pipeline.batch.rows = 7;
        (pipeline.actors.transformers, pipeline.actors.writers) = (1, 1);
        let wiring = Wiring {
            spec: TopicSpec {
                pipeline: pipeline.name.clone(),
                topic: pipeline.topic.name.clone(),
                num_partitions: PARTITIONS,
                replication: 1,
                shards: Vec::new().into(),
            },
            pipeline: Arc::new(pipeline),
            log: Arc::new(self.log.seen_by(process)),
            source: None,
            program: self.program.clone(),
            connect: Arc::new(self.store.info()),
            owner: format!("process-{process}"),
            frozen_now_ms: None,
            gauges: Arc::new(Gauges::default()),
        };
        let supervision = Supervision {
            max_restarts: 5,
            window: Duration::from_secs(60),
            backoff: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
            stall_after: Duration::from_secs(600),
            grace: Duration::from_secs(5),
            on_escalate: OnEscalate::Park,
        };
        load_branch(&wiring, &supervision, &silent())
    }

    async fn play(mut self, steps: &[Step]) -> Result<(), String> {
        self.processes = (0..2).map(|process| self.start(process)).collect();
        // From then on nothing that retention takes is taken in silence.
        self.until("all partitions are claimed", |scene| {
            let claimed = "SELECT count(*) FROM aqueduct.offsets";
            ask(&mut scene.store.session(), claimed) == Some(PARTITIONS.to_string())
        })
        .await?;
        for step in steps {
            self.take(step).await;
        }
        self.log.state().is_away = false;
        self.store.come_back();
        if self.is_recreated {
            // That a topic is another one is noticed by its next record. An idle partition whose position fits the new topic by
            // chance asks once a second, but by the real clock of its reader's thread, and the clock here is held.
            (0..PARTITIONS).for_each(|partition| self.log.state().append(partition, &[Kind::Good]));
        }
        self.log.state().wake();
        let ended = self.until("each partition is at its end", Self::is_at_end).await;
        let verdict = ended.and_then(|()| self.no_restart_was_spent());
        join_all(self.processes.iter().map(BranchHandle::stop)).await;
        verdict?;
        check(&self.store, &self.log.state())
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Append { partition, kinds } => self.log.state().append(*partition, kinds),
            Step::Aborted { partition, offsets } => self.log.state().skip_offsets(*partition, *offsets),
            Step::Retention { partition, offsets } => self.log.state().retain(*partition, *offsets),
            Step::Recreate if self.is_recreated => {}
            Step::Recreate => {
                self.is_recreated = true;
                self.log.state().recreate();
            }
            Step::Move { partition, to } => self.log.state().move_to(*partition, *to),
            Step::Deafen { partition } => self.log.state().deafen(*partition),
            Step::Wake => self.log.state().wake(),
            Step::Fail { partition } => {
                self.may_restart = true;
                self.log.state().fail_owner(*partition);
            }
            Step::Restart { process } => {
                self.processes[*process].stop().await;
                self.processes[*process] = self.start(*process);
            }
            Step::LogAway => self.log.state().is_away = true,
            Step::LogBack => self.log.state().is_away = false,
            Step::Cut => self.store.cut(),
            Step::CommitLost { delivers } => self.store.lose_commit(*delivers),
            Step::PostgresAway => self.store.go_away(),
            Step::PostgresBack => self.store.come_back(),
            Step::Snapshot => {
                self.has_snapshot = true;
                self.store.snapshot();
            }
            // Epochs go back as well: two owners may hold the same one, and what one of them finds is impossible.
            Step::FailOver if self.has_snapshot => {
                self.may_restart = true;
                self.store.fail_over();
            }
            Step::FailOver => {}
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
        }
    }

    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) -> Result<(), String> {
        let all = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
        };
        let ended = tokio::time::timeout(LIMIT, all).await;
        ended.map_err(|_| {
            let offsets =
                "SELECT string_agg(partition || ': ' || next_offset || ' epoch ' || epoch, ', ') FROM aqueduct.offsets";
            let offsets = ask(&mut self.store.session(), offsets);
            let statuses: Vec<_> = self.processes.iter().map(BranchHandle::status).collect();
            format!("waited {LIMIT:?} in vain until {what}: {offsets:?} {statuses:#?}")
        })
    }

    /// The operator leads on what has stopped.
    fn is_at_end(&self) -> bool {
        if self.store.skip_stopped(&self.log) > 0 {
            return false;
        }
        let ends = {
            let state = self.log.state();
            let end = |(number, at): (usize, &super::log::Partition)| format!("{number} {} {}", state.topic_id, at.end);
            state
                .partitions
                .iter()
                .enumerate()
                .map(end)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let offsets = "SELECT string_agg(partition || ' ' || topic_id || ' ' || next_offset, ', ' ORDER BY partition) FROM aqueduct.offsets";
        ask(&mut self.store.session(), offsets) == Some(ends)
    }

    fn no_restart_was_spent(&self) -> Result<(), String> {
        for process in &self.processes {
            let status = process.status();
            let is_first = status.state == BranchState::Running && status.children.iter().all(|child| child.life == 1);
            if !self.may_restart && !is_first {
                return Err(format!("an outage spent a restart: {status:#?}"));
            }
        }
        Ok(())
    }
}
