//! Gives dead letters another fate, together with the ledger: `dead` is at any time the number of letters that lie here.

use diesel::{
    QueryableByName, RunQueryDsl,
    sql_types::{Array, BigInt, Nullable, Text},
};

use super::{
    filter::{Filter, WHERE, bind},
    query::failed,
    sqlstate, without_nul,
};
use crate::{
    model::{PartitionKey, RecordCounts, Rejected, Stage},
    store::{Session, StoreError},
};

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct Gone {
    #[diesel(sql_type = BigInt)]
    gone: i64,
}

/// Locks these letters until the caller's transaction ends, and returns those that are there: the others were replayed or
/// purged by somebody else meanwhile.
pub fn lock(session: &mut Session, ids: &[i64]) -> Result<Vec<i64>, StoreError> {
    let rows: Vec<Id> =
        diesel::sql_query("SELECT id FROM aqueduct.dead_letters WHERE id = ANY($1) ORDER BY id FOR UPDATE")
            .bind::<Array<BigInt>, _>(ids)
            .load(session.conn())
            .map_err(|error| failed(session, "lock dead letters", error))?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Notes that these letters were refused again, and why now, within the caller's transaction.
pub fn refuse_again(session: &mut Session, refused: &[(i64, &Rejected)]) -> Result<(), StoreError> {
    if refused.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = refused.iter().map(|(id, _)| *id).collect();
    let stages: Vec<&str> = refused.iter().map(|(_, letter)| letter.stage.as_str()).collect();
    let reasons: Vec<String> = refused.iter().map(|(_, letter)| without_nul(&letter.reason)).collect();
    let sqlstates: Vec<Option<&str>> = refused
        .iter()
        .map(|(_, letter)| {
            (letter.stage == Stage::Write)
                .then(|| sqlstate(&letter.reason))
                .flatten()
        })
        .collect();
    let tables: Vec<Option<&str>> = refused.iter().map(|(_, letter)| letter.table.as_deref()).collect();
    diesel::sql_query(
        "UPDATE aqueduct.dead_letters AS d SET stage = n.stage, reason = n.reason, sqlstate = n.sqlstate, \
         table_name = n.table_name, attempts = d.attempts + 1, failed_at = now() \
         FROM unnest($1, $2, $3, $4, $5) AS n (id, stage, reason, sqlstate, table_name) WHERE d.id = n.id",
    )
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Text>, _>(stages)
    .bind::<Array<Text>, _>(reasons)
    .bind::<Array<Nullable<Text>>, _>(sqlstates)
    .bind::<Array<Nullable<Text>>, _>(tables)
    .execute(session.conn())
    .map_err(|error| failed(session, "note the refusal", error))?;
    Ok(())
}

/// Removes letters whose records are not dead any more and moves their fates in the ledger, within the caller's
/// transaction. `counts` says what became of them: applied and filtered.
pub fn revive(session: &mut Session, key: &PartitionKey, ids: &[i64], counts: &RecordCounts) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let removed = diesel::sql_query("DELETE FROM aqueduct.dead_letters WHERE id = ANY($1)")
        .bind::<Array<BigInt>, _>(ids)
        .execute(session.conn())
        .map_err(|error| session.keep_failed("remove dead letters", key, error))?;
    // The partition's row is the last one that is locked, as the writers do it: neither can wait for the other in a circle.
    // Neither fence nor offset is touched: whoever has the partition goes on and hears nothing of it.
    let moved = diesel::sql_query(
        "UPDATE aqueduct.offsets SET dead = dead - $4, applied = applied + $5, filtered = filtered + $6 \
         WHERE pipeline = $1 AND topic = $2 AND partition = $3 AND dead >= $4",
    )
    .bind::<Text, _>(&*key.pipeline)
    .bind::<Text, _>(&*key.topic)
    .bind::<diesel::sql_types::Integer, _>(key.partition)
    .bind::<BigInt, _>(ids.len() as i64)
    .bind::<BigInt, _>(counts.applied.cast_signed())
    .bind::<BigInt, _>(counts.filtered.cast_signed())
    .execute(session.conn())
    .map_err(|error| session.keep_failed("move the fates of", key, error))?;
    let adds_up = removed == ids.len() && counts.applied + counts.filtered == ids.len() as u64;
    if moved == 1 && adds_up {
        return Ok(());
    }
    Err(StoreError::Mismatch {
        place: key.to_string(),
        problem: format!(
            "the ledger does not know {} dead records of this partition; was a row of aqueduct.offsets changed by hand?",
            ids.len()
        ),
    })
}

/// Removes the letters that a filter means and counts their records as skipped: an operator has given them up. One
/// statement, so one transaction. Returns how many they were.
pub fn purge(session: &mut Session, filter: &Filter) -> Result<u64, StoreError> {
    let query = diesel::sql_query(format!(
        "WITH gone AS (DELETE FROM aqueduct.dead_letters WHERE {WHERE} RETURNING pipeline, topic, partition), \
         sums AS (SELECT pipeline, topic, partition, count(*) AS number FROM gone GROUP BY pipeline, topic, partition), \
         moved AS (UPDATE aqueduct.offsets AS o SET dead = o.dead - least(o.dead, s.number), \
         skipped = o.skipped + least(o.dead, s.number) FROM sums AS s \
         WHERE o.pipeline = s.pipeline AND o.topic = s.topic AND o.partition = s.partition RETURNING 1) \
         SELECT count(*) AS gone FROM gone"
    ));
    let row: Gone = bind(query, filter)
        .get_result(session.conn())
        .map_err(|error| failed(session, "purge dead letters", error))?;
    Ok(row.gone.max(0).cast_unsigned())
}
