//! How a person leads a partition on, past records that are not loaded: under the same fence as every batch, and on record.

use diesel::{
    ExpressionMethods, Insertable, QueryDsl, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    dsl::now,
    sql_types::{BigInt, Nullable, Text},
};

use super::{
    Session, StoreError,
    offsets::{self, PartitionState},
    schema::aqueduct::{offsets as fences, skips as table},
    stops,
    types::PgUuid,
};
use crate::model::{LostRange, PartitionKey, TopicId, UncountedSkips};

/// Where a partition goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The identity of the topic in which `to` lies.
    pub topic_id: TopicId,
    /// The first offset that is not skipped.
    pub to: i64,
    /// Skipped records that are still in the log: they go into the ledger.
    pub num_records: u64,
    /// Skipped offsets that are gone; `None` = not even their number is known.
    pub num_uncounted_offsets: Option<u64>,
    /// Why, in a sentence.
    pub reason: String,
}

#[derive(Insertable)]
#[diesel(table_name = table)]
struct NewRow<'a> {
    pipeline: &'a str,
    topic: &'a str,
    partition: i32,
    topic_id: PgUuid,
    skipped_from: i64,
    new_topic_id: PgUuid,
    skipped_to: i64,
    num_records: i64,
    num_uncounted_offsets: Option<i64>,
    reason: &'a str,
    skipped_by: &'a str,
}

/// Moves a partition as `decide` says, which gets its row and its stop. Every earlier claim is fenced
/// and the stop is lifted, in one transaction with the ledger and the record of it.
///
/// The row is held meanwhile; who holds it for longer than 5 s is hung and is ended, as by a claim.
pub fn skip<E: From<StoreError>>(
    session: &mut Session,
    key: &PartitionKey,
    by: &str,
    decide: impl FnOnce(&PartitionState, Option<&LostRange>) -> Result<Skip, E>,
) -> Result<Skip, E> {
    session.begin()?;
    let held = match hold(session, key) {
        Err(error) if error.sqlstate() == Some(offsets::LOCK_NOT_AVAILABLE) => {
            session.roll_back();
            if offsets::end_holder(session, key)? == 0 {
                return Err(error.into());
            }
            session.begin()?;
            hold(session, key)
        }
        held => held,
    };
    let skipped = held
        .map_err(E::from)
        .and_then(|row| skip_held(session, key, &row, by, decide));
    match skipped {
        Ok(_) => session.commit()?,
        Err(_) => session.roll_back(),
    }
    skipped
}

fn hold(session: &mut Session, key: &PartitionKey) -> Result<PartitionState, StoreError> {
    session
        .conn()
        .batch_execute("SET LOCAL lock_timeout = '5s'")
        .map_err(|error| session.keep_failed("skip", key, error))?;
    offsets::lock(session, key)?.ok_or_else(|| StoreError::Mismatch {
        place: key.to_string(),
        problem: "no daemon has claimed the partition yet, so there is nothing to skip; run the pipeline first".into(),
    })
}

fn skip_held<E: From<StoreError>>(
    session: &mut Session,
    key: &PartitionKey,
    row: &PartitionState,
    by: &str,
    decide: impl FnOnce(&PartitionState, Option<&LostRange>) -> Result<Skip, E>,
) -> Result<Skip, E> {
    let stop = stops::find(session, key)?;
    let skip = decide(row, stop.as_ref())?;
    let (num_records, backend_pid) = (skip.num_records.cast_signed(), session.backend_pid());
    diesel::update(fences::table.find((&*key.pipeline, &*key.topic, key.partition)))
        .set((
            fences::epoch.eq(fences::epoch + 1),
            fences::topic_id.eq(PgUuid::from(skip.topic_id)),
            fences::next_offset.eq(skip.to),
            fences::owner.eq(by),
            fences::backend_pid.eq(backend_pid),
            fences::consumed.eq(fences::consumed + num_records),
            fences::skipped.eq(fences::skipped + num_records),
            fences::updated_at.eq(now),
        ))
        .execute(session.conn())
        .map_err(|error| session.keep_failed("skip", key, error))?;
    let new = NewRow {
        pipeline: &key.pipeline,
        topic: &key.topic,
        partition: key.partition,
        topic_id: row.topic_id.into(),
        skipped_from: row.next_offset,
        new_topic_id: skip.topic_id.into(),
        skipped_to: skip.to,
        num_records,
        num_uncounted_offsets: skip.num_uncounted_offsets.map(u64::cast_signed),
        reason: &skip.reason,
        skipped_by: by,
    };
    diesel::insert_into(table::table)
        .values(&new)
        .execute(session.conn())
        .map_err(|error| session.keep_failed("keep the record of the skip", key, error))?;
    stops::lift(session, key)?;
    Ok(skip)
}

#[derive(QueryableByName)]
struct Uncounted {
    #[diesel(sql_type = BigInt)]
    num_skips: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    num_offsets: Option<i64>,
}

/// The skips of a pipeline that nobody could count.
pub fn uncounted(session: &mut Session, pipeline: &str) -> Result<UncountedSkips, StoreError> {
    let ask = "SELECT count(*) AS num_skips, CASE WHEN count(*) = count(num_uncounted_offsets) \
               THEN coalesce(sum(num_uncounted_offsets), 0)::bigint END AS num_offsets \
               FROM aqueduct.skips WHERE pipeline = $1 AND num_uncounted_offsets IS DISTINCT FROM 0";
    let found: Uncounted = diesel::sql_query(ask)
        .bind::<Text, _>(pipeline)
        .get_result(session.conn())
        .map_err(|error| session.keep_failed("read skips", pipeline, error))?;
    Ok(UncountedSkips {
        num_skips: found.num_skips.max(0).cast_unsigned(),
        num_offsets: found.num_offsets.map(|count| count.max(0).cast_unsigned()),
    })
}
