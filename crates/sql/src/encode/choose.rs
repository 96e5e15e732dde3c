//! Which writer a column gets, or the sentence that says why it gets none.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};

use super::{
    Column, Field, oid, remedy,
    source::{is_binary, is_date, is_decimal, is_interval, is_text, is_time, is_whole},
};

/// PostgreSQL's `MAXDIM`.
pub(super) const MAX_DIMENSIONS: usize = 6;

/// How values of one column are written. The source's exact Arrow type is looked at when a batch is bound.
#[derive(Clone, Debug)]
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
    /// From text or from a time.
    Time,
    /// From text or from a time, which is one in UTC.
    TimeTz,
    /// From text or from an interval.
    Interval,
    /// From text.
    Inet {
        cidr: bool,
    },
    /// The text is the JSON.
    JsonFromText {
        jsonb: bool,
    },
    /// The value is serialised.
    JsonFromValue {
        jsonb: bool,
    },
    Bytea,
    Array(Arc<ArrayKind>),
}

/// Lists, or lists of lists, into an array.
#[derive(Clone, Debug)]
pub(super) struct ArrayKind {
    /// How many lists are around an element.
    pub dimensions: usize,
    /// The element's type as the catalogue has it.
    pub element_oid: u32,
    /// How an element is written.
    pub element: Field,
}

/// Whether a type takes a source.
enum Fit {
    With(Kind),
    Not,
    /// The type takes nothing.
    Never,
}

pub(super) fn choose(column: &Column, source: &DataType) -> Result<Kind, String> {
    let source = match source {
        DataType::Dictionary(_, value) => value,
        other => other,
    };
    if source.is_null() {
        return Ok(Kind::Null);
    }
    if column.element.is_some() {
        return array(column, source);
    }
    match fit(column.type_oid, source) {
        Fit::With(kind) => Ok(kind),
        Fit::Not => Err(remedy::mismatch(column, source)),
        Fit::Never => Err(remedy::unknown(column)),
    }
}

fn fit(type_oid: u32, source: &DataType) -> Fit {
    let kind = match type_oid {
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::ANYENUM => is_text(source).then_some(Kind::Text),
        oid::NAME => is_text(source).then_some(Kind::Name),
        oid::BOOL => (source == &DataType::Boolean).then_some(Kind::Bool),
        oid::INT2 => is_whole(source).then_some(Kind::Integer(2)),
        oid::INT4 => is_whole(source).then_some(Kind::Integer(4)),
        oid::INT8 => is_whole(source).then_some(Kind::Integer(8)),
        oid::NUMERIC => (source.is_integer() || is_decimal(source)).then_some(Kind::Numeric),
        oid::FLOAT4 => source.is_numeric().then_some(Kind::Float(4)),
        oid::FLOAT8 => source.is_numeric().then_some(Kind::Float(8)),
        oid::UUID if is_text(source) => Some(Kind::UuidFromText),
        oid::UUID => is_binary(source).then_some(Kind::UuidFromBinary),
        oid::DATE => is_date(source).then_some(Kind::Date),
        oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            (is_date(source) || matches!(source, DataType::Timestamp(..))).then_some(Kind::Timestamp)
        }
        oid::TIME => (is_text(source) || is_time(source)).then_some(Kind::Time),
        oid::TIMETZ => (is_text(source) || is_time(source)).then_some(Kind::TimeTz),
        oid::INTERVAL => (is_text(source) || is_interval(source)).then_some(Kind::Interval),
        oid::INET | oid::CIDR => is_text(source).then_some(Kind::Inet {
            cidr: type_oid == oid::CIDR,
        }),
        oid::JSON | oid::JSONB => {
            let jsonb = type_oid == oid::JSONB;
            Some(if is_text(source) {
                Kind::JsonFromText { jsonb }
            } else {
                Kind::JsonFromValue { jsonb }
            })
        }
        oid::BYTEA => is_binary(source).then_some(Kind::Bytea),
        _ => return Fit::Never,
    };
    kind.map_or(Fit::Not, Fit::With)
}

fn array(column: &Column, source: &DataType) -> Result<Kind, String> {
    let Some(element) = &column.element else {
        return Err(remedy::mismatch(column, source));
    };
    // A jsonb holds lists itself: each value of the outermost one is an element.
    let deepest = match element.type_oid {
        oid::JSON | oid::JSONB => 1,
        _ => usize::MAX,
    };
    let mut dimensions = 0;
    let mut item: Option<&FieldRef> = None;
    let mut inner = source;
    while let DataType::List(field) = inner
        && dimensions < deepest
    {
        (item, inner) = (Some(field), field.data_type());
        dimensions += 1;
    }
    let Some(item) = item else {
        return Err(match fit(element.type_oid, source) {
            Fit::Never => remedy::unknown(column),
            _ => remedy::mismatch(column, source),
        });
    };
    if dimensions > MAX_DIMENSIONS {
        return Err(format!(
            "column \"{}\": the query yields lists {dimensions} deep, and an array has at most {MAX_DIMENSIONS} \
             dimensions; make the column jsonb",
            column.name
        ));
    }
    let kind = match inner {
        DataType::Null => Kind::Null,
        inner => match fit(element.type_oid, inner) {
            Fit::With(kind) => kind,
            Fit::Not => return Err(remedy::mismatch(column, source)),
            Fit::Never => return Err(remedy::unknown(column)),
        },
    };
    let type_name = column.type_name.strip_suffix("[]").unwrap_or(&column.type_name);
    let element_column = Column {
        name: column.name.clone(),
        type_name: type_name.to_owned(),
        type_oid: element.type_oid,
        type_mod: column.type_mod,
        not_null: false,
        element: None,
    };
    Ok(Kind::Array(Arc::new(ArrayKind {
        dimensions,
        element_oid: element.declared_oid,
        element: Field {
            column: element_column,
            source: item.clone(),
            kind,
        },
    })))
}
