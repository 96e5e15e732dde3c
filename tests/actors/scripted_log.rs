//! A log whose every answer is the test's.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

use aqueduct::{
    log::{
        Cancel, IngestEvent, IngestMember, Inspector, LoadMember, Log, LogError, Ownership, ShardWriter, TopicSpec,
        Waker,
    },
    model::{CursorRecord, Page, PageRecord, ShardId},
};
use serde_json::Value;
use tokio::time::Instant;

use crate::scripted_load::LoadSide;

/// One heartbeat of the group of the shards.
pub const HEARTBEAT: Duration = Duration::from_millis(150);

/// What becomes of a commit.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It is in, but the writer hears that it was fenced.
    InButFenced,
    /// It is not in, and the writer hears that it was fenced.
    OutAndFenced,
    /// It is not in: another owner has gone on to this cursor.
    Overtaken(Value),
    /// The broker finds this record of this page too large.
    TooLarge(usize, usize),
}

/// One transaction that went in.
#[derive(Clone, Debug)]
pub struct Transaction {
    pub pages: Vec<Page>,
    pub after: CursorRecord,
}

/// How a shard was opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    pub since_fence: Option<Duration>,
    pub polls_since_fence: u64,
}

#[derive(Default)]
pub struct State {
    events: VecDeque<IngestEvent>,
    owned: Vec<Ownership>,
    /// The member's polls do not come through.
    pub is_silent: bool,
    pub fates: VecDeque<Fate>,
    /// Commits wait.
    pub is_held: bool,
    /// Commits that wait, or have waited.
    pub num_begun: usize,
    pub log: Vec<Transaction>,
    pub committed: Option<CursorRecord>,
    pub openings: Vec<Opening>,
    /// How often a writer was asked where it stands: it is for each borrower and each page.
    pub num_looks: usize,
    fence: Option<(Instant, u64)>,
    pub max_record_bytes: usize,
}

/// See the module. Clones are the same log.
#[derive(Clone)]
pub struct ScriptedLog {
    state: Arc<(Mutex<State>, Condvar)>,
    pub load: LoadSide,
}

impl ScriptedLog {
    pub fn new() -> Self {
        let state = State {
            max_record_bytes: usize::MAX,
            ..State::default()
        };
        Self {
            state: Arc::new((Mutex::new(state), Condvar::new())),
            load: LoadSide::default(),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    /// The group gives the shard to the member; what comes back is the member's knowledge of it.
    pub fn assign_shard(&self) -> Ownership {
        let (own, mut state) = (Ownership::granted(), self.state());
        state.owned.push(own.clone());
        state
            .events
            .push_back(IngestEvent::Assigned(vec![(shard(), own.clone())]));
        own
    }

    pub fn revoke_shard(&self, own: &Ownership) {
        own.clear();
        self.state().events.push_back(IngestEvent::Revoked(vec![shard()]));
    }

    pub fn hold_commits(&self, is_held: bool) {
        self.state().is_held = is_held;
        self.state.1.notify_all();
    }

    /// The payloads in the log, in order.
    pub fn payloads(&self) -> Vec<String> {
        let state = self.state();
        let pages = state.log.iter().flat_map(|transaction| &transaction.pages);
        let records = pages.flat_map(|page| &page.records);
        records
            .map(|record| String::from_utf8_lossy(&record.payload).into_owned())
            .collect()
    }

    /// How many pages each transaction has.
    pub fn pages_by_transaction(&self) -> Vec<usize> {
        self.state()
            .log
            .iter()
            .map(|transaction| transaction.pages.len())
            .collect()
    }
}

pub fn shard() -> ShardId {
    ShardId {
        number: 0,
        content: r#"{"stripe":0,"of":1}"#.into(),
    }
}

pub fn spec() -> TopicSpec {
    TopicSpec {
        pipeline: "people".into(),
        topic: "people".into(),
        num_partitions: 2,
        replication: 1,
        shards: vec![shard()].into(),
    }
}

/// The page from `number` to `number + 1`; page 0 is the first one.
pub fn page(number: u64, num_records: usize) -> Page {
    let cursor = |number: u64| if number == 0 { Value::Null } else { number.into() };
    let record = |index| PageRecord {
        key: None,
        payload: format!("{number}.{index}").into(),
        reject: None,
    };
    Page {
        shard: shard(),
        cursor_before: cursor(number),
        cursor_after: cursor(number + 1),
        records: (0..num_records).map(record).collect(),
    }
}

impl Log for ScriptedLog {
    fn prepare(&self, _: &TopicSpec, _: &Cancel) -> Result<(), LogError> {
        Ok(())
    }

    fn join_ingest(&self, _: &TopicSpec, _: Waker) -> Result<Box<dyn IngestMember>, LogError> {
        Ok(Box::new(Member(self.clone())))
    }

    fn open_shard(
        &self,
        _: &TopicSpec,
        _: &ShardId,
        own: &Ownership,
        _: &Cancel,
    ) -> Result<Box<dyn ShardWriter>, LogError> {
        let mut state = self.state();
        let opening = Opening {
            since_fence: state.fence.map(|(when, _)| when.elapsed()),
            polls_since_fence: state.fence.map_or(0, |(_, polls)| own.num_polls() - polls),
        };
        state.openings.push(opening);
        Ok(Box::new(Writer {
            log: self.clone(),
            committed: state.committed.clone(),
        }))
    }

    fn join_load(&self, _: &TopicSpec, _: Waker) -> Result<Box<dyn LoadMember>, LogError> {
        Ok(Box::new(self.load.member()))
    }

    fn inspector(&self, _: &TopicSpec) -> Result<Arc<dyn Inspector>, LogError> {
        Ok(Arc::new(self.load.clone()))
    }
}

struct Member(ScriptedLog);

impl IngestMember for Member {
    fn poll(&mut self, _: Duration) -> Result<Vec<IngestEvent>, LogError> {
        let mut state = self.0.state();
        if !state.is_silent {
            state.owned.iter().for_each(Ownership::polled);
        }
        Ok(state.events.drain(..).collect())
    }

    fn heartbeat(&self) -> Duration {
        HEARTBEAT
    }
}

struct Writer {
    log: ScriptedLog,
    committed: Option<CursorRecord>,
}

impl ShardWriter for Writer {
    fn committed(&self) -> Option<&CursorRecord> {
        self.log.state().num_looks += 1;
        self.committed.as_ref()
    }

    fn commit(
        &mut self,
        pages: &[Page],
        after: &CursorRecord,
        own: &Ownership,
        cancel: &Cancel,
    ) -> Result<(), LogError> {
        let lost = || LogError::Lost {
            place: "shard 0".into(),
        };
        let mut state = self.log.state();
        state.num_begun += 1;
        while state.is_held && !cancel.is_cancelled() {
            let pause = Duration::from_millis(20);
            state = self.log.state.1.wait_timeout(state, pause).unwrap().0;
        }
        if !own.holds() {
            return Err(lost());
        }
        let fate = state.fates.pop_front();
        match &fate {
            None | Some(Fate::InButFenced) => {
                assert_eq!(state.committed, self.committed, "a fenced writer has written");
                state.committed = Some(after.clone());
                state.log.push(Transaction {
                    pages: pages.to_vec(),
                    after: after.clone(),
                });
            }
            Some(Fate::Overtaken(cursor)) => {
                state.committed = Some(CursorRecord {
                    cursor: cursor.clone(),
                    ..CursorRecord::default()
                });
            }
            Some(Fate::OutAndFenced) => {}
            Some(Fate::TooLarge(page, record)) => {
                return Err(LogError::RecordTooLarge {
                    page: *page,
                    record: *record,
                });
            }
        }
        if fate.is_some() {
            state.fence = Some((Instant::now(), own.num_polls()));
            return Err(lost());
        }
        self.committed = Some(after.clone());
        Ok(())
    }

    fn max_record_bytes(&self) -> usize {
        self.log.state().max_record_bytes
    }
}
