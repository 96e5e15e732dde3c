//! What is committed with a page of a run.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    api::{
        ApiError,
        source::{Next, Request},
    },
    model::{PageRecord, ShardId},
};

/// Tells this cursor from those of other kinds of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CursorKind {
    Exec,
}

/// How far a shard has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunCursor {
    pub(super) kind: CursorKind,
    /// The number of the run that counts, from 1. Its repeats after a failure have the same number.
    pub(super) run: u64,
    /// When it was due: milliseconds since 1970-01-01 UTC.
    pub(super) started_ms: i64,
    /// The program's own state, byte for byte: what it gets as AQUEDUCT_CURSOR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<String>,
    /// What is committed beyond the state.
    #[serde(default, skip_serializing_if = "Prefix::is_empty")]
    pub(super) since: Prefix,
    /// Records of this run.
    pub(super) records: u64,
    /// Whether the run is over.
    pub(super) done: bool,
}

impl RunCursor {
    fn first(now_ms: i64) -> Self {
        Self {
            kind: CursorKind::Exec,
            run: 1,
            started_ms: now_ms,
            state: None,
            since: Prefix::default(),
            records: 0,
            done: false,
        }
    }

    /// The run after this one. It begins at the state that this one has left.
    fn next(&self, now_ms: i64) -> Self {
        Self {
            run: self.run.saturating_add(1),
            started_ms: now_ms,
            records: 0,
            done: false,
            ..self.clone()
        }
    }

    /// As it is committed.
    pub(super) fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("numbers, texts and booleans are always JSON")
    }
}

/// Records in a row, known by their number and a hash over them all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prefix {
    pub(super) records: u64,
    /// SHA-256 over the hash before and the record, in hexadecimal digits; empty before the first one.
    digest: String,
}

impl Prefix {
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(super) fn extend(&mut self, record: &PageRecord) {
        let reason = record.reject.as_ref().map_or("", |reject| reject.reason.as_str());
        let mut hash = Sha256::new();
        hash.update(self.digest.as_bytes());
        hash.update((reason.len() as u64).to_be_bytes());
        hash.update(reason.as_bytes());
        hash.update(&record.payload);
        self.digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.records += 1;
    }
}

/// The next page of a run, to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRequest {
    pub(super) cursor: RunCursor,
}

impl RunRequest {
    /// The number of the run, from 1.
    pub fn run(&self) -> u64 {
        self.cursor.run
    }
}

/// Says what a shard does next, as [`crate::api::pagination::plan`] does for an API.
pub(super) fn plan(
    every: Option<std::time::Duration>,
    shard: &ShardId,
    cursor: Option<&Value>,
    now_ms: i64,
) -> Result<Next, ApiError> {
    let committed = cursor
        .map(Option::<RunCursor>::deserialize)
        .transpose()
        .map_err(|error| ApiError::Cursor {
            shard: shard.number,
            problem: format!(
                "it cannot be read ({error}); it was written for another source: give the pipeline another name, or the old \
                 source"
            ),
        })?
        .flatten();
    let cursor = match committed {
        None => RunCursor::first(now_ms),
        Some(cursor) if !cursor.done => cursor,
        Some(over) => {
            let Some(every) = every else { return Ok(Next::Finished) };
            let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
            // A clock that was set back must not make the pause longer than it ever should be.
            let due = over.started_ms.min(now_ms).saturating_add(every_ms);
            if due > now_ms {
                return Ok(Next::WaitUntil(due));
            }
            over.next(now_ms)
        }
    };
    Ok(Next::Fetch(Request::Exec(RunRequest { cursor })))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn shard() -> ShardId {
        ShardId {
            number: 0,
            content: "{}".into(),
        }
    }

    fn planned(every: Option<u64>, cursor: &Value, now_ms: i64) -> Next {
        plan(every.map(Duration::from_secs), &shard(), Some(cursor), now_ms).expect("a plan")
    }

    fn run_of(next: Next) -> RunCursor {
        match next {
            Next::Fetch(Request::Exec(request)) => request.cursor,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_run_goes_on_where_it_was_committed_and_the_next_one_begins_at_its_state() {
        let first = run_of(planned(None, &Value::Null, 7));
        assert_eq!((first.run, first.started_ms, &first.state), (1, 7, &None));
        let half = RunCursor {
            state: Some(r#"{"id": 1.10}"#.to_owned()),
            records: 3,
            ..first
        };
        assert_eq!(run_of(planned(None, &half.to_value(), 9)), half, "byte for byte");
        let over = RunCursor { done: true, ..half };
        assert_eq!(planned(None, &over.to_value(), 9), Next::Finished);
        assert_eq!(planned(Some(1), &over.to_value(), 9), Next::WaitUntil(1_007));
        let second = run_of(planned(Some(1), &over.to_value(), 1_007));
        assert_eq!(
            (second.run, second.state.as_deref(), second.records, second.done),
            (2, Some(r#"{"id": 1.10}"#), 0, false)
        );
    }

    #[test]
    fn the_cursor_of_another_source_is_refused() {
        let cursor = json!({"kind": "page", "sweep": 1, "started_ms": 0, "next": 2, "records": 9, "done": false});
        let error = plan(None, &shard(), Some(&cursor), 0).expect_err("a refusal");
        assert!(error.to_string().contains("written for another source"), "{error}");
    }

    #[test]
    fn a_prefix_is_known_by_its_records_and_their_order() {
        let record = |payload: &'static str| PageRecord {
            key: None,
            payload: payload.into(),
            reject: None,
        };
        let prefix = |payloads: &[&'static str]| {
            let mut prefix = Prefix::default();
            payloads.iter().for_each(|payload| prefix.extend(&record(payload)));
            prefix
        };
        assert_eq!(prefix(&["1", "2"]), prefix(&["1", "2"]));
        for other in [&["2", "1"][..], &["12"], &["1", "2", "3"], &["1"], &["1", "22"]] {
            assert_ne!(prefix(&["1", "2"]), prefix(other));
        }
    }
}
