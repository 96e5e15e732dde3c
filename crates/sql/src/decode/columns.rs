//! Columns while they grow: what the sieve has proved goes straight into Arrow's layout. A value of another type than the
//! column's is not pushed, so that the columns do not match in length and no batch is made; the sieve never does that.
//!
//! A second parser (arrow-json's tape) cost as much as the sieve itself. A record that turns out to be bad half-way is
//! taken back by cutting all columns to their length before it.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, MapArray, NullBufferBuilder,
        PrimitiveArray, StringArray, StructArray, new_null_array,
    },
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Fields, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, TimestampMicrosecondType,
    },
    error::ArrowError,
};

use super::shape::{Shape, StructShape};

/// How many rows a column has room for at first; it keeps what it has grown to.
const ROWS: usize = 1024;

/// A column of any type.
#[derive(Debug)]
pub(crate) enum Column {
    Text(Bytes),
    Binary(Bytes),
    Boolean(Values<bool>),
    Int8(Values<i8>),
    Int16(Values<i16>),
    Int32(Values<i32>),
    Int64(Values<i64>),
    Float32(Values<f32>),
    Float64(Values<f64>),
    Decimal(Values<i128>),
    Date(Values<i32>),
    Timestamp(Values<i64>),
    Struct(Parts),
    List(Box<Items>),
    Map(Box<Pairs>),
}

/// Values of one size.
#[derive(Debug)]
pub(crate) struct Values<T> {
    values: Vec<T>,
    nulls: NullBufferBuilder,
}

/// Values of any length, one behind the other.
#[derive(Debug)]
pub(crate) struct Bytes {
    ends: Vec<i32>,
    bytes: Vec<u8>,
    nulls: NullBufferBuilder,
}

/// The fields of an object.
#[derive(Debug)]
pub(crate) struct Parts {
    /// In the order of the shape's fields.
    pub(crate) columns: Vec<Column>,
    /// Which of `columns` a declared field is; `None` = it is not used.
    places: Vec<Option<usize>>,
    nulls: NullBufferBuilder,
}

/// Lists, and the items of all of them.
#[derive(Debug)]
pub(crate) struct Items {
    pub(crate) items: Column,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

/// Maps, and the entries of all of them.
#[derive(Debug)]
pub(crate) struct Pairs {
    pub(crate) keys: Bytes,
    pub(crate) values: Column,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl<T: Copy + Default> Values<T> {
    fn new() -> Self {
        Self {
            values: Vec::with_capacity(ROWS),
            nulls: NullBufferBuilder::new(ROWS),
        }
    }

    pub(crate) fn push(&mut self, value: T) {
        self.values.push(value);
        self.nulls.append_non_null();
    }

    fn push_null(&mut self) {
        self.values.push(T::default());
        self.nulls.append_null();
    }

    fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.nulls.truncate(len);
    }

    /// Leaves it empty, with room for as many.
    fn take(&mut self) -> Vec<T> {
        let room = Vec::with_capacity(self.values.len());
        std::mem::replace(&mut self.values, room)
    }
}

impl Bytes {
    fn new() -> Self {
        Self {
            ends: Vec::with_capacity(ROWS),
            bytes: Vec::with_capacity(ROWS * 8),
            nulls: NullBufferBuilder::new(ROWS),
        }
    }

    pub(crate) fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as i32);
        self.nulls.append_non_null();
    }

    fn push_null(&mut self) {
        self.ends.push(self.bytes.len() as i32);
        self.nulls.append_null();
    }

    fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.bytes.truncate(self.ends.last().map_or(0, |&end| end as usize));
        self.nulls.truncate(len);
    }

    fn parts(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let room = Vec::with_capacity(self.bytes.len());
        let bytes = std::mem::replace(&mut self.bytes, room);
        (offsets(&mut self.ends), Buffer::from_vec(bytes))
    }

    fn finish_text(&mut self) -> Result<StringArray, ArrowError> {
        let (offsets, bytes) = self.parts();
        StringArray::try_new(offsets, bytes, self.nulls.finish())
    }

    fn finish_binary(&mut self) -> Result<BinaryArray, ArrowError> {
        let (offsets, bytes) = self.parts();
        BinaryArray::try_new(offsets, bytes, self.nulls.finish())
    }
}

impl Parts {
    /// Columns for the fields of `shape`, which are some of the declared `fields`.
    pub(crate) fn new(shape: &StructShape, fields: &Fields) -> Self {
        let declared = |name: &str| fields.iter().find(|field| field.name() == name);
        let columns = shape.fields.iter();
        // A shape has no field that was not declared.
        let columns = columns.map(|field| {
            let data_type = declared(&field.name).map_or(&DataType::Null, |field| field.data_type());
            Column::new(&field.shape, data_type)
        });
        let place = |name: &String| shape.fields.iter().position(|field| field.name == *name);
        Self {
            columns: columns.collect(),
            places: fields.iter().map(|field| place(field.name())).collect(),
            nulls: NullBufferBuilder::new(ROWS),
        }
    }

    /// An object has ended; each of its columns has got its value.
    pub(crate) fn end(&mut self) {
        self.nulls.append_non_null();
    }

    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    fn push_null(&mut self) {
        self.columns.iter_mut().for_each(Column::push_null);
        self.nulls.append_null();
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.columns.iter_mut().for_each(|column| column.truncate(len));
        self.nulls.truncate(len);
    }

    /// The arrays of the declared fields, and which rows are no object at all. Leaves it empty.
    pub(crate) fn finish(&mut self, fields: &Fields) -> Result<(Vec<ArrayRef>, Option<NullBuffer>), ArrowError> {
        let len = self.len();
        let mut arrays = Vec::with_capacity(fields.len());
        for (field, place) in fields.iter().zip(&self.places) {
            arrays.push(match place {
                Some(place) => self.columns[*place].finish(field.data_type())?,
                None => new_null_array(field.data_type(), len),
            });
        }
        Ok((arrays, self.nulls.finish()))
    }
}

impl Items {
    /// A list has ended.
    pub(crate) fn end(&mut self) {
        self.ends.push(self.items.len() as i32);
        self.nulls.append_non_null();
    }
}

impl Pairs {
    /// A map has ended.
    pub(crate) fn end(&mut self) {
        self.ends.push(self.values.len() as i32);
        self.nulls.append_non_null();
    }
}

/// Runs `$body` with `$column` for whatever is inside, where all kinds have the method.
macro_rules! each {
    ($self:expr, $column:ident => $body:expr) => {
        match $self {
            Column::Text($column) | Column::Binary($column) => $body,
            Column::Boolean($column) => $body,
            Column::Int8($column) => $body,
            Column::Int16($column) => $body,
            Column::Int32($column) | Column::Date($column) => $body,
            Column::Int64($column) | Column::Timestamp($column) => $body,
            Column::Float32($column) => $body,
            Column::Float64($column) => $body,
            Column::Decimal($column) => $body,
            Column::Struct($column) => $body,
            Column::List($column) => $body,
            Column::Map($column) => $body,
        }
    };
}

impl Items {
    fn push_null(&mut self) {
        self.ends.push(self.items.len() as i32);
        self.nulls.append_null();
    }

    fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.items.truncate(self.ends.last().map_or(0, |&end| end as usize));
        self.nulls.truncate(len);
    }
}

impl Pairs {
    fn push_null(&mut self) {
        self.ends.push(self.values.len() as i32);
        self.nulls.append_null();
    }

    fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        let entries = self.ends.last().map_or(0, |&end| end as usize);
        self.keys.truncate(entries);
        self.values.truncate(entries);
        self.nulls.truncate(len);
    }
}

impl Column {
    fn new(shape: &Shape, data_type: &DataType) -> Self {
        let (ends, nulls) = (Vec::with_capacity(ROWS), NullBufferBuilder::new(ROWS));
        match (shape, data_type) {
            (Shape::Struct(shape), DataType::Struct(fields)) => Self::Struct(Parts::new(shape, fields)),
            (Shape::List(shape), DataType::List(item)) => Self::List(Box::new(Items {
                items: Self::new(shape, item.data_type()),
                ends,
                nulls,
            })),
            (Shape::Map(shape), DataType::Map(entries, _)) => {
                let value = match entries.data_type() {
                    DataType::Struct(pair) => pair[1].data_type(),
                    other => other,
                };
                Self::Map(Box::new(Pairs {
                    keys: Bytes::new(),
                    values: Self::new(shape, value),
                    ends,
                    nulls,
                }))
            }
            (_, DataType::Boolean) => Self::Boolean(Values::new()),
            (_, DataType::Int8) => Self::Int8(Values::new()),
            (_, DataType::Int16) => Self::Int16(Values::new()),
            (_, DataType::Int32) => Self::Int32(Values::new()),
            (_, DataType::Int64) => Self::Int64(Values::new()),
            (_, DataType::Float32) => Self::Float32(Values::new()),
            (_, DataType::Float64) => Self::Float64(Values::new()),
            (_, DataType::Decimal128(..)) => Self::Decimal(Values::new()),
            (_, DataType::Date32) => Self::Date(Values::new()),
            (_, DataType::Timestamp(..)) => Self::Timestamp(Values::new()),
            (_, DataType::Binary) => Self::Binary(Bytes::new()),
            // The DDL yields no other type than text.
            _ => Self::Text(Bytes::new()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        each!(self, column => column.nulls.len())
    }

    pub(crate) fn push_null(&mut self) {
        each!(self, column => column.push_null());
    }

    fn truncate(&mut self, len: usize) {
        each!(self, column => column.truncate(len));
    }

    /// A text, or binary.
    #[inline]
    pub(crate) fn push_bytes(&mut self, value: &[u8]) {
        if let Self::Text(column) | Self::Binary(column) = self {
            column.push(value);
        }
    }

    pub(crate) fn push_boolean(&mut self, value: bool) {
        if let Self::Boolean(column) = self {
            column.push(value);
        }
    }

    /// An integer that is in the column's range.
    pub(crate) fn push_integer(&mut self, value: i64) {
        match self {
            Self::Int8(column) => column.push(value as i8),
            Self::Int16(column) => column.push(value as i16),
            Self::Int32(column) => column.push(value as i32),
            Self::Int64(column) => column.push(value),
            _ => {}
        }
    }

    pub(crate) fn push_float(&mut self, value: f32) {
        if let Self::Float32(column) = self {
            column.push(value);
        }
    }

    pub(crate) fn push_double(&mut self, value: f64) {
        if let Self::Float64(column) = self {
            column.push(value);
        }
    }

    /// A decimal in units of its last digit.
    pub(crate) fn push_decimal(&mut self, value: i128) {
        if let Self::Decimal(column) = self {
            column.push(value);
        }
    }

    /// A date, in days since 1970.
    pub(crate) fn push_days(&mut self, value: i32) {
        if let Self::Date(column) = self {
            column.push(value);
        }
    }

    /// A timestamp, in microseconds since 1970.
    pub(crate) fn push_micros(&mut self, value: i64) {
        if let Self::Timestamp(column) = self {
            column.push(value);
        }
    }

    /// The array of `data_type`, for which the column was made. Leaves it empty.
    fn finish(&mut self, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let mismatch = || ArrowError::SchemaError(format!("a column was not made for {data_type}"));
        Ok(match self {
            Self::Text(column) => Arc::new(column.finish_text()?),
            Self::Binary(column) => Arc::new(column.finish_binary()?),
            Self::Boolean(column) => Arc::new(BooleanArray::new(column.take().into(), column.nulls.finish())),
            Self::Int8(column) => primitive::<Int8Type>(column, data_type)?,
            Self::Int16(column) => primitive::<Int16Type>(column, data_type)?,
            Self::Int32(column) => primitive::<Int32Type>(column, data_type)?,
            Self::Int64(column) => primitive::<Int64Type>(column, data_type)?,
            Self::Float32(column) => primitive::<Float32Type>(column, data_type)?,
            Self::Float64(column) => primitive::<Float64Type>(column, data_type)?,
            Self::Decimal(column) => primitive::<Decimal128Type>(column, data_type)?,
            Self::Date(column) => primitive::<Date32Type>(column, data_type)?,
            Self::Timestamp(column) => primitive::<TimestampMicrosecondType>(column, data_type)?,
            Self::Struct(column) => {
                let DataType::Struct(fields) = data_type else {
                    return Err(mismatch());
                };
                let len = column.len();
                let (arrays, nulls) = column.finish(fields)?;
                Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls, len)?)
            }
            Self::List(column) => {
                let DataType::List(item) = data_type else {
                    return Err(mismatch());
                };
                let (offsets, nulls) = (offsets(&mut column.ends), column.nulls.finish());
                let items = column.items.finish(item.data_type())?;
                Arc::new(ListArray::try_new(item.clone(), offsets, items, nulls)?)
            }
            Self::Map(column) => {
                let DataType::Map(entry, sorted) = data_type else {
                    return Err(mismatch());
                };
                let DataType::Struct(pair) = entry.data_type() else {
                    return Err(mismatch());
                };
                let (offsets, nulls) = (offsets(&mut column.ends), column.nulls.finish());
                let keys: ArrayRef = Arc::new(column.keys.finish_text()?);
                let values = column.values.finish(pair[1].data_type())?;
                let entries = StructArray::try_new(pair.clone(), vec![keys, values], None)?;
                Arc::new(MapArray::try_new(entry.clone(), offsets, entries, nulls, *sorted)?)
            }
        })
    }
}

fn primitive<P: ArrowPrimitiveType>(
    column: &mut Values<P::Native>,
    data_type: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let values = ScalarBuffer::from(column.take());
    let array = PrimitiveArray::<P>::try_new(values, column.nulls.finish())?;
    Ok(Arc::new(array.with_data_type(data_type.clone())))
}

/// Arrow's offsets begin with the first value's start. Leaves `ends` empty.
fn offsets(ends: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.append(ends);
    OffsetBuffer::new(offsets.into())
}
