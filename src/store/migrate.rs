//! Brings the database to the form that this binary needs, and runs the user's own migrations.

use std::path::Path;

use diesel::{
    QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    migration::{Migration, MigrationSource},
    pg::Pg,
    sql_types::{Bool, Text},
};
use diesel_migrations::{EmbeddedMigrations, FileBasedMigrations, MigrationHarness, embed_migrations};

use super::{ConnectInfo, ServerError, Session, StoreError};

/// aqueduct's own migrations.
pub(super) const OURS: EmbeddedMigrations = embed_migrations!("migrations");

/// `aqueduct` in ASCII: one number for all migrators of a database.
const ADVISORY_LOCK: i64 = i64::from_be_bytes(*b"aqueduct");

/// How long one migrator waits for another.
const WAIT_FOR_OTHERS: &str = "10min";

type BoxedMigration = Box<dyn Migration<Pg>>;

/// Runs what has not been run yet, aqueduct's own migrations first, then those of `user_folder` (diesel's layout), each in
/// its own transaction; returns their names. Any number of daemons may call it at once: an advisory lock puts them in line.
///
/// aqueduct's list of migrations is `aqueduct.__diesel_schema_migrations`; the user's is `__diesel_schema_migrations` in
/// their own search path, so a database that diesel already manages stays as it is.
pub fn migrate(info: &ConnectInfo, user_folder: Option<&Path>) -> Result<Vec<String>, StoreError> {
    // Read first: a folder that cannot be read must not leave half of the work done.
    let theirs = user_folder.map(|folder| user_migrations(info, folder)).transpose()?;
    in_line(info, |session| {
        let mut applied = with_own_path(session, |session| run(session, OURS))?;
        if let Some(theirs) = theirs {
            applied.extend(run(session, theirs).map_err(|error| within(user_folder, error))?);
        }
        Ok(applied)
    })
}

/// The names of the migrations that [`migrate`] would run; changes nothing but an empty list of migrations.
pub fn pending(info: &ConnectInfo, user_folder: Option<&Path>) -> Result<Vec<String>, StoreError> {
    let theirs = user_folder.map(|folder| user_migrations(info, folder)).transpose()?;
    in_line(info, |session| {
        let mut names = with_own_path(session, |session| Ok(names(&find_pending(session, OURS)?)))?;
        if let Some(theirs) = theirs {
            names.extend(self::names(&find_pending(session, theirs)?));
        }
        Ok(names)
    })
}

/// Takes back aqueduct's last migration and runs it again: the proof that `down.sql` is right. Loses what the tables hold.
pub fn redo(info: &ConnectInfo) -> Result<String, StoreError> {
    in_line(info, |session| {
        with_own_path(session, |session| {
            let reverted = session
                .conn()
                .revert_last_migration(OURS)
                .map(|version| version.to_string());
            let version = reverted.map_err(|error| failed(session, "revert", error))?;
            run(session, OURS)?;
            Ok(version)
        })
    })
}

fn user_migrations(info: &ConnectInfo, folder: &Path) -> Result<FileBasedMigrations, StoreError> {
    FileBasedMigrations::from_path(folder).map_err(|error| StoreError::Mismatch {
        place: info.place().to_owned(),
        problem: format!("the migrations in {} cannot be used: {error}", folder.display()),
    })
}

/// One session, one migrator at a time. The lock ends with the session, however that ends.
fn in_line<T>(info: &ConnectInfo, work: impl FnOnce(&mut Session) -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut session = Session::connect(info, "migrate")?;
    let wait = format!(
        "SET lock_timeout = '{WAIT_FOR_OTHERS}'; SET statement_timeout = 0; SELECT pg_advisory_lock({ADVISORY_LOCK}); \
         SET lock_timeout = {}",
        info.limits.lock.as_millis(),
    );
    let place = info.place();
    session
        .conn()
        .batch_execute(&wait)
        .map_err(|error| session.keep_failed("wait for other migrators", place, error))?;
    work(&mut session)
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

#[derive(QueryableByName)]
struct SearchPath {
    #[diesel(sql_type = Text)]
    path: String,
}

fn set_search_path(session: &mut Session, path: &str) -> diesel::QueryResult<()> {
    let set = diesel::sql_query("SELECT set_config('search_path', $1, false) AS path").bind::<Text, _>(path);
    set.get_result::<SearchPath>(session.conn()).map(|_| ())
}

fn with_own_path<T>(
    session: &mut Session,
    work: impl FnOnce(&mut Session) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let place = session.place().to_owned();
    let mut prepare = || -> diesel::QueryResult<String> {
        // Not IF NOT EXISTS: that asks for the right to create schemas even where there is nothing to create.
        let found = diesel::sql_query("SELECT to_regnamespace('aqueduct') IS NOT NULL AS found")
            .get_result::<Found>(session.conn())?;
        if !found.found {
            session.conn().batch_execute("CREATE SCHEMA aqueduct")?;
        }
        let usual: SearchPath =
            diesel::sql_query("SELECT current_setting('search_path') AS path").get_result(session.conn())?;
        set_search_path(session, "aqueduct")?;
        Ok(usual.path)
    };
    let usual = prepare().map_err(|error| session.keep_failed("make schema aqueduct", &place, error))?;
    let outcome = work(session);
    match (outcome, set_search_path(session, &usual)) {
        (Ok(done), Ok(())) => Ok(done),
        (Err(error), _) => Err(error),
        (Ok(_), Err(error)) => Err(session.keep_failed("restore search path", &place, error)),
    }
}

fn find_pending(session: &mut Session, source: impl MigrationSource<Pg>) -> Result<Vec<BoxedMigration>, StoreError> {
    session
        .conn()
        .pending_migrations(source)
        .map_err(|error| failed(session, "list", error))
}

fn run(session: &mut Session, source: impl MigrationSource<Pg>) -> Result<Vec<String>, StoreError> {
    let pending = find_pending(session, source)?;
    for migration in &pending {
        let name = migration.name().to_string();
        session
            .conn()
            .run_migration(migration)
            .map_err(|error| failed(session, &name, error))?;
    }
    Ok(names(&pending))
}

/// Says in which file the user finds the statement that failed.
fn within(folder: Option<&Path>, error: StoreError) -> StoreError {
    match (folder, error) {
        (Some(folder), StoreError::Migrate { name, place, source }) => StoreError::Migrate {
            name: folder.join(name).join("up.sql").display().to_string(),
            place,
            source,
        },
        (_, error) => error,
    }
}

fn names(migrations: &[BoxedMigration]) -> Vec<String> {
    migrations
        .iter()
        .map(|migration| migration.name().to_string())
        .collect()
}

/// diesel wraps a migration's error in a type that it does not export: its text is what there is.
fn failed(session: &Session, name: &str, error: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    let source = match error.downcast::<diesel::result::Error>() {
        Ok(error) => ServerError::from(*error),
        Err(error) => ServerError::local(error.to_string()),
    };
    StoreError::Migrate {
        name: name.to_owned(),
        place: session.place().to_owned(),
        source: Box::new(source),
    }
}
