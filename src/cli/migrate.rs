//! `aqueduct migrate`: brings the database up to date, and says with what.

use slog::Logger;

use crate::{
    config::settings::{PostgresUrl, Settings},
    service::Exit,
    store::{ConnectInfo, embedded::EmbeddedPostgres},
    supervision::{BoxError, chain},
};

/// Applies what is missing.
pub async fn migrate(settings: &Settings, log: &Logger) -> Exit {
    match apply(settings, log) {
        Ok(applied) if applied.is_empty() => {
            println!("nothing to do: the database is up to date");
            Exit::Done
        }
        Ok(applied) => {
            applied.iter().for_each(|name| println!("applied {name}"));
            Exit::Done
        }
        Err(error) => {
            eprintln!("cannot migrate: {}", chain(error.as_ref()));
            Exit::Unavailable
        }
    }
}

/// Blocks; nothing else runs on this thread.
fn apply(settings: &Settings, log: &Logger) -> Result<Vec<String>, BoxError> {
    let (url, _server) = match &settings.postgres.url {
        PostgresUrl::Url(url) => (url.clone(), None),
        PostgresUrl::Embedded => {
            let folder = settings.daemon.state_dir.join("postgres");
            let server = EmbeddedPostgres::start_with(&folder, &settings.postgres.programs, log)?;
            (server.url(), Some(server))
        }
    };
    let connect = ConnectInfo::new(url, settings.postgres.synchronous_commit);
    Ok(crate::store::migrate(
        &connect,
        settings.postgres.migrations.as_deref(),
    )?)
}
