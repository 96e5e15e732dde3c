//! Declares, runs, and shows rows as text.

use std::sync::Arc;

use aqueduct_sql::{
    Declaration, DeclarationProblem, Engine, EngineError, InputRecord, LINEAGE, OnNul, Origin, Program, TableQuery,
    Transformed,
    arrow::{array::RecordBatch, util::display::array_value_to_string},
};

pub const ORIGIN: Origin<'_> = Origin {
    topic: "users",
    partition: 3,
};

pub fn declaration(schema: &str, queries: &[&str]) -> Declaration {
    let table = |(number, sql): (usize, &&str)| TableQuery {
        table: format!("t{number}"),
        sql: (*sql).to_owned(),
    };
    Declaration {
        schema: schema.to_owned(),
        tables: queries.iter().enumerate().map(table).collect(),
        on_nul: OnNul::Reject,
        memory_limit_bytes: 256 << 20,
    }
}

pub fn compile(schema: &str, queries: &[&str]) -> Arc<Program> {
    Program::compile(&declaration(schema, queries)).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

pub fn problems(schema: &str, queries: &[&str]) -> Vec<DeclarationProblem> {
    match Program::compile(&declaration(schema, queries)) {
        Ok(_) => panic!("no problem was found in {queries:?}"),
        Err(problems) => problems,
    }
}

/// The only problem of a query.
pub fn problem(schema: &str, query: &str) -> String {
    let found = problems(schema, &[query]);
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].message.clone()
}

pub fn engine(schema: &str, query: &str) -> Engine {
    compile(schema, &[query]).engine().unwrap()
}

pub fn record(value: &[u8]) -> InputRecord<'_> {
    InputRecord {
        key: None,
        value: Some(value),
        offset: 0,
        timestamp_ms: None,
        headers: &[],
    }
}

pub async fn try_run<T: AsRef<[u8]>>(engine: &mut Engine, values: &[T]) -> Result<Transformed, EngineError> {
    let record = |(offset, value): (i64, _)| InputRecord {
        offset,
        ..record(AsRef::as_ref(value))
    };
    let records: Vec<_> = (0..).zip(values).map(record).collect();
    engine.run(ORIGIN, &records).await
}

pub async fn run<T: AsRef<[u8]>>(engine: &mut Engine, values: &[T]) -> Transformed {
    try_run(engine, values).await.unwrap()
}

/// Each row as its values joined by `|`, without lineage; NULL is `~`.
pub fn rows(batch: &RecordBatch) -> Vec<String> {
    let columns = batch.num_columns() - LINEAGE.len();
    let cell = |row: usize, column: usize| {
        let column = batch.column(column);
        if column.is_null(row) {
            "~".to_owned()
        } else {
            array_value_to_string(column, row).unwrap()
        }
    };
    (0..batch.num_rows())
        .map(|row| {
            (0..columns)
                .map(|column| cell(row, column))
                .collect::<Vec<_>>()
                .join("|")
        })
        .collect()
}

/// Record index and ordinal of each row.
pub fn lineage(batch: &RecordBatch) -> Vec<(u32, u32)> {
    use aqueduct_sql::arrow::{array::AsArray, datatypes::UInt32Type};
    let of = |name: &str| {
        batch
            .column_by_name(name)
            .unwrap()
            .as_primitive::<UInt32Type>()
            .values()
            .to_vec()
    };
    of(LINEAGE[0]).into_iter().zip(of(LINEAGE[1])).collect()
}

/// Which records failed, and why.
pub fn reasons(transformed: &Transformed) -> Vec<(u32, &str)> {
    transformed
        .failures
        .iter()
        .map(|failure| (failure.record, failure.reason.as_str()))
        .collect()
}

/// The rows of one query over one record, which must not fail.
pub async fn row(schema: &str, query: &str, value: &str) -> String {
    let transformed = run(&mut engine(schema, query), &[value]).await;
    assert!(transformed.failures.is_empty(), "{value}: {:?}", transformed.failures);
    rows(&transformed.tables[0]).join("\n")
}

/// The reason why one record fails.
pub async fn reason(schema: &str, query: &str, value: &str) -> String {
    let transformed = run(&mut engine(schema, query), &[value]).await;
    assert_eq!(transformed.tables[0].num_rows(), 0, "{value}");
    assert_eq!(transformed.failures.len(), 1, "{value}");
    transformed.failures[0].reason.clone()
}
