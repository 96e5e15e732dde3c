//! `aqueduct dead-letters`: looks at what could not be loaded, loads it again, or gives it up.
//!
//! It asks PostgreSQL itself and needs no daemon: the pipeline may be parked because of these very letters.

mod print;

use serde_json::{Value, json};
use slog::Logger;

use super::args::{ConfigFile, LettersAction, LettersFilter};
use crate::{
    config::settings::{PostgresUrl, Settings},
    daemon::{Program, Replayed, replay},
    service::{Exit, ledger::thousands},
    store::{
        ConnectInfo, Session,
        dead_letters::{self, Filter},
        embedded::{EmbeddedPostgres, Server},
    },
    supervision::{BoxError, chain},
};

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
                Some(letter) if *json => Ok(format!("{:#}", print::whole(&letter))),
                Some(letter) => Ok(print::shown(&letter)),
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
                true => format!("{:#}", print::replayed_json(&replayed)),
                false => print::replayed_text(&replayed),
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
        let letters: Vec<Value> = letters.iter().map(print::head).collect();
        return Ok(format!("{:#}", Value::from(letters)));
    }
    match dead_letters::total(session, filter)? {
        0 => Ok("no dead letters".to_owned()),
        total => Ok(print::table(&letters, total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
