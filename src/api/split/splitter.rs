//! Splits pages, as the settings of one source say.

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json_path::JsonPath;

use super::{
    general::query,
    mask::{mask, mask_tokens},
    one::OnePath,
    path::{Rest, Segment, SimplePath},
    pick::{Picked, elements, kind, pick},
    record::{KeyPath, record},
};
use crate::{
    api::ApiError,
    config::settings::{HttpSource, Paginate, Place, Stop},
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
    /// The JSON text of the token, or the link, that leads to the next page, where the page names it.
    pub token: Option<String>,
}

/// What may lead to the next page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenForm {
    /// A text that is a link.
    Link,
    /// A text or a number: it goes into the query.
    Scalar,
    /// Any JSON: it goes into the body.
    Any,
}

/// A longer token would not fit into a cursor, nor into a request.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What a page writes where there is no error.
const NOTHING: [&str; 5] = ["null", "false", "\"\"", "[]", "{}"];

/// Splits the pages of one source.
pub struct Splitter {
    records: SimplePath,
    records_text: String,
    records_path: JsonPath,
    key: Option<KeyPath>,
    total: Option<OnePath>,
    token: Option<(OnePath, TokenForm)>,
    /// Whether a page without records means something: it ends the sweep.
    empty_is_an_end: bool,
}

impl Splitter {
    /// Prepares the paths of a source.
    pub fn new(settings: &HttpSource) -> Result<Self, ApiError> {
        let stop = settings.paginate.stop();
        let total = match stop {
            Some(Stop::Total(text)) => Some(OnePath::parse(text, "paginate.total")?),
            _ => None,
        };
        let token = match &settings.paginate {
            Paginate::Cursor { path, .. } => {
                let form = match settings.place {
                    Place::Query => TokenForm::Scalar,
                    Place::Body => TokenForm::Any,
                };
                Some((OnePath::parse(path, "paginate.path")?, form))
            }
            Paginate::NextUrl { path, .. } => Some((OnePath::parse(path, "paginate.path")?, TokenForm::Link)),
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
            token,
            empty_is_an_end: settings.paginate.has_tokens() || !matches!(stop, None | Some(Stop::Last(_))),
        })
    }

    /// Splits a page. Payloads are slices of `body`.
    pub fn split(&self, body: &Bytes) -> Result<SplitPage, PageProblem> {
        // Some servers send a byte order mark; RFC 8259 lets a reader overlook it.
        let body = body
            .strip_prefix(b"\xef\xbb\xbf")
            .map_or(body.clone(), |rest| body.slice_ref(rest));
        let text = mask(&body);
        self.read(&body, &text).or_else(|problem| match mask_tokens(&text) {
            Some(masked) => self.read(&body, &masked).map_err(|_| problem),
            None => Err(problem),
        })
    }

    /// Splits a body by its text, in which some bytes may be masked.
    fn read(&self, body: &Bytes, text: &str) -> Result<SplitPage, PageProblem> {
        let start = text.as_ptr() as usize;
        let records = self
            .find(text)?
            .into_iter()
            .map(|found| {
                let at = found.as_ptr() as usize - start;
                record(body.slice(at..at + found.len()), found, self.key.as_ref())
            })
            .collect();
        Ok(SplitPage {
            records,
            total: self.total(body, text)?,
            token: self.token(body, text)?,
        })
    }

    fn find<'t>(&self, text: &'t str) -> Result<Vec<&'t str>, PageProblem> {
        let SimplePath { segments, rest } = &self.records;
        let picked = pick(text, segments, *rest == Rest::Elements).map_err(|error| self.not_json(text, &error))?;
        if *rest == Rest::General && matches!(picked, Picked::One(value) if value.get() != "null") {
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
                Some(b'n') => self.no_records(text)?,
                _ => return Err(self.leads_to(kind(value.get()))),
            },
            Picked::Each(each) => each,
            Picked::Null => self.no_records(text)?,
            Picked::Missing { within_empty: true } if self.empty_is_an_end => vec![],
            Picked::Missing { .. } => return Err(self.leads_to("nothing")),
            Picked::Scalar(kind) => return Err(self.leads_to(kind)),
        };
        Ok(raw.into_iter().map(|value| value.get()).collect())
    }

    /// `null` where records should be is a page without any, unless the page says that something went wrong: GraphQL does
    /// so with status 200, and an end would be taken for the end of the data.
    fn no_records<'t>(&self, text: &'t str) -> Result<Vec<&'t RawValue>, PageProblem> {
        let names_one = |name: &&str| {
            let picked = pick(text, &[Segment::Name((*name).to_owned())], false);
            matches!(picked, Ok(Picked::One(value)) if !NOTHING.contains(&value.get()))
        };
        match ["errors", "error"].iter().find(|name| names_one(name)) {
            Some(name) => Err(PageProblem(format!(
                "`records = {}` leads to null in it, and it has `{name}`",
                self.records_text
            ))),
            None => Ok(Vec::new()),
        }
    }

    /// What is at a place in the page; `None` = nothing. What cannot be read is not nothing: that would be the end.
    fn one<'t>(&self, path: &OnePath, body: &Bytes, text: &'t str) -> Result<Option<&'t str>, PageProblem> {
        let found = path.find(text).map_err(|error| self.not_json(text, &error))?;
        let is_masked = |found: &&str| {
            let at = found.as_ptr() as usize - text.as_ptr() as usize;
            body[at..at + found.len()] != *found.as_bytes()
        };
        match found {
            Some(found) if is_masked(&found) => Err(PageProblem(format!(
                "`{}` leads to {} that is no JSON or no UTF-8",
                path.text,
                kind(found)
            ))),
            found => Ok(found),
        }
    }

    fn total(&self, body: &Bytes, text: &str) -> Result<Option<u64>, PageProblem> {
        let Some(path) = &self.total else {
            return Ok(None);
        };
        let found = self.one(path, body, text)?;
        let total = found.and_then(|found| found.trim_matches('"').parse().ok());
        total.map(Some).ok_or_else(|| {
            PageProblem(format!(
                "`total = {}` leads to {} where a count should be",
                path.text,
                found.map_or("nothing", kind)
            ))
        })
    }

    /// What leads to the next page. Nothing, null, false and an empty text are the end.
    fn token(&self, body: &Bytes, text: &str) -> Result<Option<String>, PageProblem> {
        let Some((path, form)) = &self.token else {
            return Ok(None);
        };
        let Some(found) = self
            .one(path, body, text)?
            .filter(|found| !matches!(*found, "null" | "false" | r#""""#))
        else {
            return Ok(None);
        };
        let refuse = |what: &str, wanted: &str| {
            let path = &path.text;
            Err(PageProblem(format!(
                "`path = {path}` leads to {what} where {wanted} should be"
            )))
        };
        if found.len() > MAX_TOKEN_BYTES {
            return refuse("more than 16 KiB", "a token");
        }
        match (form, found.as_bytes().first()) {
            (TokenForm::Link, Some(b'"')) => match serde_json::from_str::<String>(found) {
                Ok(link) => Ok(Some(link)),
                Err(_) => refuse("a text that cannot be read", "a link"),
            },
            (TokenForm::Link, _) => refuse(kind(found), "a link"),
            (TokenForm::Scalar, Some(b'{' | b'[' | b't')) => refuse(kind(found), "a token"),
            _ => Ok(Some(found.to_owned())),
        }
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
