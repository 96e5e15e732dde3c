//! The DataFusion session of one engine.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::{
    datasource::empty::EmptyTable,
    error::DataFusionError,
    execution::{
        SessionStateBuilder, context::SessionContext, memory_pool::GreedyMemoryPool, runtime_env::RuntimeEnvBuilder,
    },
    prelude::SessionConfig,
};

use super::{RECORDS, checked::CheckedArithmetic, decimals::PlainDecimals};

/// A session in which `records` has these columns, and whose plans may take so much memory together.
///
/// Names without quotes are folded to lower case (DataFusion's default, and PostgreSQL's rule): a field `userId` is
/// written `"userId"`.
pub(crate) fn session(records: SchemaRef, memory_limit_bytes: usize) -> Result<SessionContext, DataFusionError> {
    let mut config = SessionConfig::new()
        // One partition keeps the rows in the records' order and everything on the caller's thread.
        .with_target_partitions(1)
        .with_information_schema(false);
    let options = config.options_mut();
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.collect_statistics = false;
    // A dynamic filter is state that a kept plan would carry from one batch to the next.
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // 0.1 in a query is the decimal, not the float next to it.
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.collect_spans = true;
    // Views would only be copied to plain text again for the encoder.
    options.sql_parser.map_string_types_to_utf8view = false;
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_limit_bytes)));
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime.build_arc()?)
        .with_default_features()
        .with_analyzer_rule(Arc::new(CheckedArithmetic))
        .with_analyzer_rule(Arc::new(PlainDecimals))
        .build();
    let context = SessionContext::new_with_state(state);
    context.register_table(RECORDS, Arc::new(EmptyTable::new(records)))?;
    Ok(context)
}
