//! What the query yields, as the encoder distinguishes it and as people read it.

use arrow::datatypes::DataType;

pub(super) fn is_text(source: &DataType) -> bool {
    matches!(source, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

pub(super) fn is_binary(source: &DataType) -> bool {
    matches!(
        source,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    )
}

pub(super) fn is_date(source: &DataType) -> bool {
    matches!(source, DataType::Date32 | DataType::Date64)
}

pub(super) fn is_time(source: &DataType) -> bool {
    matches!(source, DataType::Time32(_) | DataType::Time64(_))
}

pub(super) fn is_interval(source: &DataType) -> bool {
    matches!(source, DataType::Interval(_) | DataType::Duration(_))
}

pub(super) fn is_decimal(source: &DataType) -> bool {
    matches!(
        source,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..)
    )
}

pub(super) fn is_whole(source: &DataType) -> bool {
    source.is_integer()
        || matches!(
            source,
            DataType::Decimal32(_, 0) | DataType::Decimal64(_, 0) | DataType::Decimal128(_, 0)
        )
}

/// The type in the words of the schema's DDL; what Spark has no word for keeps Arrow's.
pub fn spark_name(source: &DataType) -> String {
    let name = match source {
        DataType::Null => "nothing but NULL",
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::Float16 | DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => return format!("DECIMAL({precision},{scale})"),
        source if is_text(source) => "STRING",
        source if is_binary(source) => "BINARY",
        source if is_date(source) => "DATE",
        source if is_time(source) => "TIME",
        source if is_interval(source) => "INTERVAL",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP",
        DataType::Timestamp(_, None) => "TIMESTAMP_NTZ",
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => return format!("ARRAY<{}>", spark_name(item.data_type())),
        DataType::Map(..) => "MAP<…>",
        DataType::Struct(_) => "STRUCT<…>",
        DataType::Dictionary(_, value) => return spark_name(value),
        other => return other.to_string(),
    };
    name.into()
}
