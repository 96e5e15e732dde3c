//! A pipeline's move to another log: its sources' cursors are carried over, once everything that the old topic holds is
//! loaded. In the new log it uses a topic of another name, so that no position and no dead letter can be mistaken for one of
//! the other topic, and the ledger goes on over both.
//!
//! Everything is looked at before anything is written, and a move that broke off is made again: a cursor that is there
//! already is left alone.

use std::sync::Arc;

use slog::Logger;

use super::{
    building,
    positions::{self, ChangeError},
};
use crate::{
    config::settings::{Brokers, Pipeline, Settings},
    log::{Cancel, Log, Ownership, ShardWriter, TopicSpec},
    model::{CursorRecord, ShardId},
    store::Session,
    supervision::BoxError,
};

/// A pipeline that may run on the new log now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its name.
    pub pipeline: String,
    /// The topic that it has left, loaded to its end.
    pub from: String,
    /// The topic that it goes on with.
    pub to: String,
    /// Cursors that were written into the new log.
    pub num_carried: usize,
    /// Cursors that were there, the same ones: of an earlier try.
    pub num_present: usize,
}

/// Both sides of one pipeline.
struct Move {
    old: TopicSpec,
    new: TopicSpec,
}

/// Carries the cursors of all pipelines of `to` from the log of `from` to its own.
pub async fn move_cursors(from: &Settings, to: &Settings, log: &Logger) -> Result<Vec<Moved>, BoxError> {
    let moves = pairs(from, to, log)?;
    // The old log first: an embedded one is locked while a daemon runs, whose server must not be touched.
    let old_log = building::open_log(from, log).await?;
    let is_one_file = [from, to].iter().all(|it| it.kafka.brokers == Brokers::Embedded)
        && from.daemon.state_dir == to.daemon.state_dir;
    let new_log = match is_one_file {
        true => old_log.clone(),
        false => building::open_log(to, log).await?,
    };
    let (connect, _server) = building::connect_info(to, log).await?;
    let work = move || {
        let mut session = Session::connect(&connect, "move")?;
        for it in &moves {
            expect_loaded(old_log.as_ref(), &it.old, &mut session)?;
        }
        let mut openings = Vec::new();
        for it in moves {
            let found = open(old_log.as_ref(), new_log.as_ref(), &it)?;
            openings.push((it, found));
        }
        openings.into_iter().map(|(it, found)| carry(&it, found)).collect()
    };
    let moved: Result<Vec<Moved>, ChangeError> = tokio::task::spawn_blocking(work).await?;
    Ok(moved?)
}

fn pairs(from: &Settings, to: &Settings, log: &Logger) -> Result<Vec<Move>, BoxError> {
    let pair = |pipeline: &Arc<Pipeline>| {
        let name = &pipeline.name;
        let old = from.pipelines.iter().find(|known| known.name == *name).ok_or_else(|| {
            ChangeError::Refused(format!(
                "pipeline {name} is not in the old configuration: there is nothing that it could go on from"
            ))
        })?;
        if old.topic.name == pipeline.topic.name {
            return Err(BoxError::from(ChangeError::Refused(format!(
                "pipeline {name} would go on with a topic of the name that the old one has, {}: give it another one in the new \
                 configuration, pipeline.{name}.topic.name",
                old.topic.name
            ))));
        }
        let spec = |pipeline: &Pipeline| {
            Ok::<_, BoxError>(building::spec(pipeline, building::source(pipeline, log)?.as_ref()))
        };
        let (old, new) = (spec(old)?, spec(pipeline)?);
        if old.shards != new.shards {
            return Err(ChangeError::Refused(format!(
                "the shards of pipeline {name}'s source differ between the two configurations: a cursor would lead nowhere. \
                 Move first, then change the source"
            ))
            .into());
        }
        Ok(Move { old, new })
    };
    to.pipelines.iter().map(pair).collect()
}

/// Refuses while there is something in the old topic that PostgreSQL does not know yet.
fn expect_loaded(log: &dyn Log, spec: &TopicSpec, session: &mut Session) -> Result<(), ChangeError> {
    let refused = |what: String| {
        Err(ChangeError::Refused(format!(
            "pipeline {}: {what}. Stop its daemons, run `aqueduct run --once` with the old configuration, then move",
            spec.pipeline
        )))
    };
    let inspector = log.inspector(spec)?;
    let Some(topic) = positions::look(inspector.as_ref())? else {
        return refused(format!("the old log has no topic {}", spec.topic));
    };
    let rows = positions::rows(session, spec)?;
    if let Some(lost) = positions::lost(session, spec, &rows, Some(&topic))?.first() {
        return refused(format!(
            "partition {} of topic {} has stopped: {}",
            lost.partition, spec.topic, lost.found
        ));
    }
    for partition in 0..i32::try_from(topic.bounds.len()).unwrap_or(i32::MAX) {
        let row = rows.iter().find(|row| row.key.partition == partition);
        match topic.lag(partition, row) {
            None | Some(0) => {}
            Some(lag) => {
                return refused(format!(
                    "partition {partition} of topic {} is not loaded to its end, {lag} offsets are left",
                    spec.topic
                ));
            }
        }
    }
    Ok(())
}

/// One shard with its cursor in the old log, and the right to write it in the new one.
struct Opening {
    cursor: CursorRecord,
    writer: Box<dyn ShardWriter>,
}

/// Opening a shard fences whoever had it, so that nobody fetches on at the old place meanwhile.
fn open(old: &dyn Log, new: &dyn Log, it: &Move) -> Result<Vec<Opening>, ChangeError> {
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    if it.old.shards.is_empty() {
        return Ok(Vec::new());
    }
    new.prepare(&it.new, &cancel)?;
    let mut openings = Vec::new();
    for shard in it.old.shards.iter() {
        let Some(cursor) = old.open_shard(&it.old, shard, &own, &cancel)?.committed().cloned() else {
            continue;
        };
        let writer = new.open_shard(&it.new, shard, &own, &cancel)?;
        match writer.committed() {
            Some(present) if *present != cursor => return Err(ChangeError::Refused(went_on(it, shard))),
            _ => openings.push(Opening { cursor, writer }),
        }
    }
    Ok(openings)
}

fn went_on(it: &Move, shard: &ShardId) -> String {
    format!(
        "pipeline {} has run on the new log already: shard {} has a cursor of its own there. Nothing was changed",
        it.new.pipeline, shard.number
    )
}

fn carry(it: &Move, openings: Vec<Opening>) -> Result<Moved, ChangeError> {
    let mut moved = Moved {
        pipeline: it.new.pipeline.to_string(),
        from: it.old.topic.to_string(),
        to: it.new.topic.to_string(),
        num_carried: 0,
        num_present: 0,
    };
    for Opening { cursor, mut writer } in openings {
        if writer.committed().is_some() {
            moved.num_present += 1;
        } else {
            writer.commit(&[], &cursor, &Ownership::granted(), &Cancel::new())?;
            moved.num_carried += 1;
        }
    }
    Ok(moved)
}
