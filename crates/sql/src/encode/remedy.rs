//! The sentence for a pair of types that do not go together: what to write in the query instead.

use arrow::datatypes::DataType;

use super::{
    Column, oid,
    source::{is_binary, is_text, spark_name},
};

/// What to do where a column's type cannot take what the query yields.
pub(super) fn mismatch(column: &Column, source: &DataType) -> String {
    let name = &column.name;
    let seen = format!(
        "column \"{name}\": the query yields {}, the table takes {}",
        spark_name(source),
        column.type_name
    );
    if let Some(element) = &column.element {
        let example = element_cast(element.type_oid);
        return if is_text(source) {
            format!("{seen}; write string_to_array(…, ',') AS \"{name}\" in the query, or declare an ARRAY")
        } else if source.is_nested() {
            format!("{seen}; write CAST(… AS {example}[]) AS \"{name}\" in the query")
        } else {
            format!("{seen}; write make_array(CAST(… AS {example})) AS \"{name}\" in the query")
        };
    }
    if source.is_nested() {
        return format!(
            "{seen}; make the column jsonb, or take one value out of it in the query, like x.field or x[1]"
        );
    }
    format!(
        "{seen}; write {} AS \"{name}\" in the query",
        scalar(column.type_oid, source)
    )
}

/// A type that cannot be written, whatever the query yields.
pub(super) fn unknown(column: &Column) -> String {
    let (what, instead) = match column
        .element
        .as_ref()
        .map_or(column.type_oid, |element| element.type_oid)
    {
        oid::RECORD => ("composite type", "make it jsonb, or a column for each of its fields"),
        oid::ANYRANGE => ("range type", "make it a column for each of its bounds"),
        _ => ("type", "make it text"),
    };
    format!(
        "column \"{}\" is of {what} {}, which cannot be written; {instead}, or leave it out of the query",
        column.name, column.type_name
    )
}

fn scalar(target: u32, source: &DataType) -> &'static str {
    match target {
        oid::BOOL => "CAST(… AS BOOLEAN)",
        oid::INT2 => "CAST(… AS SMALLINT)",
        oid::INT4 => "CAST(… AS INT)",
        oid::INT8 => "CAST(… AS BIGINT)",
        oid::NUMERIC => "CAST(… AS DECIMAL(p, s))",
        oid::FLOAT4 => "CAST(… AS FLOAT)",
        oid::FLOAT8 => "CAST(… AS DOUBLE)",
        oid::DATE => "CAST(… AS DATE)",
        oid::TIMESTAMP | oid::TIMESTAMPTZ if source.is_numeric() => "to_timestamp_seconds(…) or to_timestamp_millis(…)",
        oid::TIMESTAMP | oid::TIMESTAMPTZ => "CAST(… AS TIMESTAMP)",
        oid::UUID => "a UUID's text or 16 bytes",
        oid::BYTEA if is_text(source) => "decode(…, 'base64') or decode(…, 'hex')",
        oid::BYTEA => "a binary value",
        _ if is_binary(source) => "encode(…, 'base64') or encode(…, 'hex')",
        _ => "CAST(… AS STRING)",
    }
}

fn element_cast(target: u32) -> &'static str {
    match target {
        oid::BOOL => "BOOLEAN",
        oid::INT2 => "SMALLINT",
        oid::INT4 => "INT",
        oid::INT8 => "BIGINT",
        oid::NUMERIC => "DECIMAL(p, s)",
        oid::FLOAT4 => "FLOAT",
        oid::FLOAT8 => "DOUBLE",
        oid::DATE => "DATE",
        oid::TIMESTAMP | oid::TIMESTAMPTZ => "TIMESTAMP",
        oid::BYTEA => "BYTEA",
        _ => "STRING",
    }
}
