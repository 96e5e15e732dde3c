//! `create = true`: the table from the query's types.

use diesel::{
    QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_types::{BigInt, Bool, Text},
};

use super::identifier::{quote, quote_table};
use crate::{
    config::settings,
    sql::{
        LINEAGE,
        arrow::datatypes::{DataType, Schema},
        encode::spark_name,
    },
    store::{Session, StoreError},
};

/// `CREATE TABLE IF NOT EXISTS` of two sessions at once fails in one of them; they take turns under this number.
const TURN: i64 = 0x6171_7565_6475_6374;

/// Creates the table if it is missing: a column for each of the query's, the key of an `upsert` as its primary key.
pub(super) fn create_table(session: &mut Session, table: &settings::Table, schema: &Schema) -> Result<(), StoreError> {
    let statement = creation(session, table, schema)?;
    session.transaction(|session| {
        diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
            .bind::<BigInt, _>(TURN)
            .execute(session.conn())
            .and_then(|_| session.conn().batch_execute(&statement))
            .map_err(|error| session.failed("create table", table.name.clone(), error))
    })
}

/// The statement that creates a missing table, or all that stands against it. Changes nothing.
pub fn creation(session: &mut Session, table: &settings::Table, schema: &Schema) -> Result<String, StoreError> {
    let (statement, mut problems) = match statement(table, schema) {
        Ok(statement) => (statement, Vec::new()),
        Err(problems) => (String::new(), problems),
    };
    if let Some((name, _)) = table.name.split_once('.') {
        let found: Found = diesel::sql_query("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS found")
            .bind::<Text, _>(name)
            .get_result(session.conn())
            .map_err(|error| session.failed("look for the schema", table.name.clone(), error))?;
        if !found.found {
            problems.push(format!(
                "the schema \"{name}\" does not exist; CREATE SCHEMA {} in a migration",
                quote(name)
            ));
        }
    }
    if problems.is_empty() {
        return Ok(statement);
    }
    Err(StoreError::Mismatch {
        place: format!("table {}", table.name),
        problem: problems.join("; "),
    })
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

fn statement(table: &settings::Table, schema: &Schema) -> Result<String, Vec<String>> {
    let mut problems = Vec::new();
    let mut lines = Vec::new();
    let fields = || {
        schema
            .fields()
            .iter()
            .filter(|field| !LINEAGE.contains(&field.name().as_str()))
    };
    for field in fields() {
        match type_for(field.data_type()) {
            Some(type_name) => lines.push(format!("{} {type_name}", quote(field.name()))),
            None => problems.push(format!(
                "column \"{name}\": the query yields {}, for which no type of PostgreSQL is known; CAST it in the query, or \
                 create the table yourself",
                spark_name(field.data_type()),
                name = field.name(),
            )),
        }
    }
    for key in &table.key {
        match fields()
            .find(|field| field.name() == key)
            .map(|field| field.data_type())
        {
            None => problems.push(format!("the key column \"{key}\" is not among the query's columns")),
            Some(nested) if nested.is_nested() => problems.push(format!(
                "the key column \"{key}\": {} cannot be a key; take one value out of it in the query",
                spark_name(nested)
            )),
            Some(_) => {}
        }
    }
    if fields().next().is_none() {
        problems.push("the query yields no column".into());
    }
    if !table.key.is_empty() {
        let key: Vec<_> = table.key.iter().map(|name| quote(name)).collect();
        lines.push(format!("PRIMARY KEY ({})", key.join(", ")));
    }
    let name = quote_table(&table.name).map_err(|problem| vec![problem])?;
    if problems.is_empty() {
        Ok(format!("CREATE TABLE IF NOT EXISTS {name} ({})", lines.join(", ")))
    } else {
        Err(problems)
    }
}

/// A list of plain values is an array; what nests deeper is jsonb, which also takes lists of different lengths.
fn type_for(source: &DataType) -> Option<String> {
    let name = match source {
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 => "bigint",
        DataType::UInt64 => "numeric(20)",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        // Before version 15 a scale lies between 0 and the precision.
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            return Some(match u8::try_from(*scale) {
                Ok(scale) if scale <= *precision => format!("numeric({precision}, {scale})"),
                _ => "numeric".into(),
            });
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "bytea",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => {
            return Some(match type_for(item.data_type()) {
                Some(element) if !item.data_type().is_nested() => format!("{element}[]"),
                _ => "jsonb".into(),
            });
        }
        DataType::Struct(_) | DataType::Map(..) => "jsonb",
        DataType::Dictionary(_, value) => return type_for(value),
        _ => return None,
    };
    Some(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::arrow::datatypes::{Field, TimeUnit};

    fn table(key: &[&str]) -> settings::Table {
        settings::Table {
            name: "crm.users".into(),
            mode: if key.is_empty() {
                settings::Mode::Append
            } else {
                settings::Mode::Upsert
            },
            key: key.iter().map(|&name| name.into()).collect(),
            order_by: None,
            sql: String::new(),
            create: true,
        }
    }

    #[test]
    fn each_type_of_the_query_has_its_column_and_the_key_is_primary() {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("na\"me", DataType::Utf8View, true),
            Field::new("price", DataType::Decimal128(38, 18), true),
            Field::new(
                "at",
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                true,
            ),
            Field::new(
                "tags",
                DataType::List(Field::new_list_field(DataType::Utf8, true).into()),
                true,
            ),
            Field::new(LINEAGE[0], DataType::UInt32, false),
        ]);
        assert_eq!(
            statement(&table(&["id"]), &schema),
            Ok(
                "CREATE TABLE IF NOT EXISTS \"crm\".\"users\" (\"id\" bigint, \"na\"\"me\" text, \
                \"price\" numeric(38, 18), \"at\" timestamptz, \"tags\" text[], PRIMARY KEY (\"id\"))"
                    .into()
            )
        );
    }

    #[test]
    fn what_has_no_type_and_what_is_no_column_are_named_together() {
        let schema = Schema::new(vec![Field::new("n", DataType::Null, true)]);
        let problems = statement(&table(&["id"]), &schema).unwrap_err();
        assert_eq!(problems.len(), 2);
        assert!(problems[0].contains("\"n\"") && problems[1].contains("\"id\""));
    }
}
