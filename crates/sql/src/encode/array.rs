//! Arrays: `array_recv` in `utils/adt/arrayfuncs.c`. Number of dimensions, whether there is a NULL, the elements' type;
//! for each dimension its length and its lower bound; then the elements in row order, each with its length in front.
//! An array without elements has no dimensions.

use arrow::array::{Array, AsArray, ListArray};

use super::{
    EncodeError, Field,
    choose::{ArrayKind, Kind, MAX_DIMENSIONS},
    refusal,
    write::{Writer, mismatch, sized, value},
};
use crate::OnNul;

/// SQL's: `tags[1]` is the first one.
const LOWER_BOUND: i32 = 1;

pub(super) fn array<'a>(
    field: &'a Field,
    kind: &'a ArrayKind,
    array: &'a dyn Array,
    on_nul: OnNul,
) -> Result<Writer<'a>, EncodeError> {
    let wrong = |found: &dyn Array| mismatch(field, found.data_type());
    let mut lists: Vec<&'a ListArray> = Vec::with_capacity(kind.dimensions);
    let mut inner = array;
    for _ in 0..kind.dimensions {
        let list: &'a ListArray = inner.as_list_opt().ok_or_else(|| wrong(inner))?;
        lists.push(list);
        inner = list.values().as_ref();
    }
    let nulls = inner.logical_nulls();
    let only_null = matches!(kind.element.kind, Kind::Null);
    let mut write = value(&kind.element, inner, on_nul)?;
    Ok(Box::new(move |row, out| {
        let mut lengths = [0_usize; MAX_DIMENSIONS];
        let (mut start, mut end) = (row, row + 1);
        for (length, list) in lengths.iter_mut().zip(&lists) {
            *length = list.value_length(start) as usize;
            let ragged = (start..end).any(|at| list.is_null(at) || list.value_length(at) as usize != *length);
            if ragged {
                return Err(refusal(
                    "2202E",
                    "a list within the list is NULL or has another length than its neighbours, which an array cannot \
                     hold",
                ));
            }
            let offsets = list.value_offsets();
            (start, end) = (offsets[start] as usize, offsets[end] as usize);
            if start == end {
                break;
            }
        }
        let is_null = |at: usize| only_null || nulls.as_ref().is_some_and(|nulls| nulls.is_null(at));
        let dimensions = if start == end { 0 } else { lists.len() };
        let has_null = (start..end).any(is_null);
        sized(out, |out| {
            out.extend_from_slice(&(dimensions as i32).to_be_bytes());
            out.extend_from_slice(&i32::from(has_null).to_be_bytes());
            out.extend_from_slice(&kind.element_oid.to_be_bytes());
            for length in &lengths[..dimensions] {
                out.extend_from_slice(&(*length as i32).to_be_bytes());
                out.extend_from_slice(&LOWER_BOUND.to_be_bytes());
            }
            for at in start..end {
                if is_null(at) {
                    out.extend_from_slice(&(-1_i32).to_be_bytes());
                } else {
                    write(at, out)?;
                }
            }
            Ok(())
        })
    }))
}
