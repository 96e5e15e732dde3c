//! The fence: which claim may move a partition's offset, and how far it is.

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, QueryableByName, RunQueryDsl, Selectable,
    SelectableHelper,
    connection::SimpleConnection,
    dsl::now,
    sql_types::{Bool, Integer, Text},
    upsert::excluded,
};

use super::{Session, StoreError, schema::aqueduct::offsets as table, session::APPLICATION, types::PgUuid};
use crate::model::{PartitionKey, RecordCounts, TopicId};

/// What a claim found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The number of this claim: the fence.
    pub epoch: i64,
    /// Where to read on; for a partition that nobody had claimed, the `start` that was given.
    pub next_offset: i64,
    /// The topic's identity when the partition was first claimed. Another one than the log's now: the topic was deleted
    /// and made again, and the partition must not go on by itself.
    pub recorded_topic_id: TopicId,
    /// What became of the partition's records so far.
    pub counts: RecordCounts,
}

/// The right to move one partition from one offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Which partition.
    pub key: PartitionKey,
    /// The topic's identity at the claim.
    pub topic_id: TopicId,
    /// The number of the claim.
    pub epoch: i64,
    /// What `next_offset` must be.
    pub expected: i64,
}

/// What the row says after an offset did not move, or after an answer was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The move took effect.
    Settled,
    /// Somebody has claimed the partition since.
    NotMine,
    /// PostgreSQL has lost commits (a fail-over): claim again and read on from there.
    WentBack {
        /// The offset that it holds now.
        at: i64,
    },
    /// The move did not take effect; it may be tried again.
    NotYet,
    /// No sequence of claims and moves leads here.
    Impossible {
        /// A sentence.
        found: String,
    },
}

/// One row of `aqueduct.offsets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// Which partition.
    pub key: PartitionKey,
    /// The topic's identity.
    pub topic_id: TopicId,
    /// The number of the last claim.
    pub epoch: i64,
    /// Every record below it has its fate.
    pub next_offset: i64,
    /// Who made the last claim.
    pub owner: String,
    /// What became of the records.
    pub counts: RecordCounts,
    /// When the row was last claimed or moved.
    pub updated_at: chrono::DateTime<chrono::Utc>,
}

#[derive(Insertable)]
#[diesel(table_name = table)]
struct NewRow<'a> {
    pipeline: &'a str,
    topic: &'a str,
    partition: i32,
    topic_id: PgUuid,
    epoch: i64,
    next_offset: i64,
    owner: &'a str,
    backend_pid: i32,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = table, check_for_backend(diesel::pg::Pg))]
struct Row {
    pipeline: String,
    topic: String,
    partition: i32,
    topic_id: PgUuid,
    epoch: i64,
    next_offset: i64,
    owner: String,
    consumed: i64,
    applied: i64,
    filtered: i64,
    dead: i64,
    skipped: i64,
    updated_at: chrono::DateTime<chrono::Utc>,
}

impl Row {
    fn state(self) -> PartitionState {
        PartitionState {
            counts: self.counts(),
            key: PartitionKey {
                pipeline: self.pipeline.into(),
                topic: self.topic.into(),
                partition: self.partition,
            },
            topic_id: self.topic_id.into(),
            epoch: self.epoch,
            next_offset: self.next_offset,
            owner: self.owner,
            updated_at: self.updated_at,
        }
    }

    fn counts(&self) -> RecordCounts {
        RecordCounts {
            consumed: self.consumed.max(0).cast_unsigned(),
            applied: self.applied.max(0).cast_unsigned(),
            filtered: self.filtered.max(0).cast_unsigned(),
            dead: self.dead.max(0).cast_unsigned(),
            skipped: self.skipped.max(0).cast_unsigned(),
        }
    }
}

/// Claims a partition for `owner`: every earlier claim can move it no more. A partition that nobody ever claimed begins
/// at `start`.
///
/// Waits at most 5 s for the row. Is it held by then, the session of ours that holds it is hung (its daemon paused, or cut
/// off): it is ended and the claim is tried once more. Runs its own transaction.
pub fn claim(
    session: &mut Session,
    key: &PartitionKey,
    topic_id: TopicId,
    start: i64,
    owner: &str,
) -> Result<Claimed, StoreError> {
    match try_claim(session, key, topic_id, start, owner) {
        Err(error) if error.sqlstate() == Some(LOCK_NOT_AVAILABLE) => {
            if end_holder(session, key)? == 0 {
                return Err(error);
            }
            try_claim(session, key, topic_id, start, owner)
        }
        outcome => outcome,
    }
}

pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";

fn try_claim(
    session: &mut Session,
    key: &PartitionKey,
    topic_id: TopicId,
    start: i64,
    owner: &str,
) -> Result<Claimed, StoreError> {
    let new = NewRow {
        pipeline: &key.pipeline,
        topic: &key.topic,
        partition: key.partition,
        topic_id: topic_id.into(),
        epoch: 1,
        next_offset: start,
        owner,
        backend_pid: session.backend_pid(),
    };
    session.transaction(|session| {
        session
            .conn()
            .batch_execute("SET LOCAL lock_timeout = '5s'")
            .map_err(|error| session.keep_failed("claim", key, error))?;
        let row: Row = diesel::insert_into(table::table)
            .values(&new)
            .on_conflict((table::pipeline, table::topic, table::partition))
            .do_update()
            .set((
                table::epoch.eq(table::epoch + 1),
                table::owner.eq(excluded(table::owner)),
                table::backend_pid.eq(excluded(table::backend_pid)),
                table::claimed_at.eq(now),
                table::updated_at.eq(now),
            ))
            .returning(Row::as_returning())
            .get_result(session.conn())
            .map_err(|error| session.keep_failed("claim", key, error))?;
        Ok(Claimed {
            epoch: row.epoch,
            next_offset: row.next_offset,
            recorded_topic_id: row.topic_id.into(),
            counts: row.counts(),
        })
    })
}

#[derive(QueryableByName)]
struct Ended {
    #[diesel(sql_type = Bool)]
    ended: bool,
}

/// Ends the session that holds the partition's row, if it is one of aqueduct's; the count of those that were told to end.
pub(super) fn end_holder(session: &mut Session, key: &PartitionKey) -> Result<usize, StoreError> {
    // The row itself names the transaction that is changing it (`xmax`), so no innocent session can be meant.
    let end = "SELECT pg_terminate_backend(activity.pid) AS ended \
               FROM aqueduct.offsets AS held JOIN pg_stat_activity AS activity ON activity.backend_xid = held.xmax \
               WHERE held.pipeline = $1 AND held.topic = $2 AND held.partition = $3 \
               AND activity.pid <> pg_backend_pid() AND starts_with(activity.application_name, $4)";
    let ended = diesel::sql_query(end)
        .bind::<Text, _>(&*key.pipeline)
        .bind::<Text, _>(&*key.topic)
        .bind::<Integer, _>(key.partition)
        .bind::<Text, _>(format!("{APPLICATION} "))
        .load::<Ended>(session.conn())
        .map_err(|error| session.keep_failed("end the hung session", key, error))?;
    Ok(ended.iter().filter(|row| row.ended).count())
}

/// Moves a partition to `next` and adds `counts`, within the caller's transaction. `false`: nothing was moved, and the
/// transaction must not be committed; [`decide`] says why.
///
/// With zero counts it moves a partition without records to its end (transaction markers take offsets, too).
pub fn advance(session: &mut Session, fence: &Fence, next: i64, counts: &RecordCounts) -> Result<bool, StoreError> {
    if next < fence.expected || !counts.adds_up() {
        return Err(StoreError::Mismatch {
            place: fence.key.to_string(),
            problem: format!(
                "a move from {} to {next} with {counts:?} cannot be right",
                fence.expected
            ),
        });
    }
    let backend_pid = session.backend_pid();
    let moved = diesel::update(
        table::table
            .filter(table::pipeline.eq(&*fence.key.pipeline))
            .filter(table::topic.eq(&*fence.key.topic))
            .filter(table::partition.eq(fence.key.partition))
            .filter(table::topic_id.eq(PgUuid::from(fence.topic_id)))
            .filter(table::epoch.eq(fence.epoch))
            .filter(table::next_offset.eq(fence.expected)),
    )
    .set((
        table::next_offset.eq(next),
        table::backend_pid.eq(backend_pid),
        table::consumed.eq(table::consumed + counts.consumed.cast_signed()),
        table::applied.eq(table::applied + counts.applied.cast_signed()),
        table::filtered.eq(table::filtered + counts.filtered.cast_signed()),
        table::dead.eq(table::dead + counts.dead.cast_signed()),
        table::skipped.eq(table::skipped + counts.skipped.cast_signed()),
        table::updated_at.eq(now),
    ))
    .execute(session.conn())
    .map_err(|error| session.keep_failed("advance", &fence.key, error))?;
    Ok(moved == 1)
}

/// Reads what became of a move from `fence.expected` to `next` whose answer was lost or which moved nothing.
///
/// Waits for an old COMMIT that is still in flight: a plain SELECT would read the value before it. Call it outside the
/// transaction whose fate is asked for.
pub fn decide(session: &mut Session, fence: &Fence, next: i64) -> Result<Decision, StoreError> {
    let Some(row) = lock(session, &fence.key)? else {
        return Ok(Decision::Impossible {
            found: String::from("the partition's row is gone"),
        });
    };
    Ok(judge(fence, next, row.epoch, row.topic_id, row.next_offset))
}

/// Reads a partition's row and holds it to the end of the caller's transaction, if there is one.
pub(super) fn lock(session: &mut Session, key: &PartitionKey) -> Result<Option<PartitionState>, StoreError> {
    let row: Option<Row> = table::table
        .find((&*key.pipeline, &*key.topic, key.partition))
        .for_update()
        .select(Row::as_select())
        .first(session.conn())
        .optional()
        .map_err(|error| session.keep_failed("read the fence", key, error))?;
    Ok(row.map(Row::state))
}

fn judge(fence: &Fence, next: i64, epoch: i64, topic_id: TopicId, at: i64) -> Decision {
    if epoch > fence.epoch {
        Decision::NotMine
    } else if epoch < fence.epoch {
        // Not even the claim is there any more.
        Decision::WentBack { at }
    } else if topic_id != fence.topic_id {
        Decision::Impossible {
            found: format!("the claim is of topic {}, the row of topic {topic_id}", fence.topic_id),
        }
    } else if at == next {
        Decision::Settled
    } else if at == fence.expected {
        Decision::NotYet
    } else if at < fence.expected {
        Decision::WentBack { at }
    } else {
        Decision::Impossible {
            found: format!("the row is at {at}, between or beyond {} and {next}", fence.expected),
        }
    }
}

/// All partitions of a pipeline, ordered by topic and partition; for the ledger, the lag and the status.
pub fn read_all(session: &mut Session, pipeline: &str) -> Result<Vec<PartitionState>, StoreError> {
    let rows: Vec<Row> = table::table
        .filter(table::pipeline.eq(pipeline))
        .order((table::topic, table::partition))
        .select(Row::as_select())
        .load(session.conn())
        .map_err(|error| session.keep_failed("read offsets", pipeline, error))?;
    Ok(rows.into_iter().map(Row::state).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_the_row_has_its_meaning() {
        let topic_id = TopicId(uuid::Uuid::from_u128(1));
        let other_topic = TopicId(uuid::Uuid::from_u128(2));
        let key = PartitionKey {
            pipeline: "p".into(),
            topic: "t".into(),
            partition: 0,
        };
        let fence = Fence {
            key,
            topic_id,
            epoch: 7,
            expected: 100,
        };
        let judge = |epoch, topic, at| judge(&fence, 110, epoch, topic, at);
        assert_eq!(judge(7, topic_id, 110), Decision::Settled);
        assert_eq!(judge(7, topic_id, 100), Decision::NotYet);
        assert_eq!(judge(7, topic_id, 90), Decision::WentBack { at: 90 });
        assert_eq!(judge(6, topic_id, 110), Decision::WentBack { at: 110 });
        assert_eq!(judge(8, topic_id, 110), Decision::NotMine);
        assert_eq!(judge(8, other_topic, 0), Decision::NotMine);
        assert!(matches!(judge(7, topic_id, 105), Decision::Impossible { .. }));
        assert!(matches!(judge(7, topic_id, 120), Decision::Impossible { .. }));
        assert!(matches!(judge(7, other_topic, 110), Decision::Impossible { .. }));
    }
}
