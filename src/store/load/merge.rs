//! The texts of an `upsert`: a temporary table for the batch, and the one statement that merges it into the target.
//!
//! A row that is there already, equal in every query column, is found by a join and then left alone: ON CONFLICT would
//! lock it and write WAL even with `WHERE false`. The join is a LATERAL that cannot be flattened (OFFSET 0), because a
//! temporary table has no statistics and a hash join would read the whole target for every batch.

use super::{
    identifier::{list, quote},
    target::{Target, TargetColumn},
};
use crate::sql::encode::oid;

/// The stage's own column: the order in which its rows are inserted, or which of equal keys is the newest.
const SEQUENCE: &str = "\"_aqueduct_seq\"";

/// The columns and rules of one `upsert`.
pub(super) struct Merge<'a> {
    /// Where to.
    pub target: &'a Target,
    /// The query's columns.
    pub columns: Vec<&'a TargetColumn>,
    /// Those that identify a row.
    pub key: &'a [String],
    /// The one that says which version is newer.
    pub order_by: Option<&'a TargetColumn>,
    /// Different keys of ours may be equal to PostgreSQL: it has to look for the newest itself.
    pub inexact_key: bool,
    /// A row that is there stays, unless `order_by` says that the new one is strictly newer.
    pub keeps_existing: bool,
    /// The stage's quoted name.
    pub stage: &'a str,
}

impl Merge<'_> {
    /// Creates the stage: the target's types and nothing of its constraints, so that what COPY refuses is malformed and
    /// what the merge refuses violates a constraint.
    pub(super) fn create_stage(&self) -> String {
        format!(
            "DROP TABLE IF EXISTS pg_temp.{stage}; CREATE TEMPORARY TABLE {stage} ON COMMIT DELETE ROWS AS \
             SELECT {columns}, 0::int4 AS {SEQUENCE} FROM {target} WITH NO DATA",
            stage = self.stage,
            columns = list("", self.names()),
            target = self.target_name(),
        )
    }

    /// What COPY writes to.
    pub(super) fn copy_target(&self) -> String {
        format!("pg_temp.{} ({}, {SEQUENCE})", self.stage, list("", self.names()))
    }

    /// Empties the stage between two attempts of one transaction, when it has become long.
    pub(super) fn empty_stage(&self) -> String {
        format!("TRUNCATE pg_temp.{}", self.stage)
    }

    /// Merges the stage's rows from sequence `$1` (an `int4`) on. Yields `inserted`, `updated` and `unchanged`; the latter is NULL where it is the difference to
    /// the number of staged rows. A row that a trigger drops leaves the table unchanged.
    pub(super) fn statement(&self) -> String {
        // The short form inserts straight from the join. The long one keeps its judgement apart, row by row, because
        // unchanged and superseded rows cannot be told apart afterwards, nor, in a partitioned table (whose rows come
        // back without system columns), inserted and updated ones.
        if self.order_by.is_none() && !self.inexact_key && !self.keeps_existing && self.target.kind == 'r' {
            format!(
                "WITH written AS (INSERT INTO {target} AS t ({columns}) SELECT {staged} FROM {source} {probe} \
                 WHERE p.same IS NOT TRUE ORDER BY s.{SEQUENCE} {on_conflict} RETURNING t.xmax = 0 AS is_new) \
                 SELECT count(*) FILTER (WHERE is_new) AS inserted, count(*) FILTER (WHERE NOT is_new) AS updated, \
                 NULL::bigint AS unchanged FROM written",
                target = self.target_name(),
                columns = list("", self.names()),
                staged = list("s", self.names()),
                source = self.source(),
                probe = self.probe(),
                on_conflict = self.on_conflict(),
            )
        } else {
            let order = if self.inexact_key {
                list("s", self.key_names())
            } else {
                format!("s.{SEQUENCE}")
            };
            let (is_new, inserted) = if self.target.kind == 'r' {
                ("t.xmax = 0", "(SELECT count(*) FROM written WHERE is_new)")
            } else {
                (
                    "true",
                    "least((SELECT count(*) FROM judged WHERE same IS NULL), (SELECT count(*) FROM written))",
                )
            };
            format!(
                "WITH judged AS MATERIALIZED (SELECT s.{SEQUENCE} AS seq, p.same, p.older FROM {source} {probe}), \
                 written AS (INSERT INTO {target} AS t ({columns}) SELECT {staged} FROM pg_temp.{stage} AS s \
                 JOIN judged AS j ON j.seq = s.{SEQUENCE} WHERE (j.same OR j.older) IS NOT TRUE ORDER BY {order} \
                 {on_conflict} RETURNING {is_new} AS is_new), \
                 counted AS (SELECT {inserted} AS inserted, (SELECT count(*) FROM written) AS total) \
                 SELECT inserted, greatest(total - inserted, 0) AS updated, \
                 {unchanged} AS unchanged FROM counted",
                // What is kept because it is there already counts as superseded, unless it is the same.
                unchanged = if self.keeps_existing {
                    "(SELECT count(*) FROM judged WHERE same)"
                } else {
                    "(SELECT count(*) FROM judged WHERE older IS NOT TRUE) - total"
                },
                target = self.target_name(),
                columns = list("", self.names()),
                staged = list("s", self.names()),
                source = self.source(),
                probe = self.probe(),
                stage = self.stage,
                on_conflict = self.on_conflict(),
            )
        }
    }

    fn source(&self) -> String {
        let stage = self.stage;
        if self.inexact_key {
            let key = list("", self.key_names());
            format!(
                "(SELECT DISTINCT ON ({key}) * FROM pg_temp.{stage} WHERE {SEQUENCE} >= $1 \
                 ORDER BY {key}, {SEQUENCE} DESC) AS s"
            )
        } else {
            format!("(SELECT * FROM pg_temp.{stage} WHERE {SEQUENCE} >= $1) AS s")
        }
    }

    /// `p.same` and `p.older` of a staged row; both NULL where its key is new.
    fn probe(&self) -> String {
        let same: Vec<_> = self.values().map(same).collect();
        let same = if same.is_empty() {
            "true".into()
        } else {
            same.join(" AND ")
        };
        let older = match self.order_by {
            Some(column) if self.keeps_existing => not_newer(column, "s"),
            Some(column) => older(column, "s"),
            None => self.keeps_existing.to_string(),
        };
        let key: Vec<_> = self
            .key_names()
            .map(quote)
            .map(|key| format!("t.{key} = s.{key}"))
            .collect();
        format!(
            "LEFT JOIN LATERAL (SELECT {same} AS same, {older} AS older FROM {} AS t WHERE {} OFFSET 0) AS p ON true",
            self.target_name(),
            key.join(" AND ")
        )
    }

    /// Another writer may have been faster than the join: the conflict is judged once more, but not the equality.
    fn on_conflict(&self) -> String {
        let key = list("", self.key_names());
        let values: Vec<_> = self.values().map(|column| quote(&column.encode.name)).collect();
        if values.is_empty() || (self.keeps_existing && self.order_by.is_none()) {
            return format!("ON CONFLICT ({key}) DO NOTHING");
        }
        let set: Vec<_> = values.iter().map(|name| format!("{name} = EXCLUDED.{name}")).collect();
        let newer = self
            .order_by
            .map(|column| match self.keeps_existing {
                true => not_newer(column, "EXCLUDED"),
                false => older(column, "EXCLUDED"),
            })
            .map(|older| format!(" WHERE NOT ({older})"));
        format!(
            "ON CONFLICT ({key}) DO UPDATE SET {}{}",
            set.join(", "),
            newer.unwrap_or_default()
        )
    }

    fn target_name(&self) -> String {
        format!("{}.{}", quote(&self.target.schema), quote(&self.target.name))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.encode.name.as_str())
    }

    fn key_names(&self) -> impl Iterator<Item = &str> {
        self.key.iter().map(String::as_str)
    }

    fn values(&self) -> impl Iterator<Item = &TargetColumn> {
        self.columns
            .iter()
            .copied()
            .filter(|column| !self.key.contains(&column.encode.name))
    }
}

/// `json` has no equality, citext and some collations have one that overlooks changes: these compare as text.
fn same(column: &TargetColumn) -> String {
    let name = quote(&column.encode.name);
    let element = column.encode.element.as_ref().map(|element| element.type_oid);
    if column.encode.type_oid == oid::JSON || element == Some(oid::JSON) {
        format!("t.{name}::text IS NOT DISTINCT FROM s.{name}::text")
    } else if !column.equal_as_bytes {
        format!("t.{name}::text COLLATE \"C\" IS NOT DISTINCT FROM s.{name}::text COLLATE \"C\"")
    } else {
        format!("t.{name} IS NOT DISTINCT FROM s.{name}")
    }
}

/// Whether `new`'s version is older than `t`'s; never NULL. NULL is the oldest, equal versions are replaced. Text is
/// ordered by its bytes, as the client orders it within a batch.
fn older(column: &TargetColumn, new: &str) -> String {
    let name = quote(&column.encode.name);
    let collate = if column.collated { "::text COLLATE \"C\"" } else { "" };
    format!("t.{name} IS NOT NULL AND ({new}.{name} IS NULL OR {new}.{name}{collate} < t.{name}{collate})")
}

/// Whether `new`'s version is older than `t`'s, or the same; never NULL.
fn not_newer(column: &TargetColumn, new: &str) -> String {
    let name = quote(&column.encode.name);
    let collate = if column.collated { "::text COLLATE \"C\"" } else { "" };
    format!("{new}.{name} IS NULL OR (t.{name} IS NOT NULL AND {new}.{name}{collate} <= t.{name}{collate})")
}
