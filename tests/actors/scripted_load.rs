//! The load side of the scripted log: partitions with as many records as the test says.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aqueduct::{
    log::{Bounds, Inspector, LoadEvent, LoadMember, LogError, ReadLimit, ReadOutcome},
    model::{CursorRecord, LogRecord, ShardId, TopicId, Verdict},
};

use crate::load::TOPIC;

/// What happens at a member's next poll.
pub enum AtPoll {
    Tell(LoadEvent),
    /// From now on the position of this partition is outside of what the log holds.
    OutOfRange(i32),
    /// The member is of no use any more, as one that another one with its identity has pushed out.
    Fatal,
    /// From now on this member gets nothing of this partition, whatever is in it.
    Deaf(i32),
}

/// What the member was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Assign(i32, i64),
    Release(Vec<i32>),
}

pub struct State {
    pub at_poll: VecDeque<AtPoll>,
    pub calls: Vec<Call>,
    /// Where each partition ends. Records are as many as offsets.
    pub ends: BTreeMap<i32, i64>,
    pub low: i64,
    /// What `bounds` says about the end the next times, before it says the truth.
    pub stale_ends: VecDeque<i64>,
    /// How often each partition's bounds were asked for: once a claim.
    pub num_bounds: BTreeMap<i32, usize>,
    pub topic_id: TopicId,
    /// There is no such topic.
    pub is_gone: bool,
    /// Questions find nobody.
    pub is_away: bool,
    out_of_range: Vec<i32>,
    deaf: Vec<i32>,
}

/// See the module. Clones are the same.
#[derive(Clone)]
pub struct LoadSide(Arc<Mutex<State>>);

impl Default for LoadSide {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            at_poll: VecDeque::new(),
            calls: Vec::new(),
            ends: BTreeMap::new(),
            low: 0,
            stale_ends: VecDeque::new(),
            num_bounds: BTreeMap::new(),
            topic_id: TOPIC,
            is_gone: false,
            is_away: false,
            out_of_range: Vec::new(),
            deaf: Vec::new(),
        })))
    }
}

impl LoadSide {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The group gives this partition to the member; it has so many records.
    pub fn assign(&self, partition: i32, end: i64) {
        let mut state = self.state();
        state.ends.insert(partition, end);
        state
            .at_poll
            .push_back(AtPoll::Tell(LoadEvent::Assigned(vec![partition])));
    }

    pub fn revoke(&self, partition: i32, lost: bool) {
        let partitions = vec![partition];
        let event = LoadEvent::Revoked { partitions, lost };
        self.state().at_poll.push_back(AtPoll::Tell(event));
    }

    pub fn is_released(&self, partition: i32) -> bool {
        let calls = &self.state().calls;
        calls.contains(&Call::Release(vec![partition]))
    }

    /// Where reading of the partition began, each time.
    pub fn starts(&self, partition: i32) -> Vec<i64> {
        let state = self.state();
        let starts = state.calls.iter().filter_map(|call| match call {
            Call::Assign(number, start) if *number == partition => Some(*start),
            _ => None,
        });
        starts.collect()
    }

    /// How often the partition's bounds were asked for.
    pub fn num_bounds(&self, partition: i32) -> usize {
        self.state().num_bounds.get(&partition).copied().unwrap_or(0)
    }

    pub fn member(&self) -> Member {
        self.state().deaf.clear();
        Member {
            side: self.clone(),
            positions: BTreeMap::new(),
        }
    }
}

pub struct Member {
    side: LoadSide,
    /// The position, and whether the end was told.
    positions: BTreeMap<i32, (i64, Option<i64>)>,
}

impl LoadMember for Member {
    fn poll(&mut self, _: Duration) -> Result<Vec<LoadEvent>, LogError> {
        let mut state = self.side.state();
        let mut events = Vec::new();
        while let Some(next) = state.at_poll.pop_front() {
            match next {
                AtPoll::Tell(event) => events.push(event),
                AtPoll::OutOfRange(partition) => state.out_of_range.push(partition),
                AtPoll::Fatal => return Err(LogError::Lost { place: "people".into() }),
                AtPoll::Deaf(partition) => state.deaf.push(partition),
            }
        }
        Ok(events)
    }

    fn assign(&mut self, claims: &[(i32, i64)]) -> Result<(), LogError> {
        for &(partition, offset) in claims {
            self.positions.insert(partition, (offset, None));
            let mut state = self.side.state();
            state.calls.push(Call::Assign(partition, offset));
            state.out_of_range.retain(|it| *it != partition);
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[i32]) -> Result<(), LogError> {
        self.positions.retain(|partition, _| !partitions.contains(partition));
        self.side.state().calls.push(Call::Release(partitions.to_vec()));
        Ok(())
    }

    fn read(&mut self, partition: i32, limit: ReadLimit, into: &mut Vec<LogRecord>) -> Result<ReadOutcome, LogError> {
        let state = self.side.state();
        let Some((position, told)) = self.positions.get_mut(&partition) else {
            return Ok(ReadOutcome::Empty);
        };
        if state.out_of_range.contains(&partition) {
            return Ok(ReadOutcome::OutOfRange);
        }
        if state.deaf.contains(&partition) {
            return Ok(ReadOutcome::Empty);
        }
        let end = state.ends[&partition];
        if *position >= end {
            let is_news = told.replace(end) != Some(end);
            return Ok(if is_news { ReadOutcome::End } else { ReadOutcome::Empty });
        }
        let until = end.min(*position + limit.records as i64);
        into.extend((*position..until).map(record));
        *position = until;
        Ok(ReadOutcome::More)
    }

    fn position(&mut self, partition: i32) -> Option<i64> {
        self.positions.get(&partition).map(|(position, _)| *position)
    }

    fn note_settled(&mut self, _: i32, _: i64) {}
}

pub fn record(offset: i64) -> LogRecord {
    LogRecord {
        offset,
        timestamp_ms: Some(1_700_000_000_000),
        key: None,
        value: Some(format!(r#"{{"id":{offset},"name":"n{offset}"}}"#).into()),
        headers: Vec::new(),
    }
}

impl LoadSide {
    fn ask<T>(&self, answer: impl FnOnce(&mut State) -> T) -> Result<T, LogError> {
        let mut state = self.state();
        if state.is_away {
            return Err(LogError::Call {
                operation: "ask",
                place: "people".into(),
                verdict: Verdict::Retry,
                source: "nobody answers".into(),
            });
        }
        Ok(answer(&mut state))
    }
}

impl Inspector for LoadSide {
    fn topic_id(&self) -> Result<TopicId, LogError> {
        self.ask(|state| (!state.is_gone).then_some(state.topic_id))?
            .ok_or_else(|| LogError::Gone { topic: "people".into() })
    }

    fn num_partitions(&self) -> Result<i32, LogError> {
        self.ask(|_| 2)
    }

    fn bounds(&self, partition: i32) -> Result<Bounds, LogError> {
        self.ask(|state| {
            *state.num_bounds.entry(partition).or_default() += 1;
            let last_stable = state.stale_ends.pop_front().unwrap_or(state.ends[&partition]);
            Bounds {
                low: state.low,
                last_stable,
            }
        })
    }

    fn cursors(&self) -> Result<Vec<(ShardId, Option<CursorRecord>)>, LogError> {
        Ok(Vec::new())
    }
}
