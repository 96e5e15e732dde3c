//! Which dead letters are meant.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    query_builder::{BoxedSqlQuery, SqlQuery},
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz},
};

/// What is not said excludes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These letters.
    pub ids: Vec<i64>,
    /// This pipeline's.
    pub pipeline: Option<String>,
    /// Refused at this stage: `ingest`, `decode`, `transform` or `write`.
    pub stage: Option<String>,
    /// The reason has this text in it; capitals do not count.
    pub reason: Option<String>,
    /// Refused then or later.
    pub since: Option<DateTime<Utc>>,
    /// Refused before.
    pub until: Option<DateTime<Utc>>,
}

/// Takes the six values of [`bind`].
pub(super) const WHERE: &str = "($1 IS NULL OR id = ANY($1)) AND ($2 IS NULL OR pipeline = $2) \
     AND ($3 IS NULL OR stage = $3) AND ($4 IS NULL OR position(lower($4) IN lower(reason)) > 0) \
     AND ($5 IS NULL OR failed_at >= $5) AND ($6 IS NULL OR failed_at < $6)";

impl Filter {
    /// Whether it means all letters there are.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// Binds `$1` to `$6` of [`WHERE`].
pub(super) fn bind<'a>(query: SqlQuery, filter: &'a Filter) -> BoxedSqlQuery<'a, Pg, SqlQuery> {
    let ids = (!filter.ids.is_empty()).then(|| filter.ids.clone());
    query
        .into_boxed::<Pg>()
        .bind::<Nullable<Array<BigInt>>, _>(ids)
        .bind::<Nullable<Text>, _>(filter.pipeline.as_deref())
        .bind::<Nullable<Text>, _>(filter.stage.as_deref())
        .bind::<Nullable<Text>, _>(filter.reason.as_deref())
        .bind::<Nullable<Timestamptz>, _>(filter.since)
        .bind::<Nullable<Timestamptz>, _>(filter.until)
}
