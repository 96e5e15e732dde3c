//! From a fetched page to the cursor after it.

use super::{Circle, PageCursor, PageRequest, tokens};
use crate::config::settings::{Paginate, Stop};

/// What pagination needs to know of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageFacts {
    /// Records on the page.
    pub num_records: u64,
    /// A hash of its records.
    pub hash: u64,
    /// What the page says about how many records there are in all.
    pub total: Option<u64>,
    /// What leads to the next page, where the page names it: the JSON text of a token, or a link.
    pub token: Option<String>,
}

/// Where the shard stands after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The cursor after the page; `done` when the sweep is over.
    pub cursor: PageCursor,
    /// How many of the page's records count; the others are cut off.
    pub keep: usize,
    /// How many records of the total that the API names the finished sweep has not seen.
    pub missing: u64,
}

impl PageRequest {
    /// Moves over a page that was fetched for this request.
    pub fn after(&self, paginate: &Paginate, page: &PageFacts) -> Result<Advance, Circle> {
        let before = &self.cursor;
        let hash = (page.num_records > 0).then(|| format!("{:016x}", page.hash));
        // What lies beyond a stripe's window is another stripe's.
        let taken = page.num_records.min(self.room.unwrap_or(u64::MAX));
        let keep = taken.min(self.limit.unwrap_or(u64::MAX));
        // One record alone may well come again; a whole page does not.
        let first_hash = match before.pages {
            0 => hash.clone().filter(|_| page.num_records > 1),
            _ => before.first_hash.clone(),
        };
        let mut cursor = PageCursor {
            records: before.records.saturating_add(keep),
            pages: before.pages.saturating_add(1),
            last_len: Some(page.num_records),
            last_hash: hash,
            first_hash,
            done: true,
            ..before.clone()
        };
        let repeats = cursor.last_hash.is_some() && cursor.last_hash == before.last_hash;
        if repeats && !matches!(paginate, Paginate::Single) {
            return Err(Circle::SamePage);
        }
        if cursor.last_hash.is_some() && cursor.last_hash == before.first_hash {
            return Err(Circle::FirstPage);
        }
        match paginate {
            Paginate::Single => {}
            Paginate::Page { first, stop, .. } => {
                let next = before.next.checked_add(self.scope.stride);
                cursor.next = next.unwrap_or(before.next);
                cursor.done = next.is_none_or(|next| match stop {
                    Stop::Last(last) => next > *last,
                    Stop::Total(_) => {
                        self.covers(page, next.saturating_sub(*first), cursor.records) || self.runs_dry(page)
                    }
                    _ => self.ends(stop, page, keep, &cursor),
                });
            }
            Paginate::Offset { first, limit, stop, .. } => {
                let next = self.next_offset(*first, *limit, taken);
                cursor.next = next.unwrap_or(before.next);
                cursor.done = next.is_none_or(|next| match stop {
                    // What is left of the last window belongs to it.
                    Stop::Last(last) if self.room.is_some() => next - next.saturating_sub(*first) % limit > *last,
                    Stop::Last(last) => next > *last,
                    Stop::Total(_) => {
                        page.total.is_some_and(|total| next.saturating_sub(*first) >= total) || self.runs_dry(page)
                    }
                    _ => self.ends(stop, page, keep, &cursor),
                });
            }
            Paginate::Cursor { stop, .. } | Paginate::NextUrl { stop, .. } | Paginate::LinkHeader { stop } => {
                self.turn(stop.as_ref(), page, keep, &mut cursor)?;
            }
        }
        let missing = match page.total {
            Some(total) if cursor.done && self.scope.stride == 1 => total.saturating_sub(cursor.records),
            _ => 0,
        };
        Ok(Advance {
            cursor,
            keep: usize::try_from(keep).unwrap_or(usize::MAX),
            missing,
        })
    }

    /// Whether a stop rule that needs no number of a page ends the sweep.
    fn ends(&self, stop: &Stop, page: &PageFacts, keep: u64, cursor: &PageCursor) -> bool {
        let (len, last_len) = (page.num_records, self.cursor.last_len);
        match stop {
            Stop::Empty => len == 0,
            // Of an offset's stripe less may have been asked for than before.
            Stop::Short => {
                len == 0 || (last_len.is_some_and(|last| len < last) && self.room.is_none_or(|room| len < room))
            }
            // An API that runs out sooner ends the sweep too, or it would be asked for ever.
            Stop::MaxRecords(_) => self.is_full(keep) || (len == 0 && page.token.is_none()),
            Stop::Last(last) => cursor.pages >= *last,
            Stop::Total(_) => page.total.is_some_and(|total| cursor.records >= total),
        }
    }

    fn is_full(&self, keep: u64) -> bool {
        self.limit.is_none_or(|limit| keep >= limit)
    }

    /// An empty page may lie in the middle; two of them, or one that names no total, are the end.
    fn runs_dry(&self, page: &PageFacts) -> bool {
        page.num_records == 0 && (page.total.is_none() || self.cursor.last_len == Some(0))
    }

    /// Follows the token, or ends the sweep.
    fn turn(&self, stop: Option<&Stop>, page: &PageFacts, keep: u64, cursor: &mut PageCursor) -> Result<(), Circle> {
        cursor.next = cursor.next.saturating_add(1);
        let is_ended = stop.is_some_and(|stop| self.ends(stop, page, keep, cursor));
        match page.token.clone() {
            // A feed that goes on: the next sweep begins with this token.
            Some(token) if is_ended && matches!(stop, Some(Stop::Empty | Stop::Short)) => cursor.token = Some(token),
            Some(token) if !is_ended => {
                tokens::turn(cursor, token)?;
                cursor.done = false;
            }
            _ => cursor.token = None,
        }
        Ok(())
    }

    /// Where the next page begins; `None` = beyond all numbers.
    fn next_offset(&self, first: u64, limit: u64, taken: u64) -> Option<u64> {
        let at = self.cursor.next;
        match self.room {
            // An empty page is passed over as a whole.
            None => at.checked_add(if taken == 0 { limit } else { taken }),
            Some(room) if taken > 0 && taken < room => at.checked_add(taken),
            Some(_) => {
                let window = at.saturating_sub(first) / limit;
                window
                    .checked_add(self.scope.stride)?
                    .checked_mul(limit)?
                    .checked_add(first)
            }
        }
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
