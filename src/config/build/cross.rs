//! What no table can see alone: names that collide, and settings that have no effect together.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{
    section::Section,
    settings::{Brokers, ExecOutput, Pipeline, Settings, Shards, Source},
    tree::{Text, Value},
};

/// Reports pipelines of one name, and topics that two pipelines would fill.
pub(super) fn check(sections: &[Section<'_>]) {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for section in sections {
        let Some(name) = text_of(section, "name") else { continue };
        if !names.insert(&name.value) {
            section.problem(
                "name",
                format!(
                    "another pipeline is named {} too; give it a name of its own",
                    name.quoted()
                ),
            );
            continue;
        }
        let topic_section = section.child("topic", "pipeline[].topic");
        let (topic, place) = match text_of(&topic_section, "name") {
            Some(topic) => (topic, &topic_section),
            None => (name, section),
        };
        let pipeline = format!("pipeline {}", name.quoted());
        let cursors = format!("{}.cursors", name.value);
        for (topic, owner) in [
            (topic.value.clone(), pipeline.clone()),
            (cursors, format!("the cursors of {pipeline}")),
        ] {
            if let Some(first) = owners.insert(topic, owner.clone()) {
                let message = format!("the topic would belong to {owner} and to {first}; take another name");
                place.problem("name", message);
            }
        }
    }
}

fn text_of<'a>(section: &Section<'a>, name: &str) -> Option<&'a Text> {
    match &section.entry(name)?.node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// Notes what works, but not as it may have been meant.
pub(super) fn note(settings: &Settings, root: &Section<'_>, sections: &[Section<'_>]) {
    let is_embedded = settings.kafka.brokers == Brokers::Embedded;
    if is_embedded && !settings.kafka.properties.is_empty() {
        root.child("kafka", "kafka")
            .note("properties", "has no effect with brokers = \"embedded\"");
    }
    for (pipeline, section) in settings.pipelines.iter().zip(sections) {
        let topic = section.child("topic", "pipeline[].topic");
        if is_embedded && pipeline.topic.replication > 1 {
            topic.note(
                "replication",
                "has no effect with brokers = \"embedded\", which keeps one copy on this machine's disk",
            );
        }
        note_cursors(pipeline, &section.child("source", "pipeline[].source"));
        note_idle(pipeline, &section.child("actors", "pipeline[].actors"));
    }
}

fn note_cursors(pipeline: &Pipeline, section: &Section<'_>) {
    if matches!(&pipeline.source, Source::Exec(exec) if exec.output == ExecOutput::Lines) {
        section.note(
            "output",
            "is \"lines\": a program that prints no cursors begins anew when it was interrupted, and what it had printed may \
             come twice; the guarantee starts at the log. Print {\"cursor\": …} lines and write output = \"cursors\", or take \
             mode = \"upsert\"",
        );
    }
}

fn note_idle(pipeline: &Pipeline, section: &Section<'_>) {
    let partitions = pipeline.topic.partitions as usize;
    let num = |shards: &Shards| match shards {
        Shards::Stripes(stripes) => *stripes as usize,
        Shards::Declared(sets) => sets.len(),
    };
    let shards = match &pipeline.source {
        Source::Http(http) => num(&http.shards),
        Source::Exec(exec) => num(&exec.shards),
        Source::None => 0,
    };
    let actors = pipeline.actors;
    let kinds = [
        ("fetchers", actors.fetchers, shards, "shards"),
        ("producers", actors.producers, shards, "shards"),
        ("consumers", actors.consumers, partitions, "partitions"),
        ("transformers", actors.transformers, partitions, "partitions"),
        ("writers", actors.writers, partitions, "partitions"),
    ];
    for (name, count, of_work, unit) in kinds {
        // Without the key there is nothing to correct.
        if section.is_set(name) && count > of_work {
            let idle = count - of_work;
            section.note(
                name,
                format!("{idle} of {count} will have nothing to do: there are {of_work} {unit}"),
            );
        }
    }
}
