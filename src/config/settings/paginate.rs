//! How to get from page to page, and when to stop.

/// `pipeline.source.paginate`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paginate {
    /// One request is the whole sweep.
    Single,
    /// A page number in the query.
    Page {
        /// The query parameter.
        param: String,
        /// The first page's number.
        first: u64,
        /// When the sweep ends.
        stop: Stop,
    },
    /// The number of records before the page. It moves on by the records that came, so that an API with a lower limit of
    /// its own loses none.
    Offset {
        /// The parameter that takes the offset.
        param: String,
        /// The parameter that takes the limit.
        limit_param: String,
        /// The most records of a page; at least 1.
        limit: u64,
        /// The first offset.
        first: u64,
        /// When the sweep ends.
        stop: Stop,
    },
    /// A token out of each page, which is sent for the next one. Without one the sweep ends.
    Cursor {
        /// The parameter that takes the token.
        param: String,
        /// The JSONPath of the token in a page, as written.
        path: String,
        /// What else ends the sweep.
        stop: Option<Stop>,
    },
    /// A link in each page that leads to the next one. Without one the sweep ends.
    NextUrl {
        /// The JSONPath of the link in a page, as written.
        path: String,
        /// What else ends the sweep.
        stop: Option<Stop>,
    },
    /// A link in the header `Link` (RFC 8288, `rel="next"`). Without one the sweep ends.
    LinkHeader {
        /// What else ends the sweep.
        stop: Option<Stop>,
    },
}

/// `pipeline.source.paginate.stop` and its companions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// `stop = "empty"`: a page without records is the end.
    Empty,
    /// `stop = "short"`: a page with fewer records than the one before it (or none) is the end.
    Short,
    /// `last = N`: the page with this number (counted from 1 where pages have tokens), or at this offset, is the last one.
    Last(u64),
    /// `max_records = N`: the sweep ends with this many records over all shards; the last page is cut to fit.
    MaxRecords(u64),
    /// `total = <JSONPath>`: the page itself says how many records there are in all.
    Total(String),
}

impl Paginate {
    /// When a sweep ends; `None` where the last page says so itself, or where there is only one.
    pub fn stop(&self) -> Option<&Stop> {
        match self {
            Self::Single => None,
            Self::Page { stop, .. } | Self::Offset { stop, .. } => Some(stop),
            Self::Cursor { stop, .. } | Self::NextUrl { stop, .. } | Self::LinkHeader { stop } => stop.as_ref(),
        }
    }

    /// Whether each page names the next one, so that pages can only be had one after another.
    pub fn has_tokens(&self) -> bool {
        matches!(
            self,
            Self::Cursor { .. } | Self::NextUrl { .. } | Self::LinkHeader { .. }
        )
    }
}
