//! From a query's text to a plan that runs over every batch.
//!
//! text -> [`statement`] (syntax: one row-local SELECT, refused otherwise) -> DataFusion's planner over the public columns of
//! `records` -> [`row_local`] (the same question to the logical plan) -> [`lineage`] (each row keeps the index of its record)
//! -> the optimizer, with [`checked`] arithmetic and quick [`decimals`] -> a physical plan over a [`slot`].

mod checked;
mod decimals;
mod lineage;
mod problem;
mod rewrite;
mod row_local;
mod session;
mod slot;
mod statement;
mod used;

use std::sync::Arc;

use arrow::datatypes::{Fields, Schema, SchemaRef};
use datafusion::{
    error::DataFusionError, execution::context::SessionContext, logical_expr::LogicalPlan, physical_plan::ExecutionPlan,
};

pub(crate) use self::{session::session, slot::Slot};
use crate::{
    DeclarationProblem, TableQuery,
    decode::{Metadata, Usage},
};

/// The one table that a query may read.
pub(crate) const RECORDS: &str = "records";

/// A query that was planned over the public columns of `records` and found row-local.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    plan: LogicalPlan,
    /// The parts of a record that it uses.
    pub(crate) usage: Usage,
    /// It asks for the time of day or the like, so it is planned for every batch.
    pub(crate) stable: bool,
}

/// What a query may name: the declared columns, then the metadata.
pub(crate) fn public_schema(declared: &Fields) -> SchemaRef {
    let fields = declared
        .iter()
        .cloned()
        .chain(Metadata::PUBLIC.iter().map(|column| column.field()));
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

/// Checks one table's query against a session whose `records` has the public columns.
pub(crate) async fn check(
    context: &SessionContext,
    public: &SchemaRef,
    query: &TableQuery,
) -> Result<Query, Vec<DeclarationProblem>> {
    let blame = |mut problem: DeclarationProblem| {
        problem.table = Some(query.table.clone());
        problem
    };
    let blame_all = |problems: Vec<DeclarationProblem>| problems.into_iter().map(blame).collect::<Vec<_>>();
    let statement = statement::parse(&query.sql, &context.state()).map_err(blame_all)?;
    let names = statement::Names::of(&statement);
    let plan = context
        .state()
        .statement_to_plan(statement)
        .await
        .map_err(|error| vec![blame(problem::of(&error))])?;
    let mut problems = row_local::problems(&plan);
    problems.extend(names.problems(plan.schema().as_arrow()));
    if !problems.is_empty() {
        return Err(blame_all(problems));
    }
    Ok(Query {
        usage: used::usage(&plan, public),
        stable: used::is_stable(&plan),
        plan,
    })
}

impl Query {
    /// The plan over an engine's slot, with the record index as its last column.
    pub(crate) fn over(&self, slot: &Arc<Slot>) -> Result<LogicalPlan, DataFusionError> {
        lineage::add(self.plan.clone(), &slot.provider()?)
    }
}

/// Optimizes and turns into what can be executed.
pub(crate) async fn physical(
    context: &SessionContext,
    plan: &LogicalPlan,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    // `state()` also sets the time that `now()` says.
    context.state().create_physical_plan(plan).await
}

/// A DataFusion error as a problem without a table.
pub(crate) fn problem_of(error: &DataFusionError) -> DeclarationProblem {
    problem::of(error)
}
