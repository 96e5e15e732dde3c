//! `[[pipeline]]` with its topic, actors and batches.

use std::sync::Arc;

use super::{source, table};
use crate::config::{
    names,
    section::Section,
    settings::{Actors, Batch, Engine, OnNul, Pipeline, Topic},
};

pub(super) fn pipeline(section: &Section<'_>) -> Option<Pipeline> {
    let name: Option<Arc<str>> = section.parsed("name", names::pipeline).map(Arc::from);
    // The only engine so far; another word is a problem already.
    section.choice("engine");
    let schema = section.text("schema");
    let on_nul = match section.choice("on_nul") {
        "strip" => OnNul::Strip,
        "replace" => OnNul::Replace,
        _ => OnNul::Reject,
    };
    let dead_letters_max = section.child("dead_letters", "pipeline[].dead_letters").rate("max");
    let source = source::source(&section.child("source", "pipeline[].source"));
    let topic = topic(&section.child("topic", "pipeline[].topic"), name.as_ref());
    let actors = actors(&section.child("actors", "pipeline[].actors"));
    let batch = batch(&section.child("batch", "pipeline[].batch"));
    let tables = table::tables(section);
    Some(Pipeline {
        name: name?,
        engine: Engine::Datafusion,
        schema: schema?,
        on_nul,
        dead_letters_max: dead_letters_max?,
        source: source?,
        topic: topic?,
        actors,
        batch: batch?,
        tables: tables?,
    })
}

fn topic(section: &Section<'_>, pipeline: Option<&Arc<str>>) -> Option<Topic> {
    let name = match section.is_set("name") {
        true => section.parsed("name", names::topic).map(Arc::from),
        false => pipeline.cloned(),
    };
    let (partitions, replication) = (section.count32("partitions"), section.count32("replication"));
    Some(Topic {
        name: name?,
        partitions,
        replication,
    })
}

fn actors(section: &Section<'_>) -> Actors {
    Actors {
        fetchers: section.count_of("fetchers"),
        producers: section.count_of("producers"),
        consumers: section.count_of("consumers"),
        transformers: section.count_of("transformers"),
        writers: section.count_of("writers"),
    }
}

fn batch(section: &Section<'_>) -> Option<Batch> {
    let (rows, bytes, age) = (section.count_of("rows"), section.size("bytes"), section.span("age"));
    Some(Batch { rows, bytes, age: age? })
}
