//! A table as PostgreSQL's catalogue describes it.

use diesel::{
    QueryableByName, RunQueryDsl,
    sql_types::{Array, Bool, Integer, Oid, Text},
};

use super::identifier::quote_table;
use crate::{
    sql::encode::{self, oid},
    store::{Session, StoreError},
};

/// The table that rows are written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its OID.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `pg_class.relkind`: `r` table, `p` partitioned, `f` foreign, `v` view.
    pub kind: char,
    /// All columns that are not dropped, in the table's order.
    pub columns: Vec<TargetColumn>,
    /// The columns of each unique index that every row is in, the primary key first.
    pub unique: Vec<Vec<String>>,
}

/// One of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetColumn {
    /// What the encoder has to know.
    pub encode: encode::Column,
    /// NOT NULL by the catalogue, whatever a trigger may do before.
    pub not_null: bool,
    /// A value comes from a default or an identity where the query yields none.
    pub has_default: bool,
    /// GENERATED ALWAYS AS an expression: cannot be written.
    pub generated: bool,
    /// GENERATED ALWAYS AS IDENTITY: COPY may write it, INSERT and UPDATE may not.
    pub always_identity: bool,
    /// It has a collation.
    pub collated: bool,
    /// Equal to PostgreSQL means equal byte for byte: no citext, no case-insensitive collation.
    pub equal_as_bytes: bool,
}

#[derive(QueryableByName)]
struct TableRow {
    #[diesel(sql_type = Oid)]
    oid: u32,
    #[diesel(sql_type = Text)]
    schema: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    may_fill_in: bool,
}

/// A trigger or rule that runs before the row is checked may replace a NULL, on a partition too.
const TABLE: &str = "SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, \
     c.relkind <> 'r' OR c.relhasrules OR EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid \
     AND NOT g.tgisinternal AND (g.tgtype & 7) = 7) AS may_fill_in \
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    type_name: String,
    #[diesel(sql_type = Oid)]
    type_oid: u32,
    #[diesel(sql_type = Integer)]
    type_mod: i32,
    #[diesel(sql_type = Text)]
    base_name: String,
    #[diesel(sql_type = Bool)]
    is_enum: bool,
    #[diesel(sql_type = Bool)]
    not_null: bool,
    #[diesel(sql_type = Bool)]
    has_default: bool,
    #[diesel(sql_type = Bool)]
    generated: bool,
    #[diesel(sql_type = Bool)]
    always_identity: bool,
    #[diesel(sql_type = Bool)]
    collated: bool,
    #[diesel(sql_type = Bool)]
    deterministic: bool,
}

/// A domain is written as its base type, whose modifier is the innermost domain's.
const COLUMNS: &str = "WITH RECURSIVE base (attnum, type_oid, type_mod, not_null, has_default) AS ( \
       SELECT attnum, atttypid, atttypmod, attnotnull, atthasdef OR attidentity <> '' \
       FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped \
       UNION ALL \
       SELECT b.attnum, t.typbasetype, t.typtypmod, b.not_null OR t.typnotnull, \
       b.has_default OR t.typdefault IS NOT NULL \
       FROM base AS b JOIN pg_type AS t ON t.oid = b.type_oid WHERE t.typtype = 'd') \
     SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type_name, b.type_oid, b.type_mod, \
     t.typname::text AS base_name, t.typtype = 'e' AS is_enum, b.not_null, b.has_default, \
     a.attgenerated <> '' AS generated, a.attidentity = 'a' AS always_identity, a.attcollation <> 0 AS collated, \
     coalesce(l.collisdeterministic, true) AS deterministic \
     FROM base AS b JOIN pg_type AS t ON t.oid = b.type_oid AND t.typtype <> 'd' \
     JOIN pg_attribute AS a ON a.attrelid = $1 AND a.attnum = b.attnum \
     LEFT JOIN pg_collation AS l ON l.oid = a.attcollation ORDER BY a.attnum";

#[derive(QueryableByName)]
struct IndexRow {
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
}

/// Only what ON CONFLICT can use: valid, immediate, over plain columns, without a predicate.
const INDEXES: &str = "SELECT array_agg(a.attname::text ORDER BY k.place) AS columns \
     FROM pg_index AS i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place) \
     JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
     WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL \
     AND i.indexprs IS NULL AND k.place <= i.indnkeyatts \
     GROUP BY i.indexrelid, i.indisprimary ORDER BY i.indisprimary DESC, i.indexrelid";

impl Target {
    /// Reads `table` or `schema.table` from the catalogue; `None` when there is no such table.
    pub fn read(session: &mut Session, table: &str) -> Result<Option<Self>, StoreError> {
        let quoted = quote_table(table).map_err(|problem| StoreError::Mismatch {
            place: format!("table {table}"),
            problem,
        })?;
        let rows: Vec<TableRow> = diesel::sql_query(TABLE)
            .bind::<Text, _>(quoted)
            .load(session.conn())
            .map_err(|error| session.failed("read the table", table.to_owned(), error))?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let columns: Vec<ColumnRow> = diesel::sql_query(COLUMNS)
            .bind::<Oid, _>(row.oid)
            .load(session.conn())
            .map_err(|error| session.failed("read the columns", table.to_owned(), error))?;
        let indexes: Vec<IndexRow> = diesel::sql_query(INDEXES)
            .bind::<Oid, _>(row.oid)
            .load(session.conn())
            .map_err(|error| session.failed("read the indexes", table.to_owned(), error))?;
        Ok(Some(Self {
            oid: row.oid,
            schema: row.schema,
            name: row.name,
            kind: row.kind.chars().next().unwrap_or('?'),
            columns: columns.into_iter().map(|column| column.mean(row.may_fill_in)).collect(),
            unique: indexes.into_iter().map(|index| index.columns).collect(),
        }))
    }

    /// A column by its name.
    pub fn column(&self, name: &str) -> Option<&TargetColumn> {
        self.columns.iter().find(|column| column.encode.name == name)
    }

    /// `schema.table`, for messages.
    pub fn place(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

#[derive(QueryableByName)]
struct ShapeRow {
    #[diesel(sql_type = Text)]
    shape: String,
}

/// Everything that the encoder and the early refusals stand on, as one text.
const SHAPE: &str = "SELECT coalesce(string_agg(concat_ws(' ', c.oid, c.relkind, c.relhasrules, \
     (SELECT count(*) FROM pg_trigger AS g WHERE g.tgrelid = c.oid), \
     (SELECT string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated), ',' \
     ORDER BY a.attnum) FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0)), ';' ORDER BY c.oid), '') \
     AS shape FROM pg_class AS c WHERE c.oid IN (SELECT to_regclass(name) FROM unnest($1) AS names (name))";

/// The shape of all `tables` at this moment. Equal at two moments = what was read from the catalogue in between holds.
///
/// COPY's binary format carries no types: a `bigint` that has become a `double precision` would take the old bytes for
/// another number, without an error.
pub(super) fn shape<'a>(session: &mut Session, tables: impl Iterator<Item = &'a str>) -> Result<String, StoreError> {
    // What is no name has been complained about when the table was read.
    let names: Vec<String> = tables.filter_map(|table| quote_table(table).ok()).collect();
    let row: ShapeRow = diesel::sql_query(SHAPE)
        .bind::<Array<Text>, _>(names)
        .get_result(session.conn())
        .map_err(|error| {
            let place = session.place().to_owned();
            session.failed("read the tables' shape", place, error)
        })?;
    Ok(row.shape)
}

impl ColumnRow {
    fn mean(self, may_fill_in: bool) -> TargetColumn {
        // Both are received as text is.
        let is_citext = self.base_name == "citext";
        let type_oid = if self.is_enum || is_citext {
            oid::TEXT
        } else {
            self.type_oid
        };
        TargetColumn {
            encode: encode::Column {
                name: self.name,
                type_name: self.type_name,
                type_oid,
                type_mod: self.type_mod,
                not_null: self.not_null && !may_fill_in,
            },
            not_null: self.not_null,
            has_default: self.has_default,
            generated: self.generated,
            always_identity: self.always_identity,
            collated: self.collated,
            equal_as_bytes: self.deterministic && !is_citext,
        }
    }
}
