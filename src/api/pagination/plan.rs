//! From a committed cursor to the next request.

use serde_json::Value;

use super::{CursorKind, PageCursor, ShardScope};
use crate::{
    api::ApiError,
    config::settings::{HttpSource, Paginate, Stop},
    model::ShardId,
};

/// What a shard does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Fetch this page.
    Request(PageRequest),
    /// The sweep is over; the next one starts at this time: milliseconds since 1970-01-01 UTC.
    WaitUntil(i64),
    /// There is nothing more to fetch, ever.
    Finished,
}

/// One page of one shard, to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The query parameters of the shard and of the page.
    pub params: Vec<(String, String)>,
    /// Where the sweep stands before the page.
    pub(super) cursor: PageCursor,
    /// What the shard covers.
    pub(super) scope: ShardScope,
    /// At most this many records of the page count.
    pub(super) limit: Option<u64>,
}

impl PageRequest {
    /// The number of the sweep, from 1.
    pub fn sweep(&self) -> u64 {
        self.cursor.sweep
    }

    /// The page's number; of no meaning to `single`.
    pub fn page(&self) -> u64 {
        self.cursor.next
    }
}

/// Says what a shard does next. `cursor` is what the shard has committed, `now_ms` the time in milliseconds since 1970.
///
/// Without `every` a finished sweep is finished for good. With it the next sweep starts `every` after the start of the
/// last one, or at once when the sweep took longer.
///
/// Errors: [`ApiError::Cursor`] when the cursor or the shard does not belong to these settings.
pub fn plan(settings: &HttpSource, shard: &ShardId, cursor: Option<&Value>, now_ms: i64) -> Result<Next, ApiError> {
    let refuse = |problem: String| ApiError::Cursor {
        shard: shard.number,
        problem,
    };
    let scope = ShardScope::of(&settings.shards, shard)
        .ok_or_else(|| refuse(format!("the settings have no shard {}", shard.content)))?;
    let committed = match cursor.map(PageCursor::read) {
        None => None,
        Some(Ok(committed)) => committed,
        Some(Err(error)) => {
            return Err(refuse(format!(
                "it cannot be read ({error}); it was written for another source"
            )));
        }
    };
    let kind = CursorKind::of(&settings.paginate);
    if let Some(committed) = committed.as_ref().filter(|committed| committed.kind != kind) {
        return Err(refuse(format!(
            "it belongs to `paginate.kind` {:?}, the settings say {kind:?}; give the pipeline another name, or the old kind",
            committed.kind
        )));
    }
    let Some(first) = first_page(&settings.paginate, &scope) else {
        return Ok(Next::Finished);
    };

    let current = match committed {
        Some(cursor) if !cursor.done => cursor,
        Some(over) => match settings.every {
            None => return Ok(Next::Finished),
            Some(every) => {
                let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
                // A clock that was set back must not make the pause longer than it ever should be.
                let due = over.started_ms.min(now_ms).saturating_add(every_ms);
                if due > now_ms {
                    return Ok(Next::WaitUntil(due));
                }
                start(kind, over.sweep.saturating_add(1), first, now_ms)
            }
        },
        None => start(kind, 1, first, now_ms),
    };
    Ok(Next::Request(request(&settings.paginate, scope, current)))
}

/// The shard's first page; `None` where the stop rule leaves it none.
fn first_page(paginate: &Paginate, scope: &ShardScope) -> Option<u64> {
    match paginate {
        // Every stripe of a single page is the same page: the first stripe takes it.
        Paginate::Single => (scope.stride == 1 || scope.index == 0).then_some(0),
        Paginate::Page { first, stop, .. } => {
            let first = scope.first(*first)?;
            let has_pages = match stop {
                Stop::Last(last) => first <= *last,
                Stop::MaxRecords(max) => scope.share(*max) > 0,
                Stop::Empty | Stop::Short | Stop::Total(_) => true,
            };
            has_pages.then_some(first)
        }
    }
}

fn start(kind: CursorKind, sweep: u64, first: u64, now_ms: i64) -> PageCursor {
    PageCursor {
        kind,
        sweep,
        started_ms: now_ms,
        next: first,
        records: 0,
        last_len: None,
        last_hash: None,
        done: false,
    }
}

fn request(paginate: &Paginate, scope: ShardScope, cursor: PageCursor) -> PageRequest {
    let mut params = scope.params.clone();
    let mut limit = None;
    if let Paginate::Page { param, stop, .. } = paginate {
        params.push((param.clone(), cursor.next.to_string()));
        if let Stop::MaxRecords(max) = stop {
            limit = Some(scope.share(*max).saturating_sub(cursor.records));
        }
    }
    PageRequest {
        params,
        cursor,
        scope,
        limit,
    }
}
