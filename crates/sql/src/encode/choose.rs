//! Which writer a column gets, or the sentence that says why it gets none.

use arrow::datatypes::DataType;

use super::{Column, oid};

/// How values of one column are written. The source's exact Arrow type is looked at when a batch is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The query yields nothing but NULL.
    Null,
    Text,
    /// Of at most 63 bytes: PostgreSQL's own error for more looks like a mistake in a statement.
    Name,
    Bool,
    /// An integer of so many bytes, from any integer or from a decimal without fraction.
    Integer(u8),
    /// From integers and decimals.
    Numeric,
    /// A float of so many bytes, from floats, integers and decimals.
    Float(u8),
    UuidFromText,
    UuidFromBinary,
    Date,
    Timestamp,
    /// The text is the JSON.
    JsonFromText {
        jsonb: bool,
    },
    /// The value is serialised.
    JsonFromValue {
        jsonb: bool,
    },
    Bytea,
}

pub(super) fn choose(column: &Column, source: &DataType) -> Result<Kind, String> {
    let source = match source {
        DataType::Dictionary(_, value) => value,
        other => other,
    };
    if source.is_null() {
        return Ok(Kind::Null);
    }
    let json = |jsonb| {
        if is_text(source) {
            Kind::JsonFromText { jsonb }
        } else {
            Kind::JsonFromValue { jsonb }
        }
    };
    let kind = match column.type_oid {
        oid::TEXT | oid::VARCHAR | oid::BPCHAR => is_text(source).then_some(Kind::Text),
        oid::NAME => is_text(source).then_some(Kind::Name),
        oid::BOOL => (source == &DataType::Boolean).then_some(Kind::Bool),
        oid::INT2 => is_whole(source).then_some(Kind::Integer(2)),
        oid::INT4 => is_whole(source).then_some(Kind::Integer(4)),
        oid::INT8 => is_whole(source).then_some(Kind::Integer(8)),
        oid::NUMERIC => (source.is_integer() || is_decimal(source)).then_some(Kind::Numeric),
        oid::FLOAT4 => (source.is_numeric()).then_some(Kind::Float(4)),
        oid::FLOAT8 => (source.is_numeric()).then_some(Kind::Float(8)),
        oid::UUID if is_text(source) => Some(Kind::UuidFromText),
        oid::UUID => is_binary(source).then_some(Kind::UuidFromBinary),
        oid::DATE => is_date(source).then_some(Kind::Date),
        oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            (is_date(source) || matches!(source, DataType::Timestamp(..))).then_some(Kind::Timestamp)
        }
        oid::JSON => Some(json(false)),
        oid::JSONB => Some(json(true)),
        oid::BYTEA => is_binary(source).then_some(Kind::Bytea),
        _ => {
            return Err(format!(
                "column \"{}\" is of type {}, which cannot be written yet; make it text, or leave it out of the query",
                column.name, column.type_name
            ));
        }
    };
    kind.ok_or_else(|| {
        format!(
            "column \"{}\": the query yields {source}, the table takes {}; write {} AS \"{}\" in the query",
            column.name,
            column.type_name,
            remedy(column.type_oid),
            column.name
        )
    })
}

fn remedy(target: u32) -> &'static str {
    match target {
        oid::BOOL => "CAST(… AS BOOLEAN)",
        oid::INT2 => "CAST(… AS SMALLINT)",
        oid::INT4 => "CAST(… AS INT)",
        oid::INT8 => "CAST(… AS BIGINT)",
        oid::NUMERIC => "CAST(… AS DECIMAL(p, s))",
        oid::FLOAT4 => "CAST(… AS FLOAT)",
        oid::FLOAT8 => "CAST(… AS DOUBLE)",
        oid::DATE => "CAST(… AS DATE)",
        oid::TIMESTAMP | oid::TIMESTAMPTZ => "CAST(… AS TIMESTAMP)",
        oid::UUID => "a UUID's text or 16 bytes",
        oid::BYTEA => "a binary value",
        _ => "CAST(… AS STRING)",
    }
}

fn is_text(source: &DataType) -> bool {
    matches!(source, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_binary(source: &DataType) -> bool {
    matches!(
        source,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    )
}

fn is_date(source: &DataType) -> bool {
    matches!(source, DataType::Date32 | DataType::Date64)
}

fn is_decimal(source: &DataType) -> bool {
    matches!(
        source,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..)
    )
}

fn is_whole(source: &DataType) -> bool {
    source.is_integer()
        || matches!(
            source,
            DataType::Decimal32(_, 0) | DataType::Decimal64(_, 0) | DataType::Decimal128(_, 0)
        )
}
