//! aqueduct's own migrations and the user's, on a real server.

// Helpers of a test may panic like the test.
#![allow(clippy::unwrap_used)]

#[path = "support/postgres.rs"]
mod postgres;

use std::{fs, path::Path};

use aqueduct::{
    model::Verdict,
    store::{self, StoreError},
};
use diesel::{QueryableByName, RunQueryDsl, sql_types::Text};
use postgres::{TestDatabase, TestPostgres};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(database: &TestDatabase, sql: &str) -> Vec<String> {
    let lines: Vec<Line> = diesel::sql_query(sql).load(&mut database.connection()).unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

fn our_migrations() -> Vec<String> {
    let folder = Path::new("migrations");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn user_folder(up: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let migration = folder.path().join("2024-01-01-000000_make_users");
    fs::create_dir(&migration).unwrap();
    fs::write(migration.join("up.sql"), up).unwrap();
    fs::write(migration.join("down.sql"), "DROP TABLE users;").unwrap();
    folder
}

const COLUMNS: &str = "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable) AS line \
                       FROM information_schema.columns WHERE table_schema = 'aqueduct' ORDER BY 1";

#[test]
fn migrations_run_once_and_are_named() {
    let database = TestDatabase::empty();
    let info = database.info();
    assert_eq!(store::pending(&info, None).unwrap(), our_migrations());
    assert_eq!(store::migrate(&info, None).unwrap(), our_migrations());
    assert_eq!(store::migrate(&info, None).unwrap(), Vec::<String>::new());
    assert_eq!(store::pending(&info, None).unwrap(), Vec::<String>::new());
}

#[test]
fn each_migration_can_be_taken_back() {
    let database = TestDatabase::new();
    let before = lines(&database, COLUMNS);
    let redone = store::redo(&database.info()).unwrap();
    assert!(
        our_migrations().last().unwrap().replace('-', "").starts_with(&redone),
        "{redone}"
    );
    assert_eq!(lines(&database, COLUMNS), before);
    // All of them, down to the first one and up again.
    let folder = Path::new("migrations");
    let run = |name: &String, file: &str| {
        database.execute(&fs::read_to_string(folder.join(name).join(file)).unwrap());
    };
    let ours = our_migrations();
    ours.iter().rev().for_each(|name| run(name, "down.sql"));
    assert_ne!(lines(&database, COLUMNS), before);
    ours.iter().for_each(|name| run(name, "up.sql"));
    assert_eq!(lines(&database, COLUMNS), before);
}

#[test]
fn daemons_that_start_at_the_same_moment_migrate_once() {
    let database = TestDatabase::empty();
    let info = &database.info();
    let applied: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| store::migrate(info, None).unwrap()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(applied, our_migrations());
}

#[test]
fn the_users_own_diesel_migrations_are_left_alone_and_run_beside_ours() {
    let database = TestDatabase::empty();
    // As a database looks that diesel's own command line has managed for years, with a version like ours.
    let ours = &our_migrations()[0];
    let version = ours.split('_').next().unwrap().replace('-', "");
    database.execute(&format!(
        "CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY, run_on timestamp DEFAULT now()); \
         INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')"
    ));
    let folder = user_folder("CREATE TABLE users (id int);");
    let applied = store::migrate(&database.info(), Some(folder.path())).unwrap();
    let all = [our_migrations(), vec![String::from("2024-01-01-000000_make_users")]].concat();
    assert_eq!(applied, all);
    let theirs = lines(
        &database,
        "SELECT version AS line FROM public.__diesel_schema_migrations ORDER BY 1",
    );
    assert_eq!(theirs, ["20240101000000", &*version]);
    let ours = lines(
        &database,
        "SELECT version AS line FROM aqueduct.__diesel_schema_migrations ORDER BY 1",
    );
    assert_eq!((ours.len(), &ours[0]), (our_migrations().len(), &version));
    assert_eq!(
        lines(
            &database,
            "SELECT schemaname::text AS line FROM pg_tables WHERE tablename = 'users'"
        ),
        ["public"]
    );
    assert_eq!(
        store::migrate(&database.info(), Some(folder.path())).unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn a_migration_that_fails_is_named_and_rolled_back() {
    let database = TestDatabase::empty();
    let folder = user_folder("CREATE TABLE users (id int); SELECT 1 / 0;");
    let error = store::migrate(&database.info(), Some(folder.path())).unwrap_err();
    assert!(error.to_string().contains("2024-01-01-000000_make_users"), "{error}");
    assert!(error.reason().contains("division by zero"), "{}", error.reason());
    assert_eq!(error.verdict(), Verdict::Fail);
    assert_eq!(
        lines(
            &database,
            "SELECT tablename::text AS line FROM pg_tables WHERE tablename = 'users'"
        )
        .len(),
        0
    );
}

fn add_migration(folder: &tempfile::TempDir, name: &str, up: &str) {
    let migration = folder.path().join(name);
    fs::create_dir(&migration).unwrap();
    fs::write(migration.join("up.sql"), up).unwrap();
    fs::write(migration.join("down.sql"), "SELECT 1").unwrap();
}

#[test]
fn the_users_migrations_run_in_order_and_are_recorded_up_to_the_one_that_fails_whose_file_is_named() {
    let database = TestDatabase::new();
    let folder = user_folder("CREATE TABLE users (id int);");
    add_migration(
        &folder,
        "2024-03-01-000000_break",
        "CREATE TABLE more (id int); ALTER TABLE nobody ADD x int;",
    );
    add_migration(
        &folder,
        "2024-02-01-000000_add_name",
        "ALTER TABLE users ADD name text;",
    );
    add_migration(&folder, "2024-04-01-000000_last", "ALTER TABLE more ADD name text;");
    let error = store::migrate(&database.info(), Some(folder.path())).unwrap_err();
    let file = folder.path().join("2024-03-01-000000_break/up.sql");
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    assert!(
        error.reason().contains("relation \"nobody\" does not exist"),
        "{}",
        error.reason()
    );
    let recorded = "SELECT version AS line FROM public.__diesel_schema_migrations ORDER BY 1";
    assert_eq!(lines(&database, recorded), ["20240101000000", "20240201000000"]);
    assert_eq!(
        store::pending(&database.info(), Some(folder.path())).unwrap(),
        ["2024-03-01-000000_break", "2024-04-01-000000_last"]
    );
    // Mended, it goes on from there.
    fs::write(&file, "CREATE TABLE more (id int);").unwrap();
    let applied = store::migrate(&database.info(), Some(folder.path())).unwrap();
    assert_eq!(applied, ["2024-03-01-000000_break", "2024-04-01-000000_last"]);
    let columns = "SELECT concat_ws('.', table_name, column_name) AS line FROM information_schema.columns \
                   WHERE table_name IN ('users', 'more') ORDER BY 1";
    assert_eq!(
        lines(&database, columns),
        ["more.id", "more.name", "users.id", "users.name"]
    );
}

#[test]
fn a_folder_that_is_not_there_is_named_before_anything_is_done() {
    let database = TestDatabase::empty();
    let error = store::migrate(&database.info(), Some(Path::new("/nowhere/migrations"))).unwrap_err();
    assert!(
        matches!(&error, StoreError::Mismatch { problem, .. } if problem.contains("/nowhere/migrations")),
        "{error}"
    );
    assert_eq!(lines(&database, COLUMNS).len(), 0);
}

#[test]
fn a_role_that_may_not_make_schemas_can_use_one_that_is_there() {
    let database = TestDatabase::empty();
    let role = format!("{}_role", database.name);
    database.execute(&format!(
        "CREATE ROLE {role}; CREATE SCHEMA aqueduct AUTHORIZATION {role}"
    ));
    let url = database.url().expose().to_owned();
    let url = format!(
        "{url}{}options=-c%20role%3D{role}",
        if url.contains('?') { '&' } else { '?' }
    );
    let info = store::ConnectInfo::new(aqueduct::config::settings::Secret::new(url), true);
    assert_eq!(store::migrate(&info, None).unwrap(), our_migrations());
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn every_table_and_column_says_what_it_is_for() {
    let database = TestDatabase::new();
    let silent = lines(
        &database,
        "SELECT concat_ws('.', class.relname, attribute.attname) AS line FROM pg_class AS class \
         JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid AND attribute.attnum >= 0 \
         WHERE class.relnamespace = 'aqueduct'::regnamespace AND class.relkind = 'r' \
         AND class.relname <> '__diesel_schema_migrations' AND NOT attribute.attisdropped AND \
         (col_description(class.oid, attribute.attnum) IS NULL OR obj_description(class.oid, 'pg_class') IS NULL)",
    );
    assert_eq!(silent, Vec::<String>::new());
}

/// What `diesel print-schema` would say, without the program: CI need not install it.
#[test]
fn schema_rs_is_what_the_migrations_make() {
    let database = TestDatabase::new();
    let printed = lines(
        &database,
        "SELECT concat(table_name, '.', column_name, ' -> ', CASE is_nullable WHEN 'YES' THEN 'Nullable<' END, \
         initcap(CASE WHEN data_type = 'text' THEN 'text' ELSE udt_name END), CASE is_nullable WHEN 'YES' THEN '>' END) \
         AS line FROM information_schema.columns \
         WHERE table_schema = 'aqueduct' AND table_name <> '__diesel_schema_migrations' ORDER BY table_name, ordinal_position",
    );
    let mut table = "";
    let mut declared = Vec::new();
    for line in include_str!("../src/store/schema.rs").lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("aqueduct.") {
            table = rest.split(' ').next().unwrap();
        } else if line.contains(" -> ") {
            declared.push(format!("{table}.{}", line.trim_end_matches(',')));
        }
    }
    assert_eq!(declared, printed);
}

/// `"$user"` stands first in PostgreSQL's search path.
#[test]
fn a_role_called_aqueduct_does_not_mix_the_users_tables_with_ours() {
    let server = TestPostgres::private();
    let database = server.database();
    database.execute(&format!(
        "CREATE ROLE aqueduct LOGIN; GRANT ALL ON DATABASE {} TO aqueduct; GRANT ALL ON SCHEMA public TO aqueduct",
        database.name
    ));
    let url = database.url().expose().replace("user=postgres", "user=aqueduct");
    let info = store::ConnectInfo::new(aqueduct::config::settings::Secret::new(url), true);
    let folder = user_folder("CREATE TABLE users (id int);");
    let applied = store::migrate(&info, Some(folder.path())).unwrap();
    assert_eq!(
        applied,
        [our_migrations(), vec![String::from("2024-01-01-000000_make_users")]].concat()
    );
    let owners = "SELECT schemaname || '.' || tablename AS line FROM pg_tables WHERE tablename = 'users' \
                  OR tablename = '__diesel_schema_migrations' ORDER BY 1";
    let expected = [
        "aqueduct.__diesel_schema_migrations",
        "public.__diesel_schema_migrations",
        "public.users",
    ];
    assert_eq!(lines(&database, owners), expected);
}
