//! `aqueduct check`: says everything that is wrong before anything runs; `--live` also asks the API, the log and
//! PostgreSQL.

use std::sync::Arc;

use slog::Logger;

use crate::{
    api::{
        exec::ExecSource,
        http::{Attempt, HttpSource},
        pagination::Next,
    },
    config::{
        Loaded,
        settings::{Brokers, Pipeline, PostgresUrl, Settings, Source, Table},
    },
    daemon::Program,
    log::{Log, LogError, TopicSpec, kafka::KafkaLog},
    service::Exit,
    store::{
        ConnectInfo, Session,
        load::{Loader, TableSpec, Target, creation},
    },
    supervision::{BoxError, chain},
};

/// The SQL is compiled already; says so, notes what is odd, and with `live` asks around.
pub async fn check(loaded: &Loaded, programs: &[Program], live: bool, log: &Logger) -> Exit {
    for pipeline in &loaded.settings.pipelines {
        notes(pipeline)
            .iter()
            .for_each(|note| println!("note: pipeline {}: {note}", pipeline.name));
    }
    println!(
        "the configuration is sound: {} pipeline(s)",
        loaded.settings.pipelines.len()
    );
    if !live {
        return Exit::Done;
    }
    let mut missing = 0;
    let mut report = |what: String, answer: Result<String, BoxError>| match answer {
        Ok(found) => println!("ok: {what}: {found}"),
        Err(error) => {
            missing += 1;
            println!("PROBLEM: {what}: {}", chain(error.as_ref()));
        }
    };
    report("PostgreSQL".into(), postgres(&loaded.settings));
    for (pipeline, program) in loaded.settings.pipelines.iter().zip(programs) {
        let name = &pipeline.name;
        report(format!("pipeline {name}: API"), api(pipeline, log).await);
        report(format!("pipeline {name}: log"), topic(&loaded.settings, pipeline, log));
        for (index, table) in pipeline.tables.iter().enumerate() {
            let what = format!("pipeline {name}: table {}", table.name);
            report(what, target(&loaded.settings, table, program, index));
        }
    }
    if missing == 0 { Exit::Done } else { Exit::Unavailable }
}

/// Actors that will have nothing to do.
fn notes(pipeline: &Pipeline) -> Vec<String> {
    let actors = pipeline.actors;
    let partitions = pipeline.topic.partitions as usize;
    let mut notes = Vec::new();
    for (kind, count) in [
        ("consumers", actors.consumers),
        ("transformers", actors.transformers),
        ("writers", actors.writers),
    ] {
        if count > partitions {
            notes.push(format!(
                "{count} {kind} share {partitions} partitions: {} will idle",
                count - partitions
            ));
        }
    }
    if let Source::Http(source) = &pipeline.source {
        let shards = crate::api::shards(&source.shards).len();
        for (kind, count) in [("fetchers", actors.fetchers), ("producers", actors.producers)] {
            if count > shards {
                notes.push(format!(
                    "{count} {kind} share {shards} shard(s): {} will idle",
                    count - shards
                ));
            }
        }
    }
    notes
}

fn postgres(settings: &Settings) -> Result<String, BoxError> {
    let PostgresUrl::Url(url) = &settings.postgres.url else {
        return Ok("embedded, started with the daemon".into());
    };
    let session = Session::connect(
        &ConnectInfo::new(url.clone(), settings.postgres.synchronous_commit),
        "check",
    )?;
    Ok(format!("version {}", session.server_version() / 10_000))
}

async fn api(pipeline: &Pipeline, log: &Logger) -> Result<String, BoxError> {
    if let Source::Exec(settings) = &pipeline.source {
        return Ok(ExecSource::new(settings, pipeline.batch, log.clone())
            .try_once()
            .await?);
    }
    let Source::Http(settings) = &pipeline.source else {
        return Ok("none: others fill the topic".into());
    };
    let source = HttpSource::new(settings, log.clone())?;
    let Some(shard) = source.shards().into_iter().next() else {
        return Ok("no shards".into());
    };
    let Next::Request(request) = source.plan(&shard, None, chrono::Utc::now().timestamp_millis())? else {
        return Ok("nothing to fetch".into());
    };
    let mut first_error = None;
    let mut hear = |attempt: Attempt<'_>| {
        if let Attempt::Waiting { error, .. } = attempt {
            first_error.get_or_insert_with(|| chain(error));
        }
    };
    let limit = settings.timeout * 2;
    match tokio::time::timeout(limit, source.fetch(&shard, &request, &mut hear)).await {
        Ok(fetched) => Ok(format!("the first page has {} records", fetched?.records.len())),
        Err(_) => Err(first_error
            .unwrap_or_else(|| format!("no answer within {limit:?}"))
            .into()),
    }
}

fn topic(settings: &Settings, pipeline: &Pipeline, log: &Logger) -> Result<String, BoxError> {
    let Brokers::Hosts(brokers) = &settings.kafka.brokers else {
        return Ok("embedded".into());
    };
    let kafka: Arc<dyn Log> = Arc::new(KafkaLog::new(brokers, &settings.kafka.properties, log.clone())?);
    let spec = TopicSpec {
        pipeline: pipeline.name.clone(),
        topic: pipeline.topic.name.clone(),
        num_partitions: i32::try_from(pipeline.topic.partitions)?,
        replication: i32::try_from(pipeline.topic.replication)?,
        shards: Default::default(),
    };
    let inspector = kafka.inspector(&spec)?;
    let id = match inspector.topic_id() {
        // A topic that is not there is made by the first run.
        Err(LogError::Mismatch { problem, .. }) => {
            return Ok(format!("topic {}: {problem}; it will be created", spec.topic));
        }
        found => found?,
    };
    let partitions = inspector.num_partitions()?;
    Ok(format!(
        "topic {} is there: {partitions} partitions, identity {id}",
        spec.topic
    ))
}

fn target(settings: &Settings, table: &Table, program: &Program, index: usize) -> Result<String, BoxError> {
    let PostgresUrl::Url(url) = &settings.postgres.url else {
        return Ok("checked when the daemon starts".into());
    };
    let mut session = Session::connect(
        &ConnectInfo::new(url.clone(), settings.postgres.synchronous_commit),
        "check",
    )?;
    let schema = program.output(index);
    if table.create && Target::read(&mut session, &table.name)?.is_none() {
        let statement = creation(&mut session, table, &schema)?;
        return Ok(format!("not there yet; the first batch will run {statement}"));
    }
    let spec = TableSpec {
        table: table.clone(),
        schema,
    };
    // Reads the table, and makes at most a temporary one.
    Loader::new(vec![spec]).prepare(&mut session)?;
    Ok("takes what the query yields".into())
}
