//! `aqueduct dead-letters`: looks at what could not be loaded, loads it again, or gives it up.
//!
//! It asks PostgreSQL itself and needs no daemon: the pipeline may be parked because of these very letters.

use comfy_table::{Table, presets};
use serde_json::{Value, json};
use slog::Logger;

use super::args::{ConfigFile, LettersAction, LettersFilter};
use crate::{
    config::settings::{PostgresUrl, Settings},
    daemon::{Program, Replayed, replay},
    service::{Exit, ledger::thousands},
    store::{
        ConnectInfo, Session,
        dead_letters::{self, DeadLetter, Filter},
        embedded::{EmbeddedPostgres, Server},
    },
    supervision::{BoxError, chain},
};

/// A reason is cut to this many characters in a list.
const REASON_CHARS: usize = 100;

/// The config file of an action.
pub(super) fn file(action: &LettersAction) -> &ConfigFile {
    match action {
        LettersAction::List { file, .. }
        | LettersAction::Show { file, .. }
        | LettersAction::Replay { file, .. }
        | LettersAction::Purge { file, .. } => file,
    }
}

/// Whether an action needs the pipelines' SQL.
pub(super) fn runs_sql(action: &LettersAction) -> bool {
    matches!(action, LettersAction::Replay { .. })
}

/// Why an action was not done.
enum Refusal {
    /// The command line asks for what cannot be.
    Usage(String),
    /// Something is not there.
    Failed(BoxError),
}

impl<E: Into<BoxError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Does what is asked for. Blocks; nothing else runs on this thread.
pub async fn dead_letters(settings: &Settings, programs: &[Program], action: &LettersAction, log: &Logger) -> Exit {
    match act(settings, programs, action, log) {
        Ok(said) => {
            println!("{said}");
            Exit::Done
        }
        Err(Refusal::Usage(what)) => {
            eprintln!("{what}");
            Exit::BadConfig
        }
        Err(Refusal::Failed(error)) => {
            eprintln!("dead-letters: {}", chain(error.as_ref()));
            Exit::Unavailable
        }
    }
}

fn act(settings: &Settings, programs: &[Program], action: &LettersAction, log: &Logger) -> Result<String, Refusal> {
    match action {
        LettersAction::List { which, limit, json, .. } => {
            let (filter, store) = (chosen(settings, which)?, Store::open(settings, log)?);
            list(&mut store.session()?, &filter, *limit, *json)
        }
        LettersAction::Show { id, json, .. } => {
            let store = Store::open(settings, log)?;
            match dead_letters::get(&mut store.session()?, *id)? {
                Some(letter) if *json => Ok(format!("{:#}", whole(&letter))),
                Some(letter) => Ok(shown(&letter)),
                None => Err(Refusal::Failed(
                    format!("there is no dead letter {id}: it was replayed or purged, or `list` shows its number")
                        .into(),
                )),
            }
        }
        LettersAction::Replay {
            which,
            all,
            overwrite,
            json,
            ..
        } => {
            let filter = chosen(settings, which)?;
            some_are_chosen("replay", &filter, *all)?;
            let store = Store::open(settings, log)?;
            let replayed = replay_all(settings, programs, &store, &filter, *overwrite)?;
            Ok(match json {
                true => format!("{:#}", replayed_json(&replayed)),
                false => replayed_text(&replayed),
            })
        }
        LettersAction::Purge {
            which, all, yes, json, ..
        } => {
            let filter = chosen(settings, which)?;
            some_are_chosen("purge", &filter, *all)?;
            let store = Store::open(settings, log)?;
            let session = &mut store.session()?;
            if !yes {
                let total = dead_letters::total(session, &filter)?;
                return Err(Refusal::Usage(format!(
                    "this would remove {} dead letter(s) for good; their records would count as skipped. Add --yes to do it",
                    thousands(total)
                )));
            }
            let purged = dead_letters::purge(session, &filter)?;
            Ok(match json {
                true => format!("{:#}", json!({ "purged": purged })),
                false => format!(
                    "{} dead letter(s) purged; their records count as skipped now",
                    thousands(purged)
                ),
            })
        }
    }
}

/// The letters that are meant; a pipeline that is not in the file may still have some.
fn chosen(settings: &Settings, which: &LettersFilter) -> Result<Filter, Refusal> {
    if let (Some(since), Some(until)) = (which.since, which.until)
        && since >= until
    {
        return Err(Refusal::Usage(format!(
            "--since {since} is not before --until {until}: no dead letter can be meant"
        )));
    }
    if let Some(name) = &which.pipeline
        && settings.pipelines.iter().all(|pipeline| *pipeline.name != **name)
    {
        eprintln!("note: the configuration has no pipeline {name:?}; dead letters of an earlier one may be there");
    }
    let LettersFilter {
        ids,
        pipeline,
        reason,
        stage,
        since,
        until,
    } = which.clone();
    Ok(Filter {
        ids,
        pipeline,
        stage,
        reason,
        since,
        until,
    })
}

fn some_are_chosen(action: &str, filter: &Filter, all: bool) -> Result<(), Refusal> {
    if filter.is_everything() && !all {
        return Err(Refusal::Usage(format!(
            "say which dead letters to {action}: --id, --pipeline, --reason, --stage, --since, --until, or --all"
        )));
    }
    Ok(())
}

/// PostgreSQL: the given one, the embedded one that a daemon runs, or the embedded one started for this command.
struct Store {
    info: ConnectInfo,
    _server: Option<EmbeddedPostgres>,
}

impl Store {
    fn open(settings: &Settings, log: &Logger) -> Result<Self, BoxError> {
        let folder = settings.daemon.state_dir.join("postgres");
        let (url, server) = match &settings.postgres.url {
            PostgresUrl::Url(url) => (url.clone(), None),
            PostgresUrl::Embedded => match Server::running_in(&folder) {
                Some(url) => (url, None),
                None => {
                    let server = EmbeddedPostgres::start(&folder, log)?;
                    (server.url(), Some(server))
                }
            },
        };
        let info = ConnectInfo::new(url, settings.postgres.synchronous_commit);
        if settings.postgres.migrate {
            crate::store::migrate(&info, None)?;
        }
        Ok(Self { info, _server: server })
    }

    fn session(&self) -> Result<Session, BoxError> {
        Ok(Session::connect(&self.info, "dead-letters")?)
    }
}

fn replay_all(
    settings: &Settings,
    programs: &[Program],
    store: &Store,
    filter: &Filter,
    overwrite: bool,
) -> Result<Vec<(String, Replayed)>, BoxError> {
    let mut replayed = Vec::new();
    for (pipeline, program) in settings.pipelines.iter().zip(programs) {
        if filter.pipeline.as_deref().is_some_and(|name| name != &*pipeline.name) {
            continue;
        }
        let done = replay(pipeline, program, &store.info, filter, overwrite)
            .map_err(|error| format!("pipeline {}: {}", pipeline.name, chain(&error)))?;
        replayed.push((pipeline.name.to_string(), done));
    }
    Ok(replayed)
}

fn list(session: &mut Session, filter: &Filter, limit: u32, as_json: bool) -> Result<String, Refusal> {
    let letters = dead_letters::list(session, filter, i64::from(limit))?;
    if as_json {
        let letters: Vec<Value> = letters.iter().map(head).collect();
        return Ok(format!("{:#}", Value::from(letters)));
    }
    let total = dead_letters::total(session, filter)?;
    if total == 0 {
        return Ok("no dead letters".to_owned());
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header([
        "id",
        "pipeline",
        "position",
        "stage",
        "table",
        "tries",
        "refused at",
        "reason",
    ]);
    for letter in &letters {
        table.add_row([
            letter.id.to_string(),
            letter.key.pipeline.to_string(),
            position(letter),
            letter.stage.clone(),
            letter.table.clone().unwrap_or_else(|| "-".into()),
            letter.attempts.to_string(),
            time(letter),
            cut(&letter.reason),
        ]);
    }
    let shown = letters.len() as u64;
    let rest = if shown < total {
        format!(
            "\n{} of {} dead letters; --limit shows more",
            thousands(shown),
            thousands(total)
        )
    } else {
        String::new()
    };
    Ok(format!("{table}{rest}"))
}

fn position(letter: &DeadLetter) -> String {
    format!(
        "{}[{}]@{}",
        letter.key.topic, letter.key.partition, letter.record.offset
    )
}

fn time(letter: &DeadLetter) -> String {
    letter.failed_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn cut(reason: &str) -> String {
    match reason.char_indices().nth(REASON_CHARS) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}

fn head(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id,
        "pipeline": &*letter.key.pipeline,
        "topic": &*letter.key.topic,
        "topic_id": letter.topic_id.to_string(),
        "partition": letter.key.partition,
        "offset": letter.record.offset,
        "stage": letter.stage,
        "reason": letter.reason,
        "sqlstate": letter.sqlstate,
        "table": letter.table,
        "attempts": letter.attempts,
        "failed_at": time(letter),
        "payload_bytes": letter.payload_bytes,
    })
}

fn whole(letter: &DeadLetter) -> Value {
    let mut value = head(letter);
    let headers = letter.record.headers.iter();
    let headers: Vec<Value> = headers
        .map(|header| json!({ "name": header.name, "value": header.value.as_deref().map(readable) }))
        .collect();
    value["key"] = letter.record.key.as_deref().map(readable).into();
    value["timestamp_ms"] = letter.record.timestamp_ms.into();
    value["headers"] = headers.into();
    value["payload"] = letter.record.value.as_deref().map(readable).into();
    value
}

/// Text as it is; other bytes as `\x…`, the way PostgreSQL shows them.
fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\\x{hex}")
        }
    }
}

fn shown(letter: &DeadLetter) -> String {
    let or_none = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let mut lines = vec![
        ("dead letter", letter.id.to_string()),
        ("pipeline", letter.key.pipeline.to_string()),
        ("position", position(letter)),
        ("topic's identity", letter.topic_id.to_string()),
        ("stage", letter.stage.clone()),
        ("reason", letter.reason.clone()),
        ("table", or_none(letter.table.as_deref())),
        ("tries", letter.attempts.to_string()),
        ("refused at", time(letter)),
        ("key", letter.record.key.as_deref().map_or_else(|| "-".into(), readable)),
    ];
    for header in &letter.record.headers {
        let value = header.value.as_deref().map_or_else(|| "-".into(), readable);
        lines.push(("header", format!("{}: {value}", header.name)));
    }
    let payload = letter.record.value.as_deref();
    lines.push(("payload", payload.map_or_else(|| "none (a tombstone)".into(), readable)));
    let lines: Vec<String> = lines.iter().map(|(name, text)| format!("{name:17} {text}")).collect();
    lines.join("\n")
}

fn replayed_text(replayed: &[(String, Replayed)]) -> String {
    let mut lines = Vec::new();
    for (name, done) in replayed {
        lines.push(format!(
            "pipeline {name}: {} applied, {} filtered, {} still dead",
            thousands(done.applied),
            thousands(done.filtered),
            thousands(done.dead)
        ));
        let rows = done.rows;
        if done.applied > 0 {
            lines.push(format!(
                "  rows: {} inserted, {} updated, {} unchanged, {} superseded",
                thousands(rows.inserted),
                thousands(rows.updated),
                thousands(rows.unchanged),
                thousands(rows.superseded)
            ));
        }
        if rows.superseded > 0 {
            lines.push(
                "  superseded: a row of that key is there, and it may be the newer one; order_by or --overwrite decide \
                 otherwise"
                    .to_owned(),
            );
        }
        for refused in &done.refused {
            lines.push(format!("  {}: {}", refused.position, cut(&refused.reason)));
        }
    }
    lines.join("\n")
}

fn replayed_json(replayed: &[(String, Replayed)]) -> Value {
    let one = |(name, done): &(String, Replayed)| {
        json!({
            "pipeline": name,
            "applied": done.applied,
            "filtered": done.filtered,
            "dead": done.dead,
            "rows": done.rows,
        })
    };
    replayed.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_any_bytes_can_be_read() {
        assert_eq!(readable(b"{\"a\":1}"), "{\"a\":1}");
        assert_eq!(readable(&[0xff, 0x00]), "\\xff00");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let cut = cut(&"é".repeat(200));
        assert_eq!(cut.chars().count(), REASON_CHARS + 1);
    }

    #[test]
    fn nothing_is_replayed_or_purged_without_a_choice() {
        assert!(some_are_chosen("purge", &Filter::default(), false).is_err());
        assert!(some_are_chosen("purge", &Filter::default(), true).is_ok());
        let filter = Filter {
            stage: Some("decode".into()),
            ..Filter::default()
        };
        assert!(some_are_chosen("purge", &filter, false).is_ok());
    }
}
