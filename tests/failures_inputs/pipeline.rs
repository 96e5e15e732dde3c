//! A job over an API of the test's own: records `$.items[*]` with an `id`, tables that would show a double.

use std::fs;

use crate::{
    job::{Brokers, Job},
    postgres::TestDatabase,
};

/// One pipeline: its name, which is its table's too, the address, and its source's other keys.
pub fn pipeline(name: &str, url: &str, head: &str, source: &str, schema: &str, sql: &str) -> String {
    format!(
        "[[pipeline]]\nname = \"{name}\"\nschema = \"{schema}\"\n{head}\n\
         [pipeline.source]\nkind = \"http\"\nurl = \"{url}\"\nrecords = \"$.items[*]\"\nkey = \"$.id\"\n{source}\n\
         [pipeline.topic]\npartitions = 2\n[pipeline.batch]\nage = \"20ms\"\n\
         [[pipeline.table]]\nname = \"{name}\"\nmode = \"append\"\ncreate = true\nsql = \"{sql}\"\n"
    )
}

/// A job on the embedded log.
pub fn job(pipelines: &[String]) -> Job {
    let job = Job::new(TestDatabase::empty(), &Brokers::Embedded, &[]);
    let path = job.dir.path().join("config.toml");
    let head = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{head}{}", pipelines.concat())).unwrap();
    job
}

/// The ids in a table, as numbers, sorted: doubles show.
pub fn ids(job: &Job, table: &str) -> Vec<i64> {
    let texts = job.texts(&format!("SELECT id FROM {table}"));
    let mut ids: Vec<i64> = texts.iter().map(|id| id.parse().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// A pipeline's counts in PostgreSQL: consumed, applied, filtered, dead, skipped.
pub fn fates(job: &Job, pipeline: &str) -> String {
    let sql = format!(
        "SELECT concat_ws(' ', sum(consumed), sum(applied), sum(filtered), sum(dead), sum(skipped)) FROM aqueduct.offsets \
         WHERE pipeline = '{pipeline}'"
    );
    job.texts(&sql).remove(0)
}
