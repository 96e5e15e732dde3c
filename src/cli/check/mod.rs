//! `aqueduct check`: says everything that is wrong before anything runs; `--live` also asks the API, the log and
//! PostgreSQL. One file a dependency.

mod api;
mod kafka;
mod postgres;

use slog::Logger;

use crate::{
    config::{
        Loaded,
        settings::{Pipeline, Source},
    },
    daemon::Program,
    model::{Finding, Health},
    service::Exit,
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
    if live {
        ask_around(loaded, programs, log).await
    } else {
        Exit::Done
    }
}

/// All findings are printed before anything is decided. What has to be changed outweighs what only does not answer.
async fn ask_around(loaded: &Loaded, programs: &[Program], log: &Logger) -> Exit {
    let settings = &loaded.settings;
    let mut worst = Health::Fine;
    let mut report = |pipeline: Option<&Pipeline>, findings: Vec<Finding>| {
        for finding in findings {
            println!("{}", line(pipeline, &finding));
            worst = worst.max(finding.health);
        }
    };
    let mut session = match postgres::connect(settings) {
        Ok(session) => Some(session),
        Err(finding) => {
            report(None, vec![finding]);
            None
        }
    };
    if let Some(session) = &mut session {
        report(None, postgres::server(settings, session));
    }
    for (pipeline, program) in settings.pipelines.iter().zip(programs) {
        report(Some(pipeline), api::audit(pipeline, program, log).await);
        report(Some(pipeline), kafka::audit(settings, pipeline, log));
        if let Some(session) = &mut session {
            report(Some(pipeline), postgres::tables(session, pipeline, program));
        }
    }
    match worst {
        Health::Fine | Health::Note => Exit::Done,
        Health::Away => Exit::Unavailable,
        Health::Bad => Exit::BadConfig,
    }
}

fn line(pipeline: Option<&Pipeline>, Finding { health, place, text }: &Finding) -> String {
    let kind = match health {
        Health::Fine => "ok",
        Health::Note => "note",
        Health::Away | Health::Bad => "PROBLEM",
    };
    // libpq's texts have several lines.
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    match pipeline {
        Some(pipeline) => format!("{kind}: pipeline {}: {place}: {text}", pipeline.name),
        None => format!("{kind}: {place}: {text}"),
    }
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
