//! `[pipeline.source.paginate]`

use super::{Fallback::*, Key, Kind};

const TABLE: &str = "pipeline[].source.paginate";

pub(super) const KEYS: &[Key] = &[
    Key {
        table: TABLE,
        name: "kind",
        kind: Kind::Choice {
            built: &["single", "page", "offset", "cursor", "next_url", "link_header"],
            planned: &[],
        },
        default: Is("\"single\""),
        sentence: "How to get from page to page: \"single\" (one request is the whole sweep), \"page\" (a page number), \
                   \"offset\" (a number of records), \"cursor\" (a token out of each page), \"next_url\" (a link in each \
                   page) or \"link_header\" (a link in the header Link, RFC 8288).",
    },
    Key {
        table: TABLE,
        name: "param",
        kind: Kind::Text,
        default: Follows("the kind's name"),
        sentence: "The parameter that takes the page number, the offset or the token.",
    },
    Key {
        table: TABLE,
        name: "first",
        kind: Kind::Count {
            unit: "pages or records",
            min: 0,
            max: i64::MAX as u64,
        },
        default: Follows("1 with \"page\", 0 with \"offset\""),
        sentence: "The number of the first page, or the first offset.",
    },
    Key {
        table: TABLE,
        name: "limit",
        kind: Kind::Count {
            unit: "records",
            min: 1,
            max: u32::MAX as u64,
        },
        default: Unset,
        sentence: "With \"offset\": how many records to ask for.",
    },
    Key {
        table: TABLE,
        name: "limit_param",
        kind: Kind::Text,
        default: Is("\"limit\""),
        sentence: "With \"offset\": the parameter that takes the limit.",
    },
    Key {
        table: TABLE,
        name: "path",
        kind: Kind::JsonPath,
        default: Unset,
        sentence: "With \"cursor\" and \"next_url\": the JSONPath of the token, or of the link, in a page.",
    },
    Key {
        table: TABLE,
        name: "place",
        kind: Kind::Choice {
            built: &["query", "body"],
            planned: &[],
        },
        default: Is("\"query\""),
        sentence: "Where the parameters of paginate and shards go: into the \"query\" or into the JSON \"body\".",
    },
    Key {
        table: TABLE,
        name: "max_records",
        kind: Kind::Count {
            unit: "records",
            min: 1,
            max: i64::MAX as u64,
        },
        default: Unset,
        sentence: "Stop rule: a sweep ends with this many records over all shards; the last page is cut to fit.",
    },
    Key {
        table: TABLE,
        name: "stop",
        kind: Kind::Choice {
            built: &["empty", "short"],
            planned: &[],
        },
        default: Unset,
        sentence: "Stop rule: \"empty\" ends a sweep at a page without records, \"short\" at a page with fewer than the one \
                   before.",
    },
    Key {
        table: TABLE,
        name: "last",
        kind: Kind::Count {
            unit: "pages",
            min: 0,
            max: i64::MAX as u64,
        },
        default: Unset,
        sentence: "Stop rule: the number of the last page; with \"offset\" the last offset, with a token or a link how many pages.",
    },
    Key {
        table: TABLE,
        name: "total",
        kind: Kind::JsonPath,
        default: Unset,
        sentence: "Stop rule: the JSONPath of the number in a page that says how many records there are in all.",
    },
];
