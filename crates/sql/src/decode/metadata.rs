//! What `records` has beside the declared columns: where a record came from and how it looked.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, Int32Array, Int64Array, MapBuilder, MapFieldNames, StringArray, StringBuilder,
        TimestampMicrosecondArray, UInt32Array,
    },
    datatypes::{DataType, Field, FieldRef, TimeUnit},
};

use super::bad::{Bad, Outcome};
use crate::{InputRecord, LINEAGE, Origin};

/// One column beside the declared ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metadata {
    Key,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Headers,
    Raw,
    /// The index of the record in the input: hidden from queries, it is the lineage.
    Record,
}

impl Metadata {
    /// What a query may name.
    pub(crate) const PUBLIC: [Self; 7] = [
        Self::Key,
        Self::Topic,
        Self::Partition,
        Self::Offset,
        Self::Timestamp,
        Self::Headers,
        Self::Raw,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Key => "_key",
            Self::Topic => "_topic",
            Self::Partition => "_partition",
            Self::Offset => "_offset",
            Self::Timestamp => "_timestamp",
            Self::Headers => "_headers",
            Self::Raw => "_raw",
            Self::Record => LINEAGE[0],
        }
    }

    pub(crate) fn field(self) -> FieldRef {
        let (data_type, nullable) = match self {
            Self::Key => (DataType::Utf8, true),
            Self::Topic | Self::Raw => (DataType::Utf8, false),
            Self::Partition => (DataType::Int32, false),
            Self::Offset => (DataType::Int64, false),
            Self::Timestamp => (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
            Self::Headers => (map_of(DataType::Utf8), false),
            Self::Record => (DataType::UInt32, false),
        };
        Arc::new(Field::new(self.name(), data_type, nullable))
    }

    /// Refuses a record for which this column has no value.
    pub(crate) fn check(self, record: &InputRecord<'_>) -> Outcome {
        match self {
            Self::Key if record.key.is_some_and(|key| str::from_utf8(key).is_err()) => {
                Err(Bad::value("the record's key is not UTF-8").within(|| self.name().to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// The column for these rows; `rows` are indices into `records`.
    pub(crate) fn column(self, origin: Origin<'_>, records: &[InputRecord<'_>], rows: &[u32]) -> ArrayRef {
        let chosen = rows.iter().map(|&row| &records[row as usize]);
        match self {
            Self::Key => Arc::new(
                chosen
                    .map(|record| str::from_utf8(record.key?).ok())
                    .collect::<StringArray>(),
            ),
            Self::Topic => Arc::new(StringArray::from_iter_values(chosen.map(|_| origin.topic))),
            Self::Partition => Arc::new(Int32Array::from_iter_values(chosen.map(|_| origin.partition))),
            Self::Offset => Arc::new(Int64Array::from_iter_values(chosen.map(|record| record.offset))),
            Self::Timestamp => Arc::new(
                chosen
                    .map(|record| record.timestamp_ms?.checked_mul(1000))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
            Self::Headers => headers(chosen),
            // The sieve has proved that it is UTF-8. A byte order mark stays: it is what came.
            Self::Raw => {
                let text = chosen.map(|record| str::from_utf8(record.value.unwrap_or_default()).unwrap_or_default());
                Arc::new(StringArray::from_iter_values(text))
            }
            Self::Record => Arc::new(UInt32Array::from(rows.to_vec())),
        }
    }
}

/// MAP<STRING, …> as arrow-json and DataFusion's `map` name its parts.
pub(crate) fn map_of(value: DataType) -> DataType {
    let pair = vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", value, true),
    ];
    DataType::Map(
        Arc::new(Field::new("entries", DataType::Struct(pair.into()), false)),
        false,
    )
}

/// Header values are bytes, and many are binary by custom: what is not UTF-8 shows as U+FFFD.
fn headers<'a>(records: impl Iterator<Item = &'a InputRecord<'a>>) -> ArrayRef {
    let names = MapFieldNames {
        entry: "entries".into(),
        key: "key".into(),
        value: "value".into(),
    };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for record in records {
        for (name, value) in record.headers {
            builder.keys().append_value(name);
            builder.values().append_option(value.map(String::from_utf8_lossy));
        }
        // Keys and values were appended in pairs, so the map cannot be uneven.
        let _ = builder.append(true);
    }
    Arc::new(builder.finish())
}
