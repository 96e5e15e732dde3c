//! `[[pipeline.table]]`

use crate::config::{
    names,
    section::Section,
    settings::{Mode, Table},
};

pub(super) fn tables(pipeline: &Section<'_>) -> Option<Vec<Table>> {
    let sections = pipeline.children("table", "pipeline[].table[]");
    if sections.is_empty()
        && pipeline
            .entry("table")
            .is_none_or(|entry| matches!(&entry.node.value, crate::config::tree::Value::Array(_)))
    {
        pipeline.missing(
            "table",
            "missing: the records go nowhere; write at least one [[pipeline.table]]",
        );
        return None;
    }
    let tables: Vec<Option<Table>> = sections.iter().map(table).collect();
    for (index, section) in sections.iter().enumerate() {
        let Some(Some(table)) = tables.get(index) else { continue };
        let earlier = tables[..index].iter().flatten();
        if earlier
            .into_iter()
            .any(|earlier| bare(&earlier.name) == bare(&table.name))
        {
            let message = "another table of this pipeline has this name too; put both queries into one";
            section.problem("name", message);
        }
    }
    tables.into_iter().collect()
}

/// `public` is where a table without a schema usually lies.
fn bare(name: &str) -> &str {
    name.strip_prefix("public.").unwrap_or(name)
}

fn table(section: &Section<'_>) -> Option<Table> {
    let name = section.parsed("name", names::table);
    let mode = match section.choice("mode") {
        "append" => Some(Mode::Append),
        "upsert" => Some(Mode::Upsert),
        _ => None,
    };
    let key = section.texts("key");
    let order_by = section.text("order_by");
    let sql = section.text("sql");
    let create = section.flag("create");
    match mode {
        Some(Mode::Upsert) if !section.is_set("key") => {
            section.missing(
                "key",
                "missing: mode = \"upsert\" knows a row by its key; write for example key = [\"uuid\"]",
            );
        }
        Some(Mode::Append) => {
            for name in ["key", "order_by"].into_iter().filter(|name| section.is_set(name)) {
                let message = "has no meaning with mode = \"append\", which keeps every row; remove it, or write mode = \"upsert\"";
                section.problem(name, message);
            }
        }
        _ => {}
    }
    Some(Table {
        name: name?,
        mode: mode?,
        key,
        order_by,
        sql: sql?,
        create,
    })
}
