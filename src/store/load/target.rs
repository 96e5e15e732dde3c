//! A table as PostgreSQL's catalogue describes it.

use diesel::{
    QueryableByName, RunQueryDsl,
    sql_types::{Array, Bool, Integer, Oid, Text},
};

use super::identifier::quote_table;
use crate::{
    sql::encode::{self, Element, oid},
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
    /// A trigger INSTEAD OF INSERT takes its rows.
    pub instead_of_insert: bool,
    /// Row-level security is in force for this session.
    pub row_security: bool,
    /// One of its partitions is a foreign table.
    pub foreign_partition: bool,
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
    /// Equal to PostgreSQL means equal byte for byte: no citext, no case-insensitive collation, no interval.
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
    #[diesel(sql_type = Bool)]
    instead_of_insert: bool,
    #[diesel(sql_type = Bool)]
    row_security: bool,
    #[diesel(sql_type = Bool)]
    foreign_partition: bool,
}

/// A trigger or rule that runs before the row is checked may replace a NULL, on a partition too.
const TABLE: &str = "SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, \
     c.relkind <> 'r' OR c.relhasrules OR EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid \
     AND NOT g.tgisinternal AND (g.tgtype & 7) = 7) AS may_fill_in, \
     EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND (g.tgtype & 68) = 68 AND g.tgenabled <> 'D') \
     AS instead_of_insert, row_security_active(c.oid) AS row_security, \
     c.relkind = 'p' AND EXISTS (SELECT FROM pg_partition_tree(c.oid) AS part JOIN pg_class AS f ON f.oid = part.relid \
     WHERE f.relkind = 'f') AS foreign_partition \
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
    #[diesel(sql_type = Text)]
    base_kind: String,
    #[diesel(sql_type = Integer)]
    depth: i32,
    #[diesel(sql_type = Oid)]
    element_oid: u32,
    #[diesel(sql_type = Oid)]
    declared_oid: u32,
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

/// Down from each column's type through its domains and arrays to the type at the bottom. A domain is written as its base
/// type, whose modifier is the innermost domain's; an array's modifier is its elements'. `depth` counts the arrays: more
/// than one are arrays of a domain over an array.
const COLUMNS: &str = "WITH RECURSIVE base (attnum, depth, element_oid, type_oid, type_mod, not_null, has_default) AS ( \
       SELECT attnum, 0, 0::oid, atttypid, atttypmod, attnotnull, atthasdef OR attidentity <> '' \
       FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped \
       UNION ALL \
       SELECT b.attnum, b.depth + (e.oid IS NOT NULL)::int, coalesce(e.oid, b.element_oid), \
       coalesce(e.oid, t.typbasetype), CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE b.type_mod END, \
       b.not_null OR (b.depth = 0 AND t.typnotnull), b.has_default OR (b.depth = 0 AND t.typdefault IS NOT NULL) \
       FROM base AS b JOIN pg_type AS t ON t.oid = b.type_oid \
       LEFT JOIN pg_type AS e ON e.oid = t.typelem AND e.typarray = t.oid AND t.typtype <> 'd' \
       WHERE t.typtype = 'd' OR e.oid IS NOT NULL) \
     SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type_name, b.type_oid, b.type_mod, b.depth, \
     b.element_oid, a.atttypid AS declared_oid, t.typname::text AS base_name, t.typtype::text AS base_kind, b.not_null, \
     b.has_default, \
     a.attgenerated <> '' AS generated, a.attidentity = 'a' AS always_identity, a.attcollation <> 0 AS collated, \
     coalesce(l.collisdeterministic, true) AS deterministic \
     FROM base AS b JOIN pg_type AS t ON t.oid = b.type_oid AND t.typtype <> 'd' \
     AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.oid = t.typelem AND e.typarray = t.oid) \
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
            instead_of_insert: row.instead_of_insert,
            row_security: row.row_security,
            foreign_partition: row.foreign_partition,
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
     (SELECT string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated, \
     a.attidentity, a.atthasdef, (SELECT t.typnotnull FROM pg_type AS t WHERE t.oid = a.atttypid)), ',' \
     ORDER BY a.attnum) FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0), \
     (SELECT string_agg(concat_ws(' ', i.indexrelid, i.indisvalid, i.indkey), ',' ORDER BY i.indexrelid) \
     FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate)), ';' ORDER BY c.oid), '') \
     AS shape FROM pg_class AS c WHERE c.oid IN (SELECT to_regclass(name) FROM unnest($1) AS names (name))";

/// The shape of all `tables` at this moment. Equal at two moments = what was read from the catalogue in between holds.
///
/// COPY's binary format carries no types: a `bigint` that has become a `double precision` would take the old bytes for
/// another number, without an error. Nor does COPY ask for a unique index: without it, new versions of a row would go in
/// beside the old ones.
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
        // Received as text is.
        let is_citext = self.base_name == "citext";
        let type_oid = match &*self.base_kind {
            "e" => oid::ANYENUM,
            "c" => oid::RECORD,
            "r" | "m" => oid::ANYRANGE,
            _ if is_citext => oid::TEXT,
            _ => self.type_oid,
        };
        // An array of arrays, which only a domain makes possible, is written by nobody: its own number has no writer.
        let (type_oid, element) = match self.depth {
            0 => (type_oid, None),
            1 => {
                let declared_oid = self.element_oid;
                (self.declared_oid, Some(Element { type_oid, declared_oid }))
            }
            _ => (self.declared_oid, None),
        };
        // Of an interval, PostgreSQL says that 1 month is 30 days.
        let is_interval = type_oid == oid::INTERVAL || element.as_ref().is_some_and(|e| e.type_oid == oid::INTERVAL);
        TargetColumn {
            encode: encode::Column {
                name: self.name,
                type_name: self.type_name,
                type_oid,
                type_mod: self.type_mod,
                not_null: self.not_null && !may_fill_in,
                element,
            },
            not_null: self.not_null,
            has_default: self.has_default,
            generated: self.generated,
            always_identity: self.always_identity,
            collated: self.collated,
            equal_as_bytes: self.deterministic && !is_citext && !is_interval,
        }
    }
}
