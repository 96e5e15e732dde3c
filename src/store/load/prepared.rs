//! One table made ready on one session: checked against its query, with its encoder, its statements and its stage.

use diesel::connection::SimpleConnection;

use super::{gear, identifier, loader::TableSpec, merge::Merge, target::Target};
use crate::{
    config::settings::Mode,
    sql::{
        OnNul,
        encode::{Encoder, oid},
    },
    store::{Session, StoreError},
};

/// What a session keeps for one table.
pub(super) struct Prepared {
    /// As it was when it was read.
    pub target: Target,
    /// Writes the query's columns.
    pub encoder: Encoder,
    /// What COPY writes to: the target.
    pub copy_target: String,
    /// Places of the columns by which rows are sorted; empty = they stay in record order.
    pub sort: Vec<usize>,
    /// For `upsert`.
    pub upsert: Option<Upsert>,
}

/// The rest of an `upsert`.
pub(super) struct Upsert {
    /// What COPY writes to in the second gear.
    pub stage_target: String,
    /// Merges the stage's rows from a sequence on into the target.
    pub merge: String,
    /// Empties the stage.
    pub empty_stage: String,
    /// The first gear may be tried.
    pub may_copy: bool,
    /// The place of the column that says which version is newer.
    pub order_by: Option<usize>,
    /// The stage's sequence says which of equal keys is the newest, not where a row is to be inserted.
    pub sequence_is_age: bool,
}

impl Prepared {
    /// Reads the table, checks it, and creates the stage. `index` keeps the stages
    /// of one session apart.
    pub(super) fn new(
        session: &mut Session,
        spec: &TableSpec,
        (index, keeps_existing): (usize, bool),
        on_nul: OnNul,
    ) -> Result<Self, StoreError> {
        let table = &spec.table;
        let mismatch = |problem: String| StoreError::Mismatch {
            place: format!("table {}", table.name),
            problem,
        };
        let target = Target::read(session, &table.name)?.ok_or_else(|| {
            mismatch("the table does not exist; create it in a migration, or set create = true".into())
        })?;
        let columns: Vec<_> = target.columns.iter().map(|column| column.encode.clone()).collect();
        let encoder = Encoder::new(&columns, &spec.schema)
            .map_err(|problems| mismatch(problems.join("; ")))?
            .with_on_nul(on_nul);
        let problems = problems(&target, &encoder, spec);
        if !problems.is_empty() {
            return Err(mismatch(problems.join("; ")));
        }
        match table.mode {
            Mode::Append => Ok(Self::append(target, encoder)),
            Mode::Upsert => Self::upsert(session, target, encoder, spec, (index, keeps_existing)),
        }
    }

    fn append(target: Target, encoder: Encoder) -> Self {
        let copy_target = copy_target(&target, &encoder);
        let places = |index: &Vec<String>| -> Option<Vec<usize>> {
            index
                .iter()
                .map(|name| encoder.position(name).filter(|&place| encoder.sorts(place)))
                .collect()
        };
        // A key with a part that is not written (a serial) is in the order of arrival by itself.
        let sort = target.unique.first().and_then(places).unwrap_or_default();
        Self {
            target,
            encoder,
            copy_target,
            sort,
            upsert: None,
        }
    }

    fn upsert(
        session: &mut Session,
        target: Target,
        encoder: Encoder,
        spec: &TableSpec,
        (index, keeps_existing): (usize, bool),
    ) -> Result<Self, StoreError> {
        let key = &spec.table.key;
        let sort: Vec<usize> = key.iter().filter_map(|name| encoder.position(name)).collect();
        let equal_as_bytes = |name: &String| target.column(name).is_some_and(|column| column.equal_as_bytes);
        let exact = sort.iter().all(|&place| encoder.key_is_exact(place)) && key.iter().all(equal_as_bytes);
        let stage = identifier::quote(&format!("aqueduct_stage_{index}_{}", target.oid));
        let order_by = spec.table.order_by.as_deref();
        let merge = Merge {
            target: &target,
            columns: encoder
                .columns()
                .filter_map(|column| target.column(&column.name))
                .collect(),
            key,
            order_by: order_by.and_then(|name| target.column(name)),
            inexact_key: !exact,
            keeps_existing,
            stage: &stage,
        };
        session
            .conn()
            .batch_execute(&merge.create_stage())
            .map_err(|error| session.failed("create the stage", target.place(), error))?;
        let upsert = Upsert {
            stage_target: merge.copy_target(),
            // A key that the client cannot compare may be there twice within the batch itself.
            may_copy: exact && gear::first_is_allowed(session, &target)?,
            merge: merge.statement(),
            empty_stage: merge.empty_stage(),
            order_by: order_by.and_then(|name| encoder.position(name)),
            sequence_is_age: !exact,
        };
        let copy_target = copy_target(&target, &encoder);
        Ok(Self {
            encoder: encoder.with_extra_fields(1),
            copy_target,
            sort,
            upsert: Some(upsert),
            target,
        })
    }
}

fn copy_target(target: &Target, encoder: &Encoder) -> String {
    format!(
        "{}.{} ({})",
        identifier::quote(&target.schema),
        identifier::quote(&target.name),
        identifier::list("", encoder.columns().map(|column| column.name.as_str()))
    )
}

/// Why this query cannot be written to this table, one sentence each.
fn problems(target: &Target, encoder: &Encoder, spec: &TableSpec) -> Vec<String> {
    let table = &spec.table;
    let mut problems = Vec::new();
    problems.extend(kind_problem(target, table.mode));
    for column in encoder.columns().filter_map(|column| target.column(&column.name)) {
        let name = &column.encode.name;
        if column.generated {
            problems.push(format!(
                "column \"{name}\" is generated always; leave it out of the query"
            ));
        } else if column.always_identity {
            problems.push(format!(
                "column \"{name}\" is GENERATED ALWAYS AS IDENTITY; make it BY DEFAULT, or leave it out of the query"
            ));
        }
    }
    for column in &target.columns {
        let name = &column.encode.name;
        // `encode.not_null`: no trigger can fill it in.
        if column.encode.not_null && !column.has_default && !column.generated && encoder.position(name).is_none() {
            problems.push(format!(
                "column \"{name}\" is NOT NULL without a default, and the query does not yield it; add it to the query"
            ));
        }
    }
    if table.mode == Mode::Upsert {
        problems.extend(key_problems(target, encoder, spec));
    }
    problems
}

/// What kind of table cannot be written in this mode, or not exactly once.
fn kind_problem(target: &Target, mode: Mode) -> Option<String> {
    let cannot = |kind: &str| {
        let mode = mode_name(mode);
        Some(format!(
            "it is {kind}, which mode = \"{mode}\" cannot write; name a table"
        ))
    };
    match target.kind {
        'r' | 'p' if target.row_security => Some(
            "row-level security is in force for this role, and COPY does not work under it; ALTER ROLE … BYPASSRLS, or let \
             the table's owner write"
                .into(),
        ),
        'p' if target.foreign_partition => Some(
            "one of its partitions is a foreign table, whose server would commit its rows apart from the offset; detach it"
                .into(),
        ),
        'r' | 'p' => None,
        'f' => Some(
            "it is a foreign table, whose server would commit its rows apart from the offset; name a table of this \
             database"
                .into(),
        ),
        'v' if mode == Mode::Append && target.instead_of_insert => None,
        'v' if mode == Mode::Append => {
            Some("it is a view without a trigger INSTEAD OF INSERT FOR EACH ROW; create one, or name its table".into())
        }
        'v' => cannot("a view"),
        'm' => cannot("a materialized view"),
        _ => cannot("no table"),
    }
}

fn key_problems(target: &Target, encoder: &Encoder, spec: &TableSpec) -> Vec<String> {
    let key = &spec.table.key;
    let mut problems = Vec::new();
    if key.is_empty() {
        problems.push("mode = \"upsert\" needs a key".into());
        return problems;
    }
    for name in key {
        match encoder.position(name) {
            None => problems.push(format!("the query does not yield the key column \"{name}\"")),
            Some(place) if !encoder.sorts(place) => {
                problems.push(format!("the key column \"{name}\" has a type that cannot be a key"));
            }
            Some(_) if target.column(name).is_some_and(|column| !column.not_null) => problems.push(format!(
                "the key column \"{name}\" may be NULL, and NULL is never equal; ALTER TABLE … ALTER COLUMN \"{name}\" SET NOT NULL"
            )),
            Some(_) => {}
        }
    }
    let is_key = |index: &Vec<String>| index.len() == key.len() && key.iter().all(|name| index.contains(name));
    if !target.unique.iter().any(is_key) {
        problems.push(format!(
            "there is no unique index (immediate, not partial) on exactly ({key}); CREATE UNIQUE INDEX ON {table} ({key})",
            key = key.join(", "),
            table = target.place()
        ));
    }
    if let Some(order_by) = &spec.table.order_by {
        match (encoder.position(order_by), target.column(order_by)) {
            (Some(place), Some(column)) => {
                if column.encode.type_oid == oid::ANYENUM {
                    problems.push(format!(
                        "order_by = \"{order_by}\": the labels of an enum do not say which version is the newer one; use a \
                         time or a number"
                    ));
                } else if !encoder.sorts(place)
                    || column.encode.type_oid == oid::JSON
                    || column.encode.type_oid == oid::JSONB
                {
                    problems.push(format!(
                        "order_by = \"{order_by}\": a {} has no order",
                        column.encode.type_name
                    ));
                }
            }
            _ => problems.push(format!("order_by = \"{order_by}\" is not among the query's columns")),
        }
    }
    problems
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Append => "append",
        Mode::Upsert => "upsert",
    }
}
