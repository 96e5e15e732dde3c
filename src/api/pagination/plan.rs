//! From a committed cursor to the next request.

use serde_json::Value;

use super::{CursorKind, PageCursor, PageRequest, ShardScope};
use crate::{
    api::ApiError,
    config::settings::{HttpSource, Paginate, Stop, shown_url},
    model::ShardId,
};

/// What a shard does next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one at a time, and it is taken apart at once"
)]
pub enum Next {
    /// Fetch this page.
    Request(PageRequest),
    /// The sweep is over; the next one starts at this time: milliseconds since 1970-01-01 UTC.
    WaitUntil(i64),
    /// There is nothing more to fetch, ever.
    Finished,
}

/// Says what a shard does next. `cursor` is what the shard has committed, `now_ms` the time in milliseconds since 1970.
///
/// Without `every` a finished sweep is finished for good. With it the next sweep starts `every` after the start of the
/// last one, or at once when the sweep took longer.
///
/// Errors: [`ApiError::Cursor`] when the cursor or the shard does not belong to these settings, [`ApiError::PageLoop`] when
/// the sweep has `max_pages` pages and no end.
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
            "it belongs to `paginate.kind = \"{}\"`, the settings say \"{kind}\"; give the pipeline another name, or the old kind",
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
                PageCursor {
                    // Only a feed keeps one.
                    token: over.token,
                    ..PageCursor::start(kind, over.sweep.saturating_add(1), first, now_ms)
                }
            }
        },
        None => PageCursor::start(kind, 1, first, now_ms),
    };
    let current = bind_limit(settings, &scope, current).map_err(refuse)?;
    if current.pages >= settings.max_pages {
        return Err(ApiError::PageLoop {
            request: format!("{} {}", settings.method.as_str(), shown_url(&settings.url)),
            problem: format!(
                "shard {shard} has {} pages in this sweep and no end; the API leads in a circle, or it has more pages than \
                 that: then raise `max_pages`",
                current.pages
            ),
        });
    }
    Ok(Next::Request(PageRequest::new(settings, scope, current)))
}

/// Stripes of offsets are cut by the limit, so a sweep keeps the one that it began with. Errors are sentences.
fn bind_limit(settings: &HttpSource, scope: &ShardScope, mut cursor: PageCursor) -> Result<PageCursor, String> {
    let Paginate::Offset { limit, .. } = &settings.paginate else {
        return Ok(cursor);
    };
    match cursor.limit {
        Some(begun) if begun != *limit && scope.stride > 1 => Err(format!(
            "this sweep has begun with `paginate.limit = {begun}`, the settings say {limit}; put the old limit back until the \
             sweep is over, or give the pipeline another name"
        )),
        _ => {
            cursor.limit = (scope.stride > 1).then_some(*limit);
            Ok(cursor)
        }
    }
}

/// The shard's first page; `None` where the stop rule leaves it none.
fn first_page(paginate: &Paginate, scope: &ShardScope) -> Option<u64> {
    match paginate {
        // Every stripe of a single page is the same page: the first stripe takes it.
        Paginate::Single => (scope.stride == 1 || scope.index == 0).then_some(0),
        Paginate::Page { first, stop, .. } => {
            let first = scope.first(*first)?;
            has_pages(scope, stop, first).then_some(first)
        }
        Paginate::Offset { first, limit, stop, .. } => {
            let window = if scope.stride == 1 { 0 } else { scope.index };
            let first = window.checked_mul(*limit)?.checked_add(*first)?;
            has_pages(scope, stop, first).then_some(first)
        }
        Paginate::Cursor { stop, .. } | Paginate::NextUrl { stop, .. } | Paginate::LinkHeader { stop } => {
            let has_pages = stop.as_ref().is_none_or(|stop| has_pages(scope, stop, 1));
            (has_pages && (scope.stride == 1 || scope.index == 0)).then_some(1)
        }
    }
}

fn has_pages(scope: &ShardScope, stop: &Stop, first: u64) -> bool {
    match stop {
        Stop::Last(last) => first <= *last,
        Stop::MaxRecords(max) => scope.share(*max) > 0,
        Stop::Empty | Stop::Short | Stop::Total(_) => true,
    }
}
