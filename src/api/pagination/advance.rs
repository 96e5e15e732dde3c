//! From a fetched page to the cursor after it.

use super::{PageCursor, PageRequest};
use crate::config::settings::{Paginate, Stop};

/// What pagination needs to know of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFacts {
    /// Records on the page.
    pub num_records: u64,
    /// A hash of its records.
    pub hash: u64,
    /// What the page says about how many records there are in all.
    pub total: Option<u64>,
}

/// Where the shard stands after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The cursor after the page; `done` when the sweep is over.
    pub cursor: PageCursor,
    /// How many of the page's records count; the others are cut off.
    pub keep: usize,
}

/// The page has the same records as the one before: the API does not turn the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamePage;

impl PageRequest {
    /// Moves over a page that was fetched for this request.
    pub fn after(&self, paginate: &Paginate, page: &PageFacts) -> Result<Advance, SamePage> {
        let before = &self.cursor;
        let hash = (page.num_records > 0).then(|| format!("{:016x}", page.hash));
        let keep = page.num_records.min(self.limit.unwrap_or(u64::MAX));
        let mut cursor = PageCursor {
            records: before.records.saturating_add(keep),
            last_len: Some(page.num_records),
            last_hash: hash,
            done: true,
            ..before.clone()
        };
        if let Paginate::Page { first, stop, .. } = paginate {
            if cursor.last_hash.is_some() && cursor.last_hash == before.last_hash {
                return Err(SamePage);
            }
            let next = before.next.checked_add(self.scope.stride);
            cursor.next = next.unwrap_or(before.next);
            cursor.done = next.is_none_or(|next| match stop {
                Stop::Last(last) => next > *last,
                // An API that runs out sooner ends the sweep too, or it would be asked for ever.
                Stop::MaxRecords(_) => page.num_records == 0 || self.limit.is_none_or(|limit| keep >= limit),
                Stop::Empty => page.num_records == 0,
                Stop::Short => page.num_records == 0 || before.last_len.is_some_and(|len| page.num_records < len),
                Stop::Total(_) => {
                    page.num_records == 0 || self.covers(page, next.saturating_sub(*first), cursor.records)
                }
            });
        }
        Ok(Advance {
            cursor,
            keep: usize::try_from(keep).unwrap_or(usize::MAX),
        })
    }

    /// Whether the `num_pages` pages before this shard's next one hold all the records that the API says it has.
    fn covers(&self, page: &PageFacts, num_pages: u64, records: u64) -> bool {
        let Some(total) = page.total else { return false };
        if self.scope.stride == 1 {
            return records >= total;
        }
        // A stripe sees only its own pages, so it counts on all pages but the last being equally long. Where it has only
        // seen the short last one it reckons too low, and one more request, for a page beyond the end, settles it.
        let page_len = page.num_records.max(self.cursor.last_len.unwrap_or(0));
        num_pages.saturating_mul(page_len) >= total
    }
}
