//! One of the user's tables: grants, triggers, sequences, and whether the query's columns fit.

use diesel::{
    OptionalExtension, QueryableByName, RunQueryDsl,
    sql_types::{Array, BigInt, Bool, Nullable, Oid, Text},
};

use super::finding;
use crate::{
    config::{nearest, settings::Mode},
    model::Finding,
    sql::LINEAGE,
    store::{
        Session, StoreError,
        load::{Loader, TableSpec, Target, creation},
    },
};

#[derive(QueryableByName)]
struct SchemaRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = Bool)]
    may_use: bool,
    #[diesel(sql_type = Bool)]
    may_create: bool,
}

const SCHEMA: &str = "SELECT nspname::text AS name, current_user::text AS username, has_schema_privilege(oid, 'USAGE') AS may_use, \
     has_schema_privilege(oid, 'CREATE') AS may_create FROM pg_namespace WHERE nspname = coalesce($1, current_schema()::text)";

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Text)]
    name: String,
}

const NEIGHBOURS: &str = "SELECT relname::text AS name FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident($1)) AND relkind IN ('r', 'p', 'v', 'f')";

#[derive(QueryableByName)]
struct Facts {
    #[diesel(sql_type = Bool)]
    is_unlogged: bool,
    #[diesel(sql_type = Bool)]
    hides_rows: bool,
    #[diesel(sql_type = Bool)]
    has_rules: bool,
    #[diesel(sql_type = BigInt)]
    num_partitions: i64,
    #[diesel(sql_type = Array<Text>)]
    no_insert: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    no_update: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    no_select: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    changing_triggers: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    later_triggers: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    closed_sequences: Vec<String>,
}

/// `$2`: the query's columns. Triggers: `tgtype` 1 = for each row, 2 = before, 4 = insert, 16 = update. A sequence behind a
/// column that the query does not yield is used by whoever inserts (an identity's is not); CASE, because the planner is free
/// to ask about the privilege before it looks at the kind, and that is an error.
const FACTS: &str = "SELECT c.relpersistence = 'u' AS is_unlogged, row_security_active(c.oid) AS hides_rows, \
     c.relhasrules AND c.relkind <> 'v' AS has_rules, \
     (SELECT count(*) FROM pg_inherits AS i WHERE i.inhparent = c.oid) AS num_partitions, \
     ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = ANY ($2) \
     AND NOT has_column_privilege(c.oid, a.attnum, 'INSERT') ORDER BY a.attnum) AS no_insert, \
     ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = ANY ($2) \
     AND NOT has_column_privilege(c.oid, a.attnum, 'UPDATE') ORDER BY a.attnum) AS no_update, \
     ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = ANY ($2) \
     AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT') ORDER BY a.attnum) AS no_select, \
     ARRAY(SELECT g.tgname::text FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D' \
     AND (g.tgtype & 67) IN (3, 65) AND (g.tgtype & 20) <> 0 ORDER BY g.tgname) AS changing_triggers, \
     ARRAY(SELECT g.tgname::text FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D' \
     AND (g.tgtype & 67) NOT IN (3, 65) AND (g.tgtype & 20) <> 0 ORDER BY g.tgname) AS later_triggers, \
     ARRAY(SELECT DISTINCT s.oid::regclass::text FROM pg_attrdef AS d JOIN pg_attribute AS a ON a.attrelid = d.adrelid \
     AND a.attnum = d.adnum JOIN pg_depend AS p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid \
     AND p.refclassid = 'pg_class'::regclass JOIN pg_class AS s ON s.oid = p.refobjid AND s.relkind = 'S' \
     WHERE d.adrelid = c.oid AND a.attname <> ALL ($2) AND CASE WHEN s.relkind = 'S' THEN \
     NOT has_sequence_privilege(s.oid, 'USAGE') AND NOT has_sequence_privilege(s.oid, 'UPDATE') END) AS closed_sequences \
     FROM pg_class AS c WHERE c.oid = $1";

/// Looks at the table of a query; the first finding is the verdict on the columns.
pub fn table(session: &mut Session, spec: &TableSpec) -> Vec<Finding> {
    let place = format!("table {}", spec.table.name);
    match try_table(session, spec, &place) {
        Ok(findings) => findings,
        Err(error) => vec![finding(&place, &error)],
    }
}

fn try_table(session: &mut Session, spec: &TableSpec, place: &str) -> Result<Vec<Finding>, StoreError> {
    let bad = |text: String| Ok(vec![Finding::bad(place, text)]);
    let named = spec.table.name.split_once('.');
    let schema: Option<SchemaRow> = diesel::sql_query(SCHEMA)
        .bind::<Nullable<Text>, _>(named.map(|(schema, _)| schema))
        .get_result(session.conn())
        .optional()
        .map_err(|error| session.failed("look at the schema of", place.to_owned(), error))?;
    let Some(schema) = schema else {
        return bad(match named {
            Some((name, _)) => format!("there is no schema {name}: CREATE SCHEMA {name}, or correct the name"),
            None => "there is no schema in the search path of this user: write schema.table".to_owned(),
        });
    };
    let SchemaRow { name, username, .. } = &schema;
    if named.is_some() && !schema.may_use {
        return bad(format!(
            "{username} may not use schema {name}: GRANT USAGE ON SCHEMA {name} TO {username}"
        ));
    }
    let Some(target) = Target::read(session, &spec.table.name)? else {
        return missing(session, spec, place, &schema).map(|found| vec![found]);
    };
    let columns: Vec<String> = spec
        .schema
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .filter(|name| !LINEAGE.contains(&name.as_str()))
        .collect();
    let facts: Facts = diesel::sql_query(FACTS)
        .bind::<Oid, _>(target.oid)
        .bind::<Array<Text>, _>(&columns)
        .get_result(session.conn())
        .map_err(|error| session.failed("look at", place.to_owned(), error))?;
    let mut findings = vec![fit(session, spec, place)];
    findings.extend(grants(&facts, spec, &target, place, username));
    findings.extend(surprises(&facts, spec, &target, place));
    Ok(findings)
}

/// What the loader itself says, before the first batch instead of at it.
fn fit(session: &mut Session, spec: &TableSpec, place: &str) -> Finding {
    match Loader::new(vec![spec.clone()]).prepare(session) {
        Ok(()) => Finding::fine(place, "takes what the query yields"),
        Err(StoreError::Mismatch { problem, .. }) => Finding::bad(place, problem),
        Err(error) => finding(place, &error),
    }
}

fn missing(session: &mut Session, spec: &TableSpec, place: &str, schema: &SchemaRow) -> Result<Finding, StoreError> {
    let SchemaRow {
        name,
        username,
        may_create,
        ..
    } = schema;
    if spec.table.create {
        return Ok(if *may_create {
            let statement = creation(session, &spec.table, &spec.schema)?;
            Finding::note(place, format!("is not there yet; the first batch runs {statement}"))
        } else {
            Finding::bad(
                place,
                format!("is not there, and {username} may not create it: GRANT CREATE ON SCHEMA {name} TO {username}"),
            )
        });
    }
    let neighbours: Vec<NameRow> = diesel::sql_query(NEIGHBOURS)
        .bind::<Text, _>(name)
        .load(session.conn())
        .map_err(|error| session.failed("look around", place.to_owned(), error))?;
    let wanted = spec.table.name.rsplit('.').next().unwrap_or_default();
    let near = nearest(wanted, neighbours.iter().map(|row| row.name.as_str()))
        .map(|near| format!("; did you mean \"{near}\"?"))
        .unwrap_or_default();
    Ok(Finding::bad(
        place,
        format!("does not exist{near}; create it in a migration, or set create = true"),
    ))
}

fn grants(facts: &Facts, spec: &TableSpec, target: &Target, place: &str, username: &str) -> Vec<Finding> {
    let mut lacking: Vec<(&str, &Vec<String>)> = vec![("INSERT", &facts.no_insert)];
    if spec.table.mode != Mode::Append {
        lacking.extend([("SELECT", &facts.no_select), ("UPDATE", &facts.no_update)]);
    }
    lacking.retain(|(_, columns)| !columns.is_empty());
    let mut findings = Vec::new();
    if !lacking.is_empty() {
        let sentences: Vec<_> = lacking
            .iter()
            .map(|(privilege, columns)| format!("{privilege} on {}", columns.join(", ")))
            .collect();
        let privileges: Vec<_> = lacking.iter().map(|(privilege, _)| *privilege).collect();
        findings.push(Finding::bad(
            place,
            format!(
                "{username} lacks {}: GRANT {} ON {} TO {username}",
                sentences.join(" and "),
                privileges.join(", "),
                target.place()
            ),
        ));
    }
    for sequence in &facts.closed_sequences {
        findings.push(Finding::bad(
            place,
            format!("{username} may not use sequence {sequence}, which fills in a column: GRANT USAGE ON SEQUENCE {sequence} TO {username}"),
        ));
    }
    if facts.hides_rows {
        findings.push(Finding::bad(
            place,
            format!("row security applies to {username}, and PostgreSQL takes no COPY then: ALTER ROLE {username} BYPASSRLS, or load as the owner"),
        ));
    }
    findings
}

/// What works otherwise than one thinks.
fn surprises(facts: &Facts, spec: &TableSpec, target: &Target, place: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if target.kind == 'p' && facts.num_partitions == 0 {
        let text = "is partitioned and has no partition: every row would be refused; create some, or a DEFAULT one";
        findings.push(Finding::bad(place, text));
    }
    if facts.is_unlogged {
        let text = "is UNLOGGED: a crash of PostgreSQL empties it, the offsets stay, and its rows are not loaded again; \
                    ALTER TABLE … SET LOGGED";
        findings.push(Finding::note(place, text));
    }
    if facts.has_rules {
        findings.push(Finding::note(place, "has rules, which COPY passes over"));
    }
    if !facts.changing_triggers.is_empty() {
        let counts = if spec.table.mode == Mode::Append {
            ""
        } else {
            ", and rows that it changes are updated again and again"
        };
        findings.push(Finding::note(
            place,
            format!(
                "trigger {} runs before each row: what it changes or leaves out is not in the ledger{counts}",
                facts.changing_triggers.join(", ")
            ),
        ));
    }
    if !facts.later_triggers.is_empty() {
        findings.push(Finding::note(
            place,
            format!(
                "trigger {} runs with each batch: what it raises sends records to the dead letters, and its time is the load's",
                facts.later_triggers.join(", ")
            ),
        ));
    }
    findings
}
