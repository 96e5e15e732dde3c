//! Scalar types: Spark's names to Arrow's types.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::sql::sqlparser::ast::{DataType as Written, ExactNumberInfo, TimezoneInfo};

/// What a field may be declared as.
const NAMES: &[&str] = &[
    "STRING",
    "VARCHAR",
    "CHAR",
    "BOOLEAN",
    "TINYINT",
    "BYTE",
    "SMALLINT",
    "SHORT",
    "INT",
    "INTEGER",
    "BIGINT",
    "LONG",
    "FLOAT",
    "REAL",
    "DOUBLE",
    "DECIMAL",
    "DEC",
    "NUMERIC",
    "DATE",
    "TIMESTAMP",
    "TIMESTAMP_NTZ",
    "TIMESTAMP_LTZ",
    "BINARY",
    "ARRAY",
    "MAP",
    "STRUCT",
];

/// The most digits that a decimal has.
const MAX_PRECISION: u64 = 38;

/// The Arrow type, or a sentence with the remedy.
///
/// VARCHAR(n) and CHAR(n) are text of any length, as in `from_json`: the length is the table's to enforce.
pub(super) fn scalar(written: &Written) -> Result<DataType, String> {
    Ok(match written {
        Written::String(None) | Written::Varchar(_) | Written::Char(_) | Written::Character(_) => DataType::Utf8,
        Written::Boolean => DataType::Boolean,
        Written::TinyInt(None) => DataType::Int8,
        Written::SmallInt(None) => DataType::Int16,
        Written::Int(None) | Written::Integer(None) => DataType::Int32,
        Written::BigInt(None) => DataType::Int64,
        Written::Float(ExactNumberInfo::None) | Written::Real => DataType::Float32,
        Written::Double(ExactNumberInfo::None) => DataType::Float64,
        Written::Decimal(digits) | Written::Dec(digits) | Written::Numeric(digits) => decimal(digits)?,
        Written::Date => DataType::Date32,
        Written::Timestamp(None, TimezoneInfo::None) => utc(),
        Written::TimestampNtz(None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        Written::Binary(None) => DataType::Binary,
        Written::Custom(name, modifiers) if modifiers.is_empty() => match name.to_string().to_uppercase().as_str() {
            "BYTE" => DataType::Int8,
            "SHORT" => DataType::Int16,
            "TIMESTAMP_LTZ" => utc(),
            _ => return Err(unknown(&name.to_string())),
        },
        other => return Err(unknown(&other.to_string())),
    })
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn decimal(digits: &ExactNumberInfo) -> Result<DataType, String> {
    let (precision, scale) = match digits {
        ExactNumberInfo::None => (10, 0),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if !(1..=MAX_PRECISION).contains(&precision) {
        return Err(format!("a DECIMAL has 1 to {MAX_PRECISION} digits, not {precision}"));
    }
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(digits), Ok(places)) if (0..=precision as i64).contains(&scale) => Ok(DataType::Decimal128(digits, places)),
        _ => Err(format!(
            "a DECIMAL of {precision} digits has 0 to {precision} of them behind the point, not {scale}"
        )),
    }
}

/// Names what is near, or what is used instead.
fn unknown(written: &str) -> String {
    let base = written.split(['(', '<', ' ']).next().unwrap_or(written).to_uppercase();
    let instead = match base.as_str() {
        "TEXT" | "CLOB" | "NVARCHAR" | "UUID" | "JSON" | "JSONB" | "TIME" | "CHARACTER" | "INTERVAL" | "INET"
        | "CIDR" | "ENUM" => Some("STRING"),
        "BOOL" => Some("BOOLEAN"),
        "INT2" => Some("SMALLINT"),
        "INT4" | "INT32" | "MEDIUMINT" => Some("INT"),
        "INT8" | "INT64" => Some("BIGINT"),
        "FLOAT4" => Some("FLOAT"),
        "FLOAT8" | "FLOAT64" => Some("DOUBLE"),
        "DATETIME" | "TIMESTAMPTZ" => Some("TIMESTAMP"),
        "BYTEA" | "BLOB" | "BYTES" | "VARBINARY" => Some("BINARY"),
        _ if NAMES.contains(&base.as_str()) => {
            return format!("{written} is not how Spark declares a {base}; write {base} without that addition");
        }
        _ => NAMES
            .iter()
            .map(|name| (strsim::normalized_damerau_levenshtein(&base, name), *name))
            .filter(|(likeness, _)| *likeness >= 0.6)
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, name)| name),
    };
    match instead {
        Some(name) => format!("{written} is no type of Spark; did you mean {name}?"),
        None => format!("{written} is no type of Spark; the types are {}", NAMES.join(", ")),
    }
}

/// sqlparser puts the place into its text; the problem has it already.
pub(super) fn without_place(message: &str) -> &str {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    message.find(" at Line: ").map_or(message, |at| &message[..at])
}
