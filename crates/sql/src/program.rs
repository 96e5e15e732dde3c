//! From a declaration to what engines are made of.

use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Fields, Schema, SchemaRef};
use futures::executor::block_on;

use crate::{
    Declaration, DeclarationProblem, Engine, EngineError, OnNul, TableQuery, ddl,
    decode::{Layout, Usage},
    plan::{self, Query},
    run,
};

/// A checked declaration.
#[derive(Debug)]
pub struct Program {
    pub(crate) declared: SchemaRef,
    pub(crate) public: SchemaRef,
    pub(crate) tables: Vec<Table>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) on_nul: OnNul,
    pub(crate) memory_limit_bytes: usize,
}

/// One table of a program.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) query: Query,
    /// The query's columns, without lineage.
    pub(crate) output: SchemaRef,
}

impl Program {
    /// Parses the schema, plans every query, and refuses what is not row-local; all problems at once.
    ///
    /// Each query is also run over no record at all and must yield types that PostgreSQL has.
    pub fn compile(declaration: &Declaration) -> Result<Arc<Self>, Vec<DeclarationProblem>> {
        // Without the schema every name in the queries would be unknown, so its problems are reported alone.
        let declared = ddl::parse(&declaration.schema)?;
        block_on(compile(declaration, declared))
    }

    /// The columns of the declared schema.
    pub fn schema(&self) -> SchemaRef {
        self.declared.clone()
    }

    /// The columns that a table's query yields, without lineage.
    pub fn output(&self, table: usize) -> SchemaRef {
        self.tables[table].output.clone()
    }

    /// Whether a column of `records` is decoded, because a query uses it or because it is declared NOT NULL.
    pub fn uses_column(&self, name: &str) -> bool {
        self.layout.schema().field_with_name(name).is_ok()
    }

    /// What happens with U+0000 in text.
    pub fn on_nul(&self) -> OnNul {
        self.on_nul
    }

    /// Makes an engine with plans of its own.
    pub fn engine(self: &Arc<Self>) -> Result<Engine, EngineError> {
        block_on(Engine::new(self))
    }
}

async fn compile(declaration: &Declaration, declared: SchemaRef) -> Result<Arc<Program>, Vec<DeclarationProblem>> {
    let public = plan::public_schema(declared.fields());
    let context = plan::session(public.clone(), declaration.memory_limit_bytes)
        .map_err(|error| vec![plan::problem_of(&error)])?;
    let mut problems = Vec::new();
    let mut usage = Usage::default();
    let mut tables = Vec::new();
    for query in &declaration.tables {
        match plan::check(&context, &public, query).await {
            Ok(checked) => {
                usage.merge(&checked.usage);
                let output = Arc::new(Schema::empty());
                tables.push(Table {
                    name: query.table.clone(),
                    query: checked,
                    output,
                });
            }
            Err(found) => problems.extend(found),
        }
    }
    let layout = Arc::new(Layout::new(declared.fields(), &usage));
    let mut program = Program {
        declared,
        public,
        tables,
        layout,
        on_nul: declaration.on_nul,
        memory_limit_bytes: declaration.memory_limit_bytes,
    };
    for index in 0..program.tables.len() {
        match run::rehearse(&program, index).await {
            Ok(output) => match storable(&output) {
                Ok(output) => program.tables[index].output = output,
                Err(found) => problems.extend(
                    found
                        .into_iter()
                        .map(|message| problem(&program.tables[index], message)),
                ),
            },
            Err(error) => {
                let mut found = plan::problem_of(&error);
                found.table = Some(program.tables[index].name.clone());
                problems.push(found);
            }
        }
    }
    problems.sort_by_key(|problem| position(&declaration.tables, problem));
    if problems.is_empty() {
        Ok(Arc::new(program))
    } else {
        Err(problems)
    }
}

/// In the order of the config, although what was found while planning comes before what was found while running.
fn position(tables: &[TableQuery], problem: &DeclarationProblem) -> usize {
    tables
        .iter()
        .position(|query| Some(&query.table) == problem.table.as_ref())
        .unwrap_or(0)
}

fn problem(table: &Table, message: String) -> DeclarationProblem {
    DeclarationProblem {
        table: Some(table.name.clone()),
        place: None,
        message,
    }
}

/// The columns as the encoder gets them, or which of them no column of PostgreSQL could take.
fn storable(schema: &Schema) -> Result<SchemaRef, Vec<String>> {
    let mut problems = Vec::new();
    let mut fields: Vec<FieldRef> = Vec::new();
    for field in schema.fields() {
        match run::stored_type(field.data_type()) {
            Some(data_type) => fields.push(Arc::new(Field::new(field.name(), data_type, field.is_nullable()))),
            None => problems.push(format!(
                "column {} is of type {}, which PostgreSQL has not; cast it to another one",
                field.name(),
                field.data_type()
            )),
        }
    }
    if problems.is_empty() {
        Ok(Arc::new(Schema::new(Fields::from(fields))))
    } else {
        Err(problems)
    }
}
