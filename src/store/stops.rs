//! Which partitions have stopped because their position is lost. A stop holds until a person skips it.

use std::sync::Arc;

use diesel::{ExpressionMethods, Insertable, OptionalExtension, QueryDsl, RunQueryDsl, upsert::excluded};

use super::{Session, StoreError, offsets, schema::aqueduct::stops as table};
use crate::model::{Loss, LostRange, PartitionKey};

#[derive(Insertable)]
#[diesel(table_name = table)]
struct NewRow<'a> {
    pipeline: &'a str,
    topic: &'a str,
    partition: i32,
    reason: &'a str,
    lost_from: i64,
    lost_to: Option<i64>,
    log_end: Option<i64>,
    found: &'a str,
}

type Columns = (String, i32, String, i64, Option<i64>, Option<i64>, String);

const COLUMNS: (
    table::topic,
    table::partition,
    table::reason,
    table::lost_from,
    table::lost_to,
    table::log_end,
    table::found,
) = (
    table::topic,
    table::partition,
    table::reason,
    table::lost_from,
    table::lost_to,
    table::log_end,
    table::found,
);

fn lost_range(pipeline: &Arc<str>, row: Columns) -> LostRange {
    let (topic, partition, reason, from, to, log_end, found) = row;
    let key = PartitionKey {
        pipeline: pipeline.clone(),
        topic: topic.into(),
        partition,
    };
    // The column has a CHECK; a name of a later version still says that the partition has stopped.
    let reason = Loss::named(&reason).unwrap_or(Loss::Retention);
    LostRange::new(&key, reason, from, to, log_end, found)
}

/// Writes the stop down that the claim `epoch` has found, in the place of an earlier one. `false`: somebody has claimed or
/// skipped since, and the finding is stale. Runs its own transaction.
pub fn stop(session: &mut Session, key: &PartitionKey, epoch: i64, lost: &LostRange) -> Result<bool, StoreError> {
    session.transaction(|session| {
        if offsets::lock(session, key)?.is_none_or(|row| row.epoch != epoch) {
            return Ok(false);
        }
        let new = NewRow {
            pipeline: &key.pipeline,
            topic: &key.topic,
            partition: key.partition,
            reason: lost.reason.name(),
            lost_from: lost.from,
            lost_to: lost.to,
            log_end: lost.log_end,
            found: &lost.found,
        };
        diesel::insert_into(table::table)
            .values(&new)
            .on_conflict((table::pipeline, table::topic, table::partition))
            .do_update()
            .set((
                table::reason.eq(excluded(table::reason)),
                table::lost_from.eq(excluded(table::lost_from)),
                table::lost_to.eq(excluded(table::lost_to)),
                table::log_end.eq(excluded(table::log_end)),
                table::found.eq(excluded(table::found)),
            ))
            .execute(session.conn())
            .map_err(|error| session.keep_failed("write down the stop", key, error))?;
        Ok(true)
    })
}

/// The stop of one partition, if it has stopped.
pub fn find(session: &mut Session, key: &PartitionKey) -> Result<Option<LostRange>, StoreError> {
    let row: Option<Columns> = table::table
        .find((&*key.pipeline, &*key.topic, key.partition))
        .select(COLUMNS)
        .first(session.conn())
        .optional()
        .map_err(|error| session.keep_failed("read the stop", key, error))?;
    Ok(row.map(|row| lost_range(&key.pipeline, row)))
}

/// All stops of a pipeline, ordered by topic and partition.
pub fn read_all(session: &mut Session, pipeline: &Arc<str>) -> Result<Vec<LostRange>, StoreError> {
    let rows: Vec<Columns> = table::table
        .filter(table::pipeline.eq(&**pipeline))
        .order((table::topic, table::partition))
        .select(COLUMNS)
        .load(session.conn())
        .map_err(|error| session.keep_failed("read stops", pipeline, error))?;
    Ok(rows.into_iter().map(|row| lost_range(pipeline, row)).collect())
}

/// Takes the stop back, within the caller's transaction.
pub(super) fn lift(session: &mut Session, key: &PartitionKey) -> Result<(), StoreError> {
    diesel::delete(table::table.find((&*key.pipeline, &*key.topic, key.partition)))
        .execute(session.conn())
        .map_err(|error| session.keep_failed("lift the stop", key, error))?;
    Ok(())
}
