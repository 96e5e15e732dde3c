//! The API: one page of it, held against what the pipeline declares. No cursor moves.

use std::collections::BTreeSet;

use serde_json::Value;
use slog::Logger;

use crate::{
    api::{
        ApiError,
        exec::ExecSource,
        http::{Attempt, Fetched, HttpSource},
        pagination::Next,
    },
    config::{
        nearest,
        settings::{self, Pipeline, Source},
    },
    daemon::Program,
    model::{Finding, Verdict, without_values},
    sql::{
        InputRecord, Origin,
        arrow::datatypes::{DataType, Fields},
    },
    supervision::chain,
};

/// So many failed tries are no mishap.
const TRIES: u32 = 3;
/// Records that are looked at one by one.
const SAMPLE: usize = 500;

/// Fetches one page and looks at it.
pub(super) async fn audit(pipeline: &Pipeline, program: &Program, log: &Logger) -> Vec<Finding> {
    let settings = match &pipeline.source {
        Source::Http(settings) => settings,
        Source::Exec(settings) => {
            let program = ExecSource::new(settings, pipeline.batch, log.clone());
            return vec![match program.try_once().await {
                Ok(seen) => Finding::fine("program", seen),
                Err(error) => Finding::bad("program", chain(&error)),
            }];
        }
        Source::None => return vec![Finding::fine("source", "none: others fill the topic")],
    };
    let place = "API";
    match first_page(settings, log).await {
        Ok(Some(page)) => about_page(place, settings, program, &page),
        Ok(None) => vec![Finding::fine(place, "there is nothing to fetch")],
        Err(finding) => vec![finding],
    }
}

async fn first_page(settings: &settings::HttpSource, log: &Logger) -> Result<Option<Fetched>, Finding> {
    let place = "API";
    let failed = |error: ApiError| refused(place, settings, &error);
    let source = HttpSource::new(settings, log.clone()).map_err(failed)?;
    let Some(shard) = source.shards().into_iter().next() else {
        return Ok(None);
    };
    let now_ms = chrono::Utc::now().timestamp_millis();
    let Next::Request(request) = source.plan(&shard, None, now_ms).map_err(failed)? else {
        return Ok(None);
    };
    // The source itself tries for ever; a check wants to know today.
    let enough = tokio::sync::Notify::new();
    let mut seen = None;
    let mut hear = |attempt: Attempt<'_>| {
        if let Attempt::Waiting { error, number, .. } = attempt {
            let is_outage = error.verdict() == Verdict::Retry;
            seen = Some(if is_outage {
                away(place, &chain(error))
            } else {
                refused(place, settings, error)
            });
            if !is_outage || number >= TRIES {
                enough.notify_one();
            }
        }
    };
    let limit = settings.timeout * 2;
    tokio::select! {
        fetched = source.fetch(&shard, &request, &mut hear) => return fetched.map(Some).map_err(failed),
        () = enough.notified() => {}
        () = tokio::time::sleep(limit) => {}
    }
    Err(seen.unwrap_or_else(|| away(place, &format!("no answer within {limit:?}"))))
}

fn away(place: &str, seen: &str) -> Finding {
    Finding::away(place, format!("{seen}; is source.url right, and is the API up?"))
}

fn refused(place: &str, settings: &settings::HttpSource, error: &ApiError) -> Finding {
    let text = chain(error);
    let remedy = match error {
        ApiError::Status { status: 401 | 403, .. } => {
            "; the API wants other credentials: see source.headers and the secrets behind it"
        }
        ApiError::Status {
            status: 404 | 405 | 410,
            ..
        } => "; is the path of source.url right?",
        ApiError::Status { .. } => "; the API does not take this request: see source.url, query and headers",
        ApiError::UndecodablePage { .. } => {
            return Finding::bad(
                place,
                format!(
                    "{text}; source.records is {}: it must lead to the array of records",
                    settings.records_text
                ),
            );
        }
        _ => "",
    };
    Finding::bad(place, format!("{text}{remedy}"))
}

fn about_page(place: &str, settings: &settings::HttpSource, program: &Program, page: &Fetched) -> Vec<Finding> {
    let records = &page.records;
    let total = records.len();
    if total == 0 {
        let text = "answers, and its first page has no record: what it declares could not be held against one";
        return vec![Finding::note(place, text)];
    }
    let mut findings = vec![Finding::fine(place, format!("the first page has {total} record(s)"))];
    let refused: Vec<_> = records.iter().filter_map(|record| record.reject.as_ref()).collect();
    if let Some(first) = refused.first() {
        let text = format!(
            "{} of {total} record(s) of the first page would go to the dead letters at once: {}",
            refused.len(),
            first.reason
        );
        findings.push(if refused.len() == total {
            Finding::bad(place, text)
        } else {
            Finding::note(place, text)
        });
    }
    if let Some(key) = &settings.key_text {
        let without = records
            .iter()
            .filter(|record| record.key.is_none() && record.reject.is_none())
            .count();
        if without > 0 {
            let text = format!("source.key = {key} finds nothing in {without} of {total} record(s)");
            findings.push(if without == total {
                Finding::bad(place, format!("{text}; correct the path, or leave the key out"))
            } else {
                Finding::note(place, format!("{text}: those have no key, and any partition"))
            });
        }
    }
    let sample: Vec<Value> = records
        .iter()
        .filter(|record| record.reject.is_none())
        .take(SAMPLE)
        .filter_map(|record| serde_json::from_slice(&record.payload).ok())
        .collect();
    missing_fields(
        "",
        program.schema().fields(),
        &sample.iter().collect::<Vec<_>>(),
        &mut findings,
    );
    findings.extend(trial(place, program, page));
    findings
}

/// Declared fields that no record has. One that is nearly there is a misspelling; others may be rare.
fn missing_fields(path: &str, declared: &Fields, records: &[&Value], findings: &mut Vec<Finding>) {
    let objects: Vec<_> = records.iter().filter_map(|record| record.as_object()).collect();
    if objects.is_empty() {
        return;
    }
    let present: BTreeSet<&str> = objects
        .iter()
        .flat_map(|object| object.keys().map(String::as_str))
        .collect();
    for field in declared {
        let name = field.name();
        let full = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        if !present.contains(name.as_str()) {
            let spare = present.iter().copied().filter(|other| declared.find(other).is_none());
            let text = format!(
                "the schema declares {full}, which none of {} record(s) has",
                objects.len()
            );
            findings.push(match nearest(name, spare) {
                Some(near) => Finding::bad("schema", format!("{text}; did you mean \"{near}\"?")),
                None if field.is_nullable() => Finding::note(
                    "schema",
                    format!("{text}: it will be NULL; they have {}", listed(&present)),
                ),
                None => Finding::bad(
                    "schema",
                    format!("{text}, and it is NOT NULL; they have {}", listed(&present)),
                ),
            });
            continue;
        }
        if let DataType::Struct(inner) = field.data_type() {
            let values: Vec<&Value> = objects.iter().filter_map(|object| object.get(name)).collect();
            missing_fields(&full, inner, &values, findings);
        }
    }
}

fn listed(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

/// Runs the queries over the page, as the transformer would.
fn trial(place: &str, program: &Program, page: &Fetched) -> Option<Finding> {
    let inputs: Vec<InputRecord<'_>> = page
        .records
        .iter()
        .filter(|record| record.reject.is_none())
        .map(|record| InputRecord {
            key: record.key.as_deref(),
            value: Some(&record.payload),
            offset: 0,
            timestamp_ms: None,
            headers: &[],
        })
        .collect();
    if inputs.is_empty() {
        return None;
    }
    let origin = Origin {
        topic: "check",
        partition: 0,
    };
    let ran = program
        .engine()
        .and_then(|mut engine| futures::executor::block_on(tokio::task::unconstrained(engine.run(origin, &inputs))));
    let transformed = match ran {
        Ok(transformed) => transformed,
        Err(error) => return Some(Finding::bad("SQL", chain(&error))),
    };
    let first = transformed.failures.first()?;
    let text = format!(
        "{} of {} record(s) of the first page do not fit the declared schema or the query: {}",
        transformed.failures.len(),
        inputs.len(),
        without_values(&first.reason)
    );
    Some(if transformed.failures.len() == inputs.len() {
        Finding::bad(place, format!("{text}; correct the schema"))
    } else {
        Finding::note(place, format!("{text}; they would go to the dead letters"))
    })
}
