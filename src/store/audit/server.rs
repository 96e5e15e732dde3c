//! The server, the database, and aqueduct's own schema in it.

use diesel::{
    QueryableByName, RunQueryDsl,
    sql_types::{Bool, Text},
};

use crate::{
    model::Finding,
    store::{Session, StoreError},
};

/// `server_version_num` of the oldest version that has all that is used.
const OLDEST: i32 = 130_000;

#[derive(QueryableByName)]
struct Facts {
    #[diesel(sql_type = Text)]
    database: String,
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = Bool)]
    is_standby: bool,
    #[diesel(sql_type = Bool)]
    has_schema: bool,
    #[diesel(sql_type = Bool)]
    may_create_schema: bool,
    #[diesel(sql_type = Bool)]
    may_use_schema: bool,
    #[diesel(sql_type = Bool)]
    may_create_in_schema: bool,
    #[diesel(sql_type = Bool)]
    may_make_temporary: bool,
    #[diesel(sql_type = Text)]
    fsync: String,
    #[diesel(sql_type = Text)]
    synchronous_commit: String,
    #[diesel(sql_type = Text)]
    synchronous_standbys: String,
}

const FACTS: &str = "SELECT current_database()::text AS database, current_user::text AS username, \
     pg_is_in_recovery() AS is_standby, n.oid IS NOT NULL AS has_schema, \
     has_database_privilege(current_database(), 'CREATE') AS may_create_schema, \
     coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AS may_use_schema, \
     coalesce(has_schema_privilege(n.oid, 'CREATE'), false) AS may_create_in_schema, \
     has_database_privilege(current_database(), 'TEMPORARY') AS may_make_temporary, \
     current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit, \
     current_setting('synchronous_standby_names') AS synchronous_standbys \
     FROM (SELECT) AS one LEFT JOIN pg_namespace AS n ON n.nspname = 'aqueduct'";

#[derive(QueryableByName)]
struct Lacking {
    #[diesel(sql_type = Text)]
    relation: String,
    #[diesel(sql_type = Bool)]
    is_there: bool,
    #[diesel(sql_type = Text)]
    privileges: String,
}

/// What the daemon does with its own tables.
const LACKING: &str = "SELECT w.relation, c.oid IS NOT NULL AS is_there, string_agg(w.privilege, ', ' ORDER BY w.privilege) \
     AS privileges FROM (VALUES ('offsets', 'SELECT'), ('offsets', 'INSERT'), ('offsets', 'UPDATE'), \
     ('dead_letters', 'SELECT'), ('dead_letters', 'INSERT'), ('row_counts', 'SELECT'), ('row_counts', 'INSERT'), \
     ('row_counts', 'UPDATE')) AS w (relation, privilege) \
     LEFT JOIN pg_class AS c ON c.relname = w.relation AND c.relnamespace = to_regnamespace('aqueduct') \
     WHERE c.oid IS NULL OR NOT has_table_privilege(c.oid, w.privilege) GROUP BY w.relation, c.oid ORDER BY w.relation";

/// Looks at the server and at the schema `aqueduct`. `migrates`: whether a run brings that up to date itself; `stages`:
/// whether a table of some pipeline is written by way of a temporary one.
pub fn server(session: &mut Session, migrates: bool, stages: bool) -> Result<Vec<Finding>, StoreError> {
    let place = session.place().to_owned();
    let facts: Facts = diesel::sql_query(FACTS)
        .get_result(session.conn())
        .map_err(|error| session.failed("look at the server", place, error))?;
    let mut findings = vec![about_server(session.server_version(), &facts)];
    let username = &facts.username;
    if stages && !facts.may_make_temporary {
        findings.push(Finding::bad(
            format!("database {}", facts.database),
            format!(
                "{username} may not make temporary tables, which mode = \"upsert\" needs: GRANT TEMPORARY ON DATABASE {} TO {username}",
                facts.database
            ),
        ));
    }
    findings.extend(about_durability(&facts));
    findings.extend(about_schema(session, &facts, migrates)?);
    Ok(findings)
}

fn about_server(version: i32, facts: &Facts) -> Finding {
    let shown = format!("{}.{}", version / 10_000, version % 10_000);
    if facts.is_standby {
        Finding::bad(
            "PostgreSQL",
            "it is a standby, which takes no writes: name the primary in postgres.url (several hosts are fine: postgres://a,b/db)",
        )
    } else if version < OLDEST {
        Finding::bad(
            "PostgreSQL",
            format!("version {shown} is too old: 13 or later is needed"),
        )
    } else {
        Finding::fine("PostgreSQL", format!("version {shown}, user {}", facts.username))
    }
}

fn about_durability(facts: &Facts) -> Option<Finding> {
    if facts.fsync == "off" {
        let text = "fsync = off: after a power failure the whole database may be damaged, rows and offsets alike";
        return Some(Finding::note("PostgreSQL", text));
    }
    (!facts.synchronous_standbys.is_empty() && facts.synchronous_commit == "off").then(|| {
        Finding::note(
            "PostgreSQL",
            format!(
                "synchronous_standby_names = '{}', and aqueduct's sessions do not wait for them: a fail-over may go back a \
                 little, and the records are loaded again from the log; postgres.synchronous_commit = true waits",
                facts.synchronous_standbys
            ),
        )
    })
}

fn about_schema(session: &mut Session, facts: &Facts, migrates: bool) -> Result<Vec<Finding>, StoreError> {
    let (database, username) = (&facts.database, &facts.username);
    let place = "schema aqueduct";
    if !facts.has_schema {
        return Ok(vec![match (migrates, facts.may_create_schema) {
            (true, true) => Finding::note(place, "is not there yet; the first run creates it"),
            (true, false) => Finding::bad(
                place,
                format!(
                    "is not there, and {username} may not create it: GRANT CREATE ON DATABASE {database} TO {username}, or run \
                     `aqueduct migrate` as a user who may"
                ),
            ),
            (false, _) => Finding::bad(
                place,
                "is not there, and postgres.migrate = false: run `aqueduct migrate` first",
            ),
        }]);
    }
    if !facts.may_use_schema {
        let grant = format!("{username} may not use it: GRANT USAGE ON SCHEMA aqueduct TO {username}");
        return Ok(vec![Finding::bad(place, grant)]);
    }
    let database_place = session.place().to_owned();
    let lacking: Vec<Lacking> = diesel::sql_query(LACKING)
        .load(session.conn())
        .map_err(|error| session.failed("look at the schema aqueduct", database_place, error))?;
    if lacking.is_empty() {
        return Ok(vec![Finding::fine(place, "is there, with all grants")]);
    }
    let finding = |lacking: Lacking| {
        let Lacking {
            relation,
            is_there,
            privileges,
        } = lacking;
        let place = format!("table aqueduct.{relation}");
        match (is_there, migrates && facts.may_create_in_schema) {
            (true, _) => Finding::bad(
                place,
                format!("{username} lacks {privileges}: GRANT {privileges} ON aqueduct.{relation} TO {username}"),
            ),
            (false, true) => Finding::note(place, "is not there yet; the first run creates it"),
            (false, false) => Finding::bad(place, "is not there: run `aqueduct migrate` as the schema's owner"),
        }
    };
    Ok(lacking.into_iter().map(finding).collect())
}
