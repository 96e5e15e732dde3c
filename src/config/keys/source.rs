//! `[pipeline.source]`

use std::time::Duration;

use super::{Fallback::*, Key, Kind};

const TABLE: &str = "pipeline[].source";
const DAY: Duration = Duration::from_secs(86_400);

pub(super) const KEYS: &[Key] = &[
    Key {
        table: TABLE,
        name: "kind",
        kind: Kind::Choice {
            built: &["http", "exec", "none"],
            planned: &[],
        },
        default: Required,
        sentence: "Where records come from: \"http\", \"exec\" (what a program prints), or \"none\" if other programs fill \
                   the topic.",
    },
    Key {
        table: TABLE,
        name: "url",
        kind: Kind::HttpUrl,
        default: Required,
        sentence: "The address, without the parameters that query and paginate add.",
    },
    Key {
        table: TABLE,
        name: "method",
        kind: Kind::Choice {
            built: &["GET", "POST", "PUT", "PATCH"],
            planned: &[],
        },
        default: Is("\"GET\""),
        sentence: "The HTTP method: \"GET\", \"POST\", \"PUT\" or \"PATCH\".",
    },
    Key {
        table: TABLE,
        name: "records",
        kind: Kind::JsonPath,
        default: Required,
        sentence: "The JSONPath (RFC 9535) of the records in a page.",
    },
    Key {
        table: TABLE,
        name: "key",
        kind: Kind::JsonPath,
        default: Unset,
        sentence: "The JSONPath of the message key in a record; records with the same key keep their order. With \"upsert\" \
                   it should be the table's key.",
    },
    Key {
        table: TABLE,
        name: "every",
        kind: Kind::Span {
            min: Duration::from_millis(100),
            max: Duration::from_secs(366 * 86_400),
        },
        default: Unset,
        sentence: "The time from the start of one sweep over the pages to the start of the next; without it there is one sweep. \
                   With \"exec\" a sweep is a run.",
    },
    Key {
        table: TABLE,
        name: "rate",
        kind: Kind::Rate,
        default: Unset,
        sentence: "The most requests, as \"count in duration\", over all shards of this daemon.",
    },
    Key {
        table: TABLE,
        name: "timeout",
        kind: Kind::Span {
            min: Duration::from_millis(10),
            max: DAY,
        },
        default: Is("\"30s\""),
        sentence: "The deadline of a whole request, body included. With \"exec\" it is the longest time without a line, and \
                   \"5m\" by default.",
    },
    Key {
        table: TABLE,
        name: "shards",
        kind: Kind::Shards,
        default: Is("1"),
        sentence: "How the source is split: a number of stripes of its pages, or a list of parameter sets like \
                   [{ nat = \"fr\" }, { nat = \"de\" }]. With \"exec\" there is one run a set, which finds nat in AQUEDUCT_NAT.",
    },
    Key {
        table: TABLE,
        name: "query",
        kind: Kind::Map,
        default: Unset,
        sentence: "Query parameters of every request.",
    },
    Key {
        table: TABLE,
        name: "headers",
        kind: Kind::Map,
        default: Unset,
        sentence: "Headers of every request to this host.",
    },
    Key {
        table: TABLE,
        name: "body",
        kind: Kind::Body,
        default: Unset,
        sentence: "The body of every request: a table, which is sent as a JSON object, or a text, which is sent as it is.",
    },
    Key {
        table: TABLE,
        name: "command",
        kind: Kind::Texts,
        default: Required,
        sentence: "The program and its arguments, started without a shell; a name without / is looked up in PATH.",
    },
    Key {
        table: TABLE,
        name: "output",
        kind: Kind::Choice {
            built: &["lines", "cursors", "singer"],
            planned: &[],
        },
        default: Is("\"lines\""),
        sentence: "What the program prints: \"lines\" of JSON, each a record or {\"cursor\": …}; \"cursors\", the same, but \
                   records always wait for the cursor after them; or \"singer\" messages.",
    },
    Key {
        table: TABLE,
        name: "stream",
        kind: Kind::Text,
        default: Unset,
        sentence: "With \"singer\": the one stream whose records are taken; without it all of them are.",
    },
    Key {
        table: TABLE,
        name: "state_arg",
        kind: Kind::Text,
        default: Follows("\"--state\" with \"singer\", else none"),
        sentence: "The argument after which the program takes a file with its last cursor; it is left out while there is none.",
    },
    Key {
        table: TABLE,
        name: "dir",
        kind: Kind::Path,
        default: Follows("this file's directory"),
        sentence: "The program's working directory.",
    },
    Key {
        table: TABLE,
        name: "env",
        kind: Kind::Map,
        default: Unset,
        sentence: "Variables of the program's environment, besides the daemon's own; their values are never printed.",
    },
    Key {
        table: TABLE,
        name: "retry_after_max",
        kind: Kind::Span {
            min: Duration::from_millis(10),
            max: DAY,
        },
        default: Is("\"10m\""),
        sentence: "The longest that an answer's Retry-After is waited for, whatever it says.",
    },
    Key {
        table: TABLE,
        name: "max_page",
        kind: Kind::Size {
            min: 1 << 10,
            max: 1 << 30,
        },
        default: Is("\"64MiB\""),
        sentence: "The largest page, decompressed; a larger one is cut off while it comes, and parks the pipeline.",
    },
    Key {
        table: TABLE,
        name: "max_pages",
        kind: Kind::Count {
            unit: "pages",
            min: 1,
            max: i64::MAX as u64,
        },
        default: Is("1000000"),
        sentence: "The most pages of one sweep in one shard; beyond, the pagination is taken for a circle, and the pipeline parks.",
    },
];
