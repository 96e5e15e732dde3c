//! Replays dead letters: through the SQL as it is now, into the tables by the way that every record takes.
//!
//! It needs no daemon and disturbs none: neither fence nor offset is touched (docs/decisions/0010-replay-of-dead-letters.md).

use std::time::Duration;

use tokio::time::Instant;

use super::Program;
use crate::{
    actors::transformer::transform,
    config::settings::Pipeline,
    model::{LogRecord, RecordCounts, Rejected, RowCounts, Verdict},
    sql::{Engine, EngineError},
    store::{
        ConnectInfo, Remedy, Session, StoreError,
        dead_letters::{self, DeadLetter, Direction, Filter, Group},
        load::{LoadBatch, Loader, Revived, TableSpec},
        offsets::Fence,
    },
    supervision::Backoff,
};

/// Letters of one transaction.
const LETTERS: i64 = 500;

/// How long an outage is waited out before the command gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of replayed letters.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// Records whose rows are in the tables now (or were found there, equal or newer).
    pub applied: u64,
    /// Records that the SQL leaves out.
    pub filtered: u64,
    /// Records that were refused again.
    pub dead: u64,
    /// What became of rows, over all tables.
    pub rows: RowCounts,
    /// The first of those that were refused again.
    pub refused: Vec<Rejected>,
}

/// Why a replay has ended early. What was replayed before stays replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// PostgreSQL could not be asked, or refused something that is no record's fault.
    #[error("replay into PostgreSQL")]
    Store {
        /// The cause.
        #[from]
        source: StoreError,
    },
    /// The SQL cannot run at all.
    #[error("replay through the SQL")]
    Transform {
        /// The cause.
        #[from]
        source: EngineError,
    },
}

struct Replay<'a> {
    pipeline: &'a Pipeline,
    connect: &'a ConnectInfo,
    filter: &'a Filter,
    direction: Direction,
    /// Their names, in the program's order.
    tables: Vec<String>,
    engine: Engine,
    loader: Loader,
    session: Option<Session>,
    done: Replayed,
}

/// Replays the letters of one pipeline that a filter means. Blocks. A row that is there already is left as it is, unless
/// `order_by` says that the replayed one is newer, or `overwrite` says so for all.
pub fn replay(
    pipeline: &Pipeline,
    program: &Program,
    connect: &ConnectInfo,
    filter: &Filter,
    overwrite: bool,
) -> Result<Replayed, ReplayError> {
    let tables = pipeline.tables.iter().enumerate();
    let specs = tables
        .map(|(index, table)| TableSpec {
            table: table.clone(),
            schema: program.output(index),
        })
        .collect();
    // The last version of a key has to win: it is written first where what is there stays, and last where it is replaced.
    let (direction, loader) = if overwrite {
        (Direction::OldestFirst, Loader::new(specs))
    } else {
        (Direction::NewestFirst, Loader::keeping_existing(specs))
    };
    let filter = Filter {
        pipeline: Some(pipeline.name.to_string()),
        ..filter.clone()
    };
    let mut replay = Replay {
        pipeline,
        connect,
        filter: &filter,
        direction,
        tables: pipeline.tables.iter().map(|table| table.name.clone()).collect(),
        engine: program.engine()?,
        loader: loader.with_on_nul(program.on_nul()),
        session: None,
        done: Replayed::default(),
    };
    let groups = replay.patiently(|replay| Ok(dead_letters::groups(replay.session()?, &filter)?))?;
    for group in groups {
        replay.group(&group)?;
    }
    Ok(replay.done)
}

impl Replay<'_> {
    fn group(&mut self, group: &Group) -> Result<(), ReplayError> {
        let mut beyond = match self.direction {
            Direction::NewestFirst => i64::MAX,
            Direction::OldestFirst => -1,
        };
        loop {
            let mut limit = LETTERS;
            let next = self.patiently(|replay| replay.step(group, beyond, &mut limit))?;
            match next {
                Some(next) => beyond = next,
                None => return Ok(()),
            }
        }
    }

    /// One transaction; returns how far it went. A repeat reads the letters anew: those that an unanswered commit has
    /// revived are not there any more.
    fn step(&mut self, group: &Group, beyond: i64, limit: &mut i64) -> Result<Option<i64>, ReplayError> {
        let (filter, direction) = (self.filter, self.direction);
        let letters = dead_letters::page(self.session()?, filter, group, direction, beyond, *limit)?;
        let (Some(first), Some(last)) = (letters.first(), letters.last()) else {
            return Ok(None);
        };
        let (first, last) = (first.record.offset, last.record.offset);
        match self.letters(group, &letters) {
            Ok(revived) => self.count(revived),
            Err(ReplayError::Store { source }) if source.remedy(false) == Remedy::RetrySmaller && *limit > 1 => {
                *limit = (*limit / 2).min(letters.len() as i64 / 2).max(1);
                return self.step(group, beyond, limit);
            }
            Err(error) => return Err(error),
        }
        Ok(Some(match direction {
            Direction::NewestFirst => first,
            Direction::OldestFirst => last,
        }))
    }

    fn letters(&mut self, group: &Group, letters: &[DeadLetter]) -> Result<Revived, ReplayError> {
        let records: Vec<LogRecord> = letters.iter().map(|letter| letter.record.clone()).collect();
        let ids: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
        let (rows, rejected) = transform(&mut self.engine, &group.key, &records, &self.tables)?;
        let first = records.first().map_or(0, |record| record.offset);
        let last = records.last().map_or(0, |record| record.offset);
        let fence = Fence {
            key: group.key.clone(),
            topic_id: group.topic_id,
            epoch: 0,
            expected: first,
        };
        let batch = LoadBatch::whole(fence, last.saturating_add(1), &records, &rows, &rejected);
        if self.session.is_none() {
            self.session()?;
        }
        let Some(session) = &mut self.session else {
            return Ok(Revived::default());
        };
        Ok(self.loader.replay(session, &batch, &ids)?)
    }

    fn count(&mut self, revived: Revived) {
        let RecordCounts { applied, filtered, .. } = revived.counts;
        self.done.applied += applied;
        self.done.filtered += filtered;
        self.done.dead += revived.refused.len() as u64;
        revived.rows.into_iter().for_each(|rows| self.done.rows += rows);
        let room = 10_usize.saturating_sub(self.done.refused.len());
        self.done.refused.extend(revived.refused.into_iter().take(room));
    }

    fn session(&mut self) -> Result<&mut Session, StoreError> {
        match &mut self.session {
            Some(session) => Ok(session),
            none => {
                let name = format!("{} replay", self.pipeline.name);
                Ok(none.insert(Session::connect(self.connect, &name)?))
            }
        }
    }

    /// Repeats what an outage or a deadlock has interrupted, each time on a new connection.
    fn patiently<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T, ReplayError>) -> Result<T, ReplayError> {
        let (started, mut backoff) = (Instant::now(), Backoff::outage());
        loop {
            match work(self) {
                Err(ReplayError::Store { source })
                    if source.verdict() == Verdict::Retry && started.elapsed() < PATIENCE =>
                {
                    self.session = None;
                    backoff.block(&Default::default());
                }
                done => return done,
            }
        }
    }
}
