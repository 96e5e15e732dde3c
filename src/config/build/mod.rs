//! From the checked tree to [`Settings`]: one file a table.

mod agree;
mod auth;
mod cross;
mod daemon;
mod exec;
mod paginate;
mod pipeline;
mod request;
mod shards;
mod source;
mod table;

use std::sync::Arc;

use super::{
    context::Context,
    section::Section,
    settings::{Pipeline, Settings},
    tree::Table,
};

/// What the tree means; `None` where a problem was reported.
pub(super) fn settings(root: &Table, context: &Context<'_>) -> Option<Settings> {
    let root = Section::root(root, context);
    let daemon = daemon::daemon(&root.child("daemon", "daemon"));
    let kafka = daemon::kafka(&root.child("kafka", "kafka"));
    let postgres = daemon::postgres(&root.child("postgres", "postgres"));
    let supervision = daemon::supervision(&root.child("supervision", "supervision"));

    let sections = root.children("pipeline", "pipeline[]");
    if sections.is_empty()
        && root
            .entry("pipeline")
            .is_none_or(|entry| !matches!(entry.node.value, super::tree::Value::Broken))
    {
        root.missing(
            "pipeline",
            "missing: there is nothing to do; write at least one [[pipeline]]",
        );
    }
    let pipelines: Vec<Option<Pipeline>> = sections.iter().map(pipeline::pipeline).collect();
    cross::check(&sections);
    // Beyond here everything is whole: a `None` has reported its problem.
    if context.has_problems() {
        return None;
    }
    let pipelines: Vec<Arc<Pipeline>> = pipelines
        .into_iter()
        .map(|pipeline| pipeline.map(Arc::new))
        .collect::<Option<_>>()?;
    let settings = Settings {
        daemon: daemon?,
        kafka: kafka?,
        postgres: postgres?,
        supervision: supervision?,
        pipelines,
    };
    cross::note(&settings, &root, &sections);
    Some(settings)
}
