//! From a JSON record through its query into a table, as the daemon does it.

use std::sync::Arc;

use aqueduct::{
    config::settings::Table,
    sql::{Declaration, InputRecord, OnNul, Origin, Program, TableQuery},
    store::{
        StoreError,
        load::{Loader, Outcome, TableSpec},
    },
};

use crate::{
    load::{Branch, settled},
    values::EMPTY,
};

/// A schema, a query and a table, made one.
pub struct Through {
    pub branch: Branch,
    pub program: Arc<Program>,
}

impl Through {
    /// `ddl` makes the table, unless the table makes itself.
    pub fn new(ddl: &str, table: Table, schema: &str, query: &str, on_nul: OnNul) -> Self {
        let mut through = Self {
            branch: Branch::new("SELECT 1", &[]),
            program: compiled(schema, query, on_nul),
        };
        through.begin(ddl, table, schema, query, on_nul);
        through
    }

    /// The same in the database that is there.
    pub fn begin(&mut self, ddl: &str, table: Table, schema: &str, query: &str, on_nul: OnNul) {
        self.branch.run(&format!("{EMPTY}; {ddl}"));
        self.program = compiled(schema, query, on_nul);
        let spec = TableSpec {
            table,
            schema: self.program.output(0),
        };
        self.branch.loader = Loader::new(vec![spec]).with_on_nul(on_nul);
    }

    /// Checks the table, as `check --live` does.
    pub fn prepare(&mut self) -> Result<(), StoreError> {
        self.branch.loader.prepare(&mut self.branch.session)
    }

    /// Writes these records; returns how many were applied and the reasons of the others, the query's first.
    pub fn write(&mut self, values: &[&str]) -> (u64, Vec<String>) {
        let mut engine = self.program.engine().unwrap();
        let records: Vec<_> = (0..)
            .zip(values)
            .map(|(offset, value)| InputRecord {
                key: None,
                value: Some(value.as_bytes()),
                offset,
                timestamp_ms: None,
                headers: &[],
            })
            .collect();
        let origin = Origin {
            topic: "people",
            partition: 0,
        };
        let transformed = futures::executor::block_on(engine.run(origin, &records)).unwrap();
        let mut reasons: Vec<String> = transformed
            .failures
            .iter()
            .map(|failure| failure.reason.clone())
            .collect();
        let outcome: Result<Outcome, StoreError> = self.branch.write(values.len(), transformed.tables);
        let (counts, _, dead) = settled(outcome);
        reasons.extend(dead.into_iter().map(|letter| letter.reason));
        (counts.applied, reasons)
    }

    pub fn ask(&mut self, query: &str) -> Option<String> {
        self.branch.ask(query)
    }
}

pub fn compiled(schema: &str, query: &str, on_nul: OnNul) -> Arc<Program> {
    let declaration = Declaration {
        schema: schema.to_owned(),
        tables: vec![TableQuery {
            table: "t".into(),
            sql: query.to_owned(),
        }],
        on_nul,
        memory_limit_bytes: 256 << 20,
    };
    Program::compile(&declaration).unwrap_or_else(|problems| panic!("{query}: {problems:#?}"))
}
