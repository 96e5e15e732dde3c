//! A model of Kafka's load side: partitions with gaps, retention, a topic that is replaced, and a group.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aqueduct::{
    log::{
        Bounds, Cancel, IngestMember, Inspector, LoadEvent, LoadMember, Log, LogError, Ownership, ReadLimit,
        ReadOutcome, ShardWriter, TopicSpec, Waker,
    },
    model::{CursorRecord, LogRecord, ShardId, TopicId, Verdict},
};

use super::{
    records::{Kind, Written},
    steps::PARTITIONS,
};

#[derive(Default)]
pub struct Partition {
    pub low: i64,
    pub end: i64,
    records: BTreeMap<i64, LogRecord>,
    owner: Option<u64>,
    /// Where it goes when its owner has let it go.
    wanted: Option<usize>,
}

struct Seat {
    process: usize,
    events: VecDeque<LoadEvent>,
    is_deaf: bool,
    is_broken: bool,
}

pub struct State {
    pub topic_id: TopicId,
    pub partitions: Vec<Partition>,
    pub written: Vec<Written>,
    pub is_away: bool,
    members: BTreeMap<u64, Seat>,
    num_members: u64,
}

/// See the module. Clones are the same log.
#[derive(Clone)]
pub struct ModelLog(Arc<Mutex<State>>);

impl ModelLog {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            topic_id: TopicId(uuid::Uuid::from_u128(1)),
            partitions: (0..PARTITIONS).map(|_| Partition::default()).collect(),
            written: Vec::new(),
            is_away: false,
            members: BTreeMap::new(),
            num_members: 0,
        })))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The log as one process sees it.
    pub fn seen_by(&self, process: usize) -> Seen {
        Seen {
            log: self.clone(),
            process,
        }
    }
}

impl State {
    pub fn append(&mut self, partition: i32, kinds: &[Kind]) {
        for kind in kinds {
            let at = &mut self.partitions[partition as usize];
            let written = Written {
                id: self.written.len() as i64,
                kind: *kind,
                topic_id: self.topic_id,
                partition,
                offset: at.end,
            };
            at.records.insert(at.end, written.record());
            at.end += 1;
            self.written.push(written);
        }
        self.skip_offsets(partition, 1);
    }

    /// Offsets that no reader sees: markers, and what was aborted.
    pub fn skip_offsets(&mut self, partition: i32, offsets: i64) {
        self.partitions[partition as usize].end += offsets;
    }

    pub fn retain(&mut self, partition: i32, offsets: i64) {
        let at = &mut self.partitions[partition as usize];
        at.low = at.end.min(at.low + offsets);
        at.records = at.records.split_off(&at.low);
    }

    /// No rebalance, no error: members are not told.
    pub fn recreate(&mut self) {
        self.topic_id = TopicId(uuid::Uuid::from_u128(2));
        for at in &mut self.partitions {
            (at.low, at.end, at.records) = (0, 0, BTreeMap::new());
        }
    }

    pub fn move_to(&mut self, partition: i32, process: usize) {
        let at = &mut self.partitions[partition as usize];
        let owner = at.owner.and_then(|owner| Some((owner, self.members.get_mut(&owner)?)));
        match owner {
            // One question at a time.
            Some((_, seat)) if at.wanted.is_some() || seat.process == process => {}
            Some((_, seat)) => {
                at.wanted = Some(process);
                seat.events.push_back(LoadEvent::Revoked {
                    partitions: vec![partition],
                    lost: false,
                });
            }
            None => self.assign(partition, Some(process)),
        }
    }

    /// Everything of the partition's owner goes to others, and it does not hear of it.
    pub fn deafen(&mut self, partition: i32) {
        let Some(owner) = self.partitions[partition as usize].owner else {
            return;
        };
        if self.members.len() < 2 {
            return;
        }
        let Some(seat) = self.members.get_mut(&owner) else {
            return;
        };
        let process = seat.process;
        seat.is_deaf = true;
        let lost: Vec<i32> = (0..PARTITIONS)
            .filter(|it| self.partitions[*it as usize].owner == Some(owner))
            .collect();
        seat.events.push_back(LoadEvent::Revoked {
            partitions: lost.clone(),
            lost: true,
        });
        for partition in lost {
            self.partitions[partition as usize].owner = None;
            self.assign(partition, Some(1 - process));
        }
    }

    pub fn wake(&mut self) {
        self.members.values_mut().for_each(|seat| seat.is_deaf = false);
        self.assign_orphans();
    }

    pub fn fail_owner(&mut self, partition: i32) {
        let owner = self.partitions[partition as usize].owner;
        if let Some(seat) = owner.and_then(|owner| self.members.get_mut(&owner)) {
            seat.is_broken = true;
        }
    }

    /// To a member of this process, or to any that hears; else it waits for one.
    fn assign(&mut self, partition: i32, process: Option<usize>) {
        let mut hearing: Vec<_> = self.members.iter_mut().filter(|(_, seat)| !seat.is_deaf).collect();
        let place = hearing
            .iter()
            .position(|(_, seat)| Some(seat.process) == process)
            .unwrap_or(0);
        let at = &mut self.partitions[partition as usize];
        at.wanted = None;
        at.owner = hearing.get(place).map(|(member, _)| **member);
        if let Some((_, seat)) = hearing.get_mut(place) {
            seat.events.push_back(LoadEvent::Assigned(vec![partition]));
        }
    }

    fn assign_orphans(&mut self) {
        for partition in 0..PARTITIONS {
            let owner = self.partitions[partition as usize].owner;
            if owner.is_none_or(|owner| !self.members.contains_key(&owner)) {
                self.assign(partition, None);
            }
        }
    }
}

pub struct Seen {
    log: ModelLog,
    process: usize,
}

impl Log for Seen {
    fn prepare(&self, _: &TopicSpec, _: &Cancel) -> Result<(), LogError> {
        Ok(())
    }

    fn join_ingest(&self, _: &TopicSpec, _: Waker) -> Result<Box<dyn IngestMember>, LogError> {
        unreachable!("nothing is fetched")
    }

    fn open_shard(
        &self,
        _: &TopicSpec,
        _: &ShardId,
        _: &Ownership,
        _: &Cancel,
    ) -> Result<Box<dyn ShardWriter>, LogError> {
        unreachable!("nothing is fetched")
    }

    fn join_load(&self, _: &TopicSpec, _: Waker) -> Result<Box<dyn LoadMember>, LogError> {
        let mut state = self.log.state();
        state.num_members += 1;
        let number = state.num_members;
        let seat = Seat {
            process: self.process,
            events: VecDeque::new(),
            is_deaf: false,
            is_broken: false,
        };
        state.members.insert(number, seat);
        state.assign_orphans();
        Ok(Box::new(Member {
            log: self.log.clone(),
            number,
            positions: BTreeMap::new(),
        }))
    }

    fn inspector(&self, _: &TopicSpec) -> Result<Arc<dyn Inspector>, LogError> {
        Ok(Arc::new(Questioner(self.log.clone())))
    }
}

struct Member {
    log: ModelLog,
    number: u64,
    /// The position, and the end that was told.
    positions: BTreeMap<i32, (i64, Option<i64>)>,
}

impl LoadMember for Member {
    fn poll(&mut self, _: Duration) -> Result<Vec<LoadEvent>, LogError> {
        let mut state = self.log.state();
        let seat = state.members.get_mut(&self.number).expect("it has joined");
        if seat.is_broken {
            return Err(call(Verdict::Fail));
        }
        Ok(if seat.is_deaf {
            Vec::new()
        } else {
            seat.events.drain(..).collect()
        })
    }

    fn assign(&mut self, claims: &[(i32, i64)]) -> Result<(), LogError> {
        self.positions
            .extend(claims.iter().map(|(partition, offset)| (*partition, (*offset, None))));
        Ok(())
    }

    fn release(&mut self, partitions: &[i32]) -> Result<(), LogError> {
        let mut state = self.log.state();
        for partition in partitions {
            self.positions.remove(partition);
            let at = &state.partitions[*partition as usize];
            // What was lost is somebody else's already.
            if at.owner == Some(self.number) && at.wanted.is_some() {
                let wanted = at.wanted;
                state.assign(*partition, wanted);
            }
        }
        Ok(())
    }

    fn read(&mut self, partition: i32, limit: ReadLimit, into: &mut Vec<LogRecord>) -> Result<ReadOutcome, LogError> {
        let state = self.log.state();
        let Some((position, told)) = self.positions.get_mut(&partition) else {
            return Ok(ReadOutcome::Empty);
        };
        let at = &state.partitions[partition as usize];
        if *position < at.low || *position > at.end {
            return Ok(ReadOutcome::OutOfRange);
        }
        let more: Vec<_> = at
            .records
            .range(*position..)
            .take(limit.records)
            .map(|(_, record)| record.clone())
            .collect();
        if let Some(last) = more.last() {
            *position = last.offset + 1;
            into.extend(more);
            return Ok(ReadOutcome::More);
        }
        *position = at.end;
        let is_news = told.replace(at.end) != Some(at.end);
        Ok(if is_news { ReadOutcome::End } else { ReadOutcome::Empty })
    }

    fn position(&mut self, partition: i32) -> Option<i64> {
        self.positions.get(&partition).map(|(position, _)| *position)
    }

    fn note_settled(&mut self, _: i32, _: i64) {}
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.log.state();
        state.members.remove(&self.number);
        state.assign_orphans();
    }
}

struct Questioner(ModelLog);

impl Questioner {
    fn ask<T>(&self, answer: impl FnOnce(&State) -> T) -> Result<T, LogError> {
        let state = self.0.state();
        if state.is_away {
            Err(call(Verdict::Retry))
        } else {
            Ok(answer(&state))
        }
    }
}

impl Inspector for Questioner {
    fn topic_id(&self) -> Result<TopicId, LogError> {
        self.ask(|state| state.topic_id)
    }

    fn num_partitions(&self) -> Result<i32, LogError> {
        self.ask(|_| PARTITIONS)
    }

    fn bounds(&self, partition: i32) -> Result<Bounds, LogError> {
        self.ask(|state| {
            let at = &state.partitions[partition as usize];
            Bounds {
                low: at.low,
                last_stable: at.end,
            }
        })
    }

    fn cursors(&self) -> Result<Vec<(ShardId, Option<CursorRecord>)>, LogError> {
        Ok(Vec::new())
    }
}

fn call(verdict: Verdict) -> LogError {
    LogError::Call {
        operation: "ask",
        place: "people".into(),
        verdict,
        source: "the scenario says so".into(),
    }
}
