//! A value that a page has once: what leads to the next page, or how many records there are.

use serde_json_path::JsonPath;

use super::{
    general::query,
    path::{Rest, SimplePath},
    pick::{Picked, pick},
};
use crate::api::ApiError;

/// A place in a page where there is one value.
pub(super) struct OnePath {
    pub(super) text: String,
    path: JsonPath,
}

impl OnePath {
    pub(super) fn parse(text: &str, place: &'static str) -> Result<Self, ApiError> {
        match JsonPath::parse(text) {
            Ok(path) => Ok(Self {
                text: text.to_owned(),
                path,
            }),
            Err(error) => Err(ApiError::Configure {
                place,
                problem: error.to_string(),
            }),
        }
    }

    /// The JSON text of what is there.
    pub(super) fn find<'t>(&self, page: &'t str) -> Result<Option<&'t str>, serde_json::Error> {
        match SimplePath::parse(&self.text) {
            SimplePath {
                segments,
                rest: Rest::Nothing,
            } => Ok(match pick(page, &segments, false)? {
                Picked::One(value) => Some(value.get()),
                _ => None,
            }),
            _ => Ok(query(page, &self.path)?.first().copied()),
        }
    }
}
