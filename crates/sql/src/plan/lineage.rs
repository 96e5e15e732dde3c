//! Gives every row of a plan the index of the record it comes from.
//!
//! A row-local plan is a chain of scan, filter, projection and unnest. The scan reads the hidden column, every projection
//! passes it on, unnest repeats it. It is added after the query was planned, so no query can see it and `*` does not
//! contain it.

use std::sync::Arc;

use datafusion::{
    catalog::TableProvider,
    common::Column,
    datasource::provider_as_source,
    error::{DataFusionError, Result},
    logical_expr::{Expr, Filter, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias, logical_plan::Unnest},
};

use crate::LINEAGE;

/// The plan over this table instead of the one it was planned with, with the record index as its last column.
pub(super) fn add(plan: LogicalPlan, records: &Arc<dyn TableProvider>) -> Result<LogicalPlan> {
    Ok(match plan {
        LogicalPlan::TableScan(scan) => {
            LogicalPlanBuilder::scan(scan.table_name, provider_as_source(Arc::clone(records)), None)?.build()?
        }
        LogicalPlan::SubqueryAlias(alias) => {
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(below(alias.input, records)?, alias.alias)?)
        }
        LogicalPlan::Filter(filter) => {
            LogicalPlan::Filter(Filter::try_new(filter.predicate, below(filter.input, records)?)?)
        }
        LogicalPlan::Projection(projection) => {
            let input = below(projection.input, records)?;
            let mut columns = projection.expr;
            columns.push(Expr::Column(index_of(&input)?));
            LogicalPlan::Projection(Projection::try_new(columns, input)?)
        }
        LogicalPlan::Unnest(unnest) => {
            let input = below(unnest.input, records)?;
            LogicalPlan::Unnest(Unnest::try_new(input, unnest.exec_columns, unnest.options)?)
        }
        other => {
            return Err(DataFusionError::Internal(format!(
                "{} is not row-local",
                other.display()
            )));
        }
    })
}

fn below(input: Arc<LogicalPlan>, records: &Arc<dyn TableProvider>) -> Result<Arc<LogicalPlan>> {
    add(Arc::unwrap_or_clone(input), records).map(Arc::new)
}

fn index_of(input: &LogicalPlan) -> Result<Column> {
    let (qualifier, field) = input.schema().qualified_field_with_unqualified_name(LINEAGE[0])?;
    Ok(Column::from((qualifier, field)))
}
