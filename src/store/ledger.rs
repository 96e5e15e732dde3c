//! The counts: what became of records and of rows.

use std::collections::BTreeMap;

use diesel::{
    ExpressionMethods, Insertable, QueryableByName, RunQueryDsl,
    sql_types::{BigInt, Text},
    upsert::excluded,
};

use super::{Session, StoreError, schema::aqueduct::row_counts as table};
use crate::model::{PartitionKey, RecordCounts, RowCounts};

#[derive(Insertable)]
#[diesel(table_name = table)]
struct NewRow<'a> {
    pipeline: &'a str,
    topic: &'a str,
    partition: i32,
    table_name: &'a str,
    inserted: i64,
    updated: i64,
    unchanged: i64,
    superseded: i64,
}

#[derive(QueryableByName)]
struct Records {
    #[diesel(sql_type = BigInt)]
    consumed: i64,
    #[diesel(sql_type = BigInt)]
    applied: i64,
    #[diesel(sql_type = BigInt)]
    filtered: i64,
    #[diesel(sql_type = BigInt)]
    dead: i64,
    #[diesel(sql_type = BigInt)]
    skipped: i64,
}

#[derive(QueryableByName)]
struct Rows {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = BigInt)]
    inserted: i64,
    #[diesel(sql_type = BigInt)]
    updated: i64,
    #[diesel(sql_type = BigInt)]
    unchanged: i64,
    #[diesel(sql_type = BigInt)]
    superseded: i64,
}

/// Adds to the counts of one table's rows, within the caller's transaction.
pub fn add_row_counts(
    session: &mut Session,
    key: &PartitionKey,
    table_name: &str,
    counts: &RowCounts,
) -> Result<(), StoreError> {
    let new = NewRow {
        pipeline: &key.pipeline,
        topic: &key.topic,
        partition: key.partition,
        table_name,
        inserted: counts.inserted.cast_signed(),
        updated: counts.updated.cast_signed(),
        unchanged: counts.unchanged.cast_signed(),
        superseded: counts.superseded.cast_signed(),
    };
    diesel::insert_into(table::table)
        .values(&new)
        .on_conflict((table::pipeline, table::topic, table::partition, table::table_name))
        .do_update()
        .set((
            table::inserted.eq(table::inserted + excluded(table::inserted)),
            table::updated.eq(table::updated + excluded(table::updated)),
            table::unchanged.eq(table::unchanged + excluded(table::unchanged)),
            table::superseded.eq(table::superseded + excluded(table::superseded)),
        ))
        .execute(session.conn())
        .map_err(|error| session.keep_failed("add row counts", key, error))?;
    Ok(())
}

/// The load side of a pipeline's ledger, all partitions and tables as of one moment.
pub fn read(session: &mut Session, pipeline: &str) -> Result<(RecordCounts, BTreeMap<String, RowCounts>), StoreError> {
    let read = |conn: &mut diesel::PgConnection| {
        let records: Records = diesel::sql_query(
            "SELECT coalesce(sum(consumed), 0)::bigint AS consumed, coalesce(sum(applied), 0)::bigint AS applied, \
             coalesce(sum(filtered), 0)::bigint AS filtered, coalesce(sum(dead), 0)::bigint AS dead, \
             coalesce(sum(skipped), 0)::bigint AS skipped FROM aqueduct.offsets WHERE pipeline = $1",
        )
        .bind::<Text, _>(pipeline)
        .get_result(conn)?;
        let rows: Vec<Rows> = diesel::sql_query(
            "SELECT table_name, sum(inserted)::bigint AS inserted, sum(updated)::bigint AS updated, \
             sum(unchanged)::bigint AS unchanged, sum(superseded)::bigint AS superseded \
             FROM aqueduct.row_counts WHERE pipeline = $1 GROUP BY table_name",
        )
        .bind::<Text, _>(pipeline)
        .load(conn)?;
        diesel::QueryResult::Ok((records, rows))
    };
    // One snapshot for both statements: a commit between them would show rows without their records.
    let (records, rows) = session
        .conn()
        .build_transaction()
        .read_only()
        .repeatable_read()
        .run(read)
        .map_err(|error| session.keep_failed("read counts", pipeline, error))?;
    let count = |value: i64| value.max(0).cast_unsigned();
    let records = RecordCounts {
        consumed: count(records.consumed),
        applied: count(records.applied),
        filtered: count(records.filtered),
        dead: count(records.dead),
        skipped: count(records.skipped),
    };
    let rows = rows.into_iter().map(|row| {
        let counts = RowCounts {
            inserted: count(row.inserted),
            updated: count(row.updated),
            unchanged: count(row.unchanged),
            superseded: count(row.superseded),
        };
        (row.table_name, counts)
    });
    Ok((records, rows.collect()))
}
