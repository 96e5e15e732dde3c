//! Splits pages, as the settings of one source say.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json_path::JsonPath;

use super::{
    general::query,
    mask::mask,
    path::{Rest, SimplePath},
    pick::{Picked, elements, kind, pick},
    record::{KeyPath, record},
};
use crate::{
    api::ApiError,
    config::settings::{HttpSource, Paginate, Stop},
    model::PageRecord,
};

/// The whole page is unusable. The text says why, and does not repeat the page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PageProblem(pub String);

/// What a page holds.
#[derive(Clone, Debug)]
pub struct SplitPage {
    /// Its records, in the page's order; refused ones included.
    pub records: Vec<PageRecord>,
    /// What the page says about how many records there are in all, where the stop rule asks for it.
    pub total: Option<u64>,
}

/// Splits the pages of one source.
pub struct Splitter {
    records: SimplePath,
    records_text: String,
    records_path: JsonPath,
    key: Option<KeyPath>,
    total: Option<(String, JsonPath)>,
    /// Whether a page without records means something: it ends the sweep.
    empty_is_an_end: bool,
}

impl Splitter {
    /// Prepares the paths of a source.
    pub fn new(settings: &HttpSource) -> Result<Self, ApiError> {
        let stop = match &settings.paginate {
            Paginate::Single => None,
            Paginate::Page { stop, .. } => Some(stop),
        };
        let total = match stop {
            Some(Stop::Total(text)) => Some((
                text.clone(),
                JsonPath::parse(text).map_err(|error| ApiError::Configure {
                    place: "paginate.total",
                    problem: error.to_string(),
                })?,
            )),
            _ => None,
        };
        Ok(Self {
            records: SimplePath::parse(&settings.records_text),
            records_text: settings.records_text.clone(),
            records_path: settings.records.clone(),
            key: settings
                .key
                .as_ref()
                .map(|path| KeyPath::new(settings.key_text.as_deref().unwrap_or(&path.to_string()), path)),
            total,
            empty_is_an_end: !matches!(stop, None | Some(Stop::Last(_))),
        })
    }

    /// Splits a page. Payloads are slices of `body`.
    pub fn split(&self, body: &Bytes) -> Result<SplitPage, PageProblem> {
        // Some servers send a byte order mark; RFC 8259 lets a reader overlook it.
        let body = body
            .strip_prefix(b"\xef\xbb\xbf")
            .map_or(body.clone(), |rest| body.slice_ref(rest));
        let text = mask(&body);
        let masked = matches!(text, Cow::Owned(_));
        let start = text.as_ptr() as usize;
        let records = self
            .find(&text)?
            .into_iter()
            .map(|found| {
                let at = found.as_ptr() as usize - start;
                record(body.slice(at..at + found.len()), found, masked, self.key.as_ref())
            })
            .collect();
        Ok(SplitPage {
            records,
            total: self.total(&text)?,
        })
    }

    fn find<'t>(&self, text: &'t str) -> Result<Vec<&'t str>, PageProblem> {
        let SimplePath { segments, rest } = &self.records;
        let picked = pick(text, segments, *rest == Rest::Elements).map_err(|error| self.not_json(text, &error))?;
        if *rest == Rest::General && matches!(picked, Picked::One(_)) {
            return query(text, &self.records_path).map_err(|error| self.not_json(text, &error));
        }
        let raw = match picked {
            Picked::One(value) => match value.get().as_bytes().first() {
                // A record is never an array, so a path that leads to one array means its elements.
                Some(b'[') => match elements(value).map_err(|error| self.not_json(text, &error))? {
                    Picked::Each(each) => each,
                    _ => vec![],
                },
                Some(b'{') => vec![value],
                Some(b'n') => vec![],
                _ => return Err(self.leads_to(kind(value.get()))),
            },
            Picked::Each(each) => each,
            Picked::Null => vec![],
            Picked::Missing { within_empty: true } if self.empty_is_an_end => vec![],
            Picked::Missing { .. } => return Err(self.leads_to("nothing")),
            Picked::Scalar(kind) => return Err(self.leads_to(kind)),
        };
        Ok(raw.into_iter().map(|value| value.get()).collect())
    }

    fn total(&self, text: &str) -> Result<Option<u64>, PageProblem> {
        let Some((total_text, path)) = &self.total else {
            return Ok(None);
        };
        let found = match SimplePath::parse(total_text) {
            SimplePath {
                segments,
                rest: Rest::Nothing,
            } => match pick(text, &segments, false) {
                Ok(Picked::One(value)) => Some(value.get()),
                _ => None,
            },
            _ => query(text, path).ok().and_then(|found| found.first().copied()),
        };
        let total = found.and_then(|found| found.trim_matches('"').parse().ok());
        total.map(Some).ok_or_else(|| {
            PageProblem(format!(
                "`total = {total_text}` leads to {} where a count should be",
                found.map_or("nothing", kind)
            ))
        })
    }

    fn leads_to(&self, what: &str) -> PageProblem {
        PageProblem(format!("`records = {}` leads to {what} in it", self.records_text))
    }

    fn not_json(&self, text: &str, error: &serde_json::Error) -> PageProblem {
        let text = text.trim_start();
        PageProblem(if text.is_empty() {
            "it is empty".to_owned()
        } else if text.starts_with('<') {
            "it is HTML or XML, not JSON".to_owned()
        } else {
            format!("it is not JSON: {error}")
        })
    }
}
