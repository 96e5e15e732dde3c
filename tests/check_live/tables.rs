//! PostgreSQL: grants, tables, types, keys, triggers.

use diesel::{Connection, PgConnection, connection::SimpleConnection};

use crate::{
    Said, check,
    kafka::unique,
    loading,
    postgres::{TestDatabase, TestPostgres},
};

/// A database with aqueduct's tables, and a user who owns nothing.
struct Stranger {
    database: TestDatabase,
    role: String,
}

impl Stranger {
    fn new(sql: &str) -> Self {
        let database = TestDatabase::new();
        let role = unique("stranger").replace('-', "_");
        database.execute(&format!("CREATE ROLE {role}; {}", sql.replace("stranger", &role)));
        Self { database, role }
    }

    /// The address, as the server's own user who becomes the stranger.
    fn url(&self) -> String {
        let url = self.database.url();
        let sign = if url.expose().contains('?') { '&' } else { '?' };
        format!("{}{sign}options=-c%20role%3D{}", url.expose(), self.role)
    }

    fn check(&self, more: &str, pipelines: &str) -> Said {
        let mut said = check(&format!("[postgres]\nurl = \"{}\"\n{more}\n{pipelines}", self.url()));
        said.text = said.text.replace(&self.role, "stranger");
        said
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if let Ok(mut connection) = PgConnection::establish(self.database.url().expose()) {
            let _ = connection.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}", role = self.role));
        }
    }
}

const ALL_OF_AQUEDUCT: &str =
    "GRANT USAGE ON SCHEMA aqueduct TO stranger; GRANT ALL ON ALL TABLES IN SCHEMA aqueduct TO stranger; ";

fn owned(database: &TestDatabase, pipelines: &str) -> Said {
    check(&format!(
        "[postgres]\nurl = \"{}\"\n{pipelines}",
        database.url().expose()
    ))
}

#[test]
fn what_is_as_it_should_be_is_said_and_ends_with_0() {
    let database = TestDatabase::new();
    database.execute("CREATE TABLE people (id bigint PRIMARY KEY, name text, at timestamptz)");
    let said = owned(
        &database,
        &loading("p", "name = \"people\"\nmode = \"upsert\"\nkey = [\"id\"]"),
    );
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(
        said.text
            .contains("ok: pipeline p: table people: takes what the query yields"),
        "{}",
        said.text
    );
}

#[test]
fn each_missing_grant_is_named_with_the_statement_that_gives_it() {
    let stranger = Stranger::new(
        "GRANT USAGE ON SCHEMA aqueduct TO stranger; GRANT SELECT, INSERT ON aqueduct.offsets, aqueduct.dead_letters TO stranger; \
         CREATE TABLE people (id bigint PRIMARY KEY, name text, at timestamptz); GRANT INSERT (id, name) ON people TO stranger; \
         CREATE TABLE log (n bigserial, id bigint, name text, at timestamptz); GRANT INSERT ON log TO stranger; \
         CREATE SCHEMA closed; CREATE TABLE closed.t (id bigint)",
    );
    let said = stranger.check(
        "",
        &[
            loading("p", "name = \"people\"\nmode = \"upsert\"\nkey = [\"id\"]"),
            loading("q", "name = \"log\"\nmode = \"append\""),
            loading("r", "name = \"closed.t\"\nmode = \"append\""),
        ]
        .concat(),
    );
    assert_eq!(said.code, Some(64), "{}", said.text);
    said.has_problem(&["table aqueduct.offsets", "GRANT UPDATE ON aqueduct.offsets TO stranger"]);
    said.has_problem(&["table aqueduct.row_counts", "INSERT, SELECT, UPDATE"]);
    said.has_problem(&[
        "pipeline p: table people",
        "INSERT on at",
        "SELECT on id, name, at",
        "UPDATE",
        "GRANT",
    ]);
    said.has_problem(&["pipeline q: table log", "GRANT USAGE ON SEQUENCE", "log_n_seq"]);
    said.has_problem(&["pipeline r: table closed.t", "GRANT USAGE ON SCHEMA closed TO stranger"]);
    assert!(
        !said.text.contains("aqueduct.dead_letters"),
        "that one is as it should be: {}",
        said.text
    );
}

#[test]
fn a_user_who_may_not_create_what_the_first_run_would_create_is_told() {
    let database = TestDatabase::empty();
    let role = unique("stranger").replace('-', "_");
    database.execute(&format!(
        "CREATE ROLE {role}; REVOKE CREATE ON SCHEMA public FROM public"
    ));
    let stranger = Stranger { database, role };
    let said = stranger.check("", &loading("p", "name = \"people\"\nmode = \"append\"\ncreate = true"));
    assert_eq!(said.code, Some(64), "{}", said.text);
    said.has_problem(&["schema aqueduct", "GRANT CREATE ON DATABASE", "aqueduct migrate"]);
    said.has_problem(&["table people", "GRANT CREATE ON SCHEMA public TO stranger"]);
    let without = stranger.check("migrate = false", &loading("p", "name = \"people\"\nmode = \"append\""));
    without.has_problem(&["schema aqueduct", "postgres.migrate = false"]);
}

#[test]
fn a_missing_table_a_wrong_type_and_bad_keys_are_named_all_at_once() {
    let database = TestDatabase::new();
    database.execute(
        "CREATE TABLE people (id bigint PRIMARY KEY); CREATE TABLE typed (id bigint, name integer, at timestamptz); \
         CREATE TABLE keyless (id bigint NOT NULL, name text, at timestamptz); \
         CREATE TABLE nullable (id bigint UNIQUE, name text, at timestamptz)",
    );
    let upsert = |table: &str| format!("name = \"{table}\"\nmode = \"upsert\"\nkey = [\"id\"]");
    let said = owned(
        &database,
        &[
            loading("a", "name = \"peple\"\nmode = \"append\""),
            loading("b", "name = \"typed\"\nmode = \"append\""),
            loading("c", &upsert("keyless")),
            loading("d", &upsert("nullable")),
            loading("e", "name = \"nowhere.t\"\nmode = \"append\""),
        ]
        .concat(),
    );
    assert_eq!(said.code, Some(64), "{}", said.text);
    said.has_problem(&[
        "pipeline a: table peple",
        "does not exist",
        "did you mean \"people\"?",
        "create = true",
    ]);
    said.has_problem(&["pipeline b: table typed", "name", "integer"]);
    said.has_problem(&["pipeline c: table keyless", "no unique index", "CREATE UNIQUE INDEX"]);
    said.has_problem(&["pipeline d: table nullable", "may be NULL", "SET NOT NULL"]);
    said.has_problem(&["pipeline e: table nowhere.t", "no schema nowhere"]);
}

#[test]
fn triggers_rules_and_row_security_that_matter_are_named() {
    let stranger = Stranger::new(&format!(
        "{ALL_OF_AQUEDUCT}
         CREATE FUNCTION stranger_f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TABLE people (id bigint, name text, at timestamptz); GRANT ALL ON people TO stranger;
         CREATE TRIGGER stamp BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION stranger_f();
         CREATE TRIGGER audit AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION stranger_f();
         CREATE TRIGGER other BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION stranger_f();
         CREATE TABLE secret (LIKE people); GRANT ALL ON secret TO stranger; ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
         CREATE UNLOGGED TABLE light (LIKE people); GRANT ALL ON light TO stranger;
         CREATE TABLE parts (LIKE people) PARTITION BY RANGE (id); GRANT ALL ON parts TO stranger"
    ));
    let append = |table: &str| loading(table, &format!("name = \"{table}\"\nmode = \"append\""));
    let said = stranger.check("", &["people", "secret", "light", "parts"].map(append).concat());
    assert_eq!(said.code, Some(64), "{}", said.text);
    said.has_note(&["table people", "trigger stamp", "before each row"]);
    said.has_note(&["table people", "trigger audit"]);
    assert!(
        !said.text.contains("trigger other"),
        "it has nothing to do with loading: {}",
        said.text
    );
    said.has_problem(&["table secret", "row security applies to stranger"]);
    said.has_note(&["table light", "UNLOGGED"]);
    said.has_problem(&["table parts", "no partition"]);
}

#[test]
fn looking_changes_nothing() {
    let database = TestDatabase::empty();
    let said = owned(
        &database,
        &loading("p", "name = \"people\"\nmode = \"append\"\ncreate = true"),
    );
    assert_eq!(said.code, Some(0), "{}", said.text);
    said.has_note(&["schema aqueduct", "the first run creates it"]);
    said.has_note(&["table people", "the first batch runs CREATE TABLE"]);
    // Both are still free.
    database.execute("CREATE SCHEMA aqueduct; CREATE TABLE people ()");
}

#[test]
fn a_database_that_is_away_ends_with_69_and_one_that_is_not_there_with_64() {
    let mut server = TestPostgres::private();
    let url = server.url().expose().to_owned();
    let there = check(&format!(
        "[postgres]\nurl = \"{}\"\n{}",
        url.replace("/aqueduct?", "/nodb?"),
        loading("p", "name = \"people\"\nmode = \"append\"")
    ));
    assert_eq!(there.code, Some(64), "{}", there.text);
    there.has_problem(&["PostgreSQL", "nodb", "does not exist"]);
    server.stop();
    let away = check(&format!(
        "[postgres]\nurl = \"{url}\"\n{}",
        loading("p", "name = \"people\"\nmode = \"append\"")
    ));
    assert_eq!(away.code, Some(69), "{}", away.text);
    away.has_problem(&["PostgreSQL", "does the server run?"]);
}
