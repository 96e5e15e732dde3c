//! The next page of a shard, as it is asked for.

use serde_json::Value;

use super::{PageCursor, ShardScope};
use crate::config::settings::{HttpSource, Paginate, Place, Shards, Stop};

/// One page of one shard, to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The query parameters of the shard and of the page.
    pub params: Vec<(String, String)>,
    /// What goes into the body instead, with `paginate.place = "body"`: dots in a name lead into objects.
    pub members: Vec<(String, Value)>,
    /// The link to follow in place of address, query and `params`.
    pub link: Option<String>,
    /// Where the sweep stands before the page.
    pub(super) cursor: PageCursor,
    /// What the shard covers.
    pub(super) scope: ShardScope,
    /// At most this many records of the page count.
    pub(super) limit: Option<u64>,
    /// So many records are left in this stripe's window of offsets.
    pub(super) room: Option<u64>,
}

impl PageRequest {
    /// The number of the sweep, from 1.
    pub fn sweep(&self) -> u64 {
        self.cursor.sweep
    }

    /// The page's number or offset; of no meaning to `single`.
    pub fn page(&self) -> u64 {
        self.cursor.next
    }

    pub(super) fn new(settings: &HttpSource, scope: ShardScope, cursor: PageCursor) -> Self {
        let mut request = Self {
            params: Vec::new(),
            members: Vec::new(),
            link: None,
            cursor,
            scope,
            limit: None,
            room: None,
        };
        request.add_shard(settings);
        request.add_page(settings);
        if let Some(Stop::MaxRecords(max)) = settings.paginate.stop() {
            let share = request.scope.share(*max);
            request.limit = Some(share.saturating_sub(request.cursor.records));
        }
        request
    }

    fn add_shard(&mut self, settings: &HttpSource) {
        let set = match &settings.shards {
            Shards::Declared(sets) => usize::try_from(self.scope.index).ok().and_then(|index| sets.get(index)),
            Shards::Stripes(_) => None,
        };
        match (settings.place, set) {
            (Place::Query, _) => self.params.clone_from(&self.scope.params),
            (Place::Body, Some(set)) => {
                self.members = set.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            }
            (Place::Body, None) => {}
        }
    }

    fn add_page(&mut self, settings: &HttpSource) {
        let (place, next) = (settings.place, self.cursor.next);
        match &settings.paginate {
            Paginate::Single => {}
            Paginate::Page { param, .. } => self.add(place, param, &next.to_string()),
            Paginate::Offset {
                param,
                limit_param,
                limit,
                first,
                ..
            } => {
                // Stripes are cut from the offsets, so that what an API sends too little of is asked for again.
                let room = (self.scope.stride > 1).then(|| limit - next.saturating_sub(*first) % limit);
                self.room = room;
                self.add(place, param, &next.to_string());
                self.add(place, limit_param, &room.unwrap_or(*limit).to_string());
            }
            Paginate::Cursor { param, .. } => {
                if let Some(token) = self.cursor.token.clone() {
                    self.add(place, param, &token);
                }
            }
            Paginate::NextUrl { .. } | Paginate::LinkHeader { .. } => {
                self.link.clone_from(&self.cursor.token);
                if self.link.is_some() {
                    self.params.clear();
                }
            }
        }
    }

    /// Adds a parameter by the JSON text of its value.
    fn add(&mut self, place: Place, name: &str, json: &str) {
        let value = || serde_json::from_str(json).unwrap_or_else(|_| Value::from(json));
        match place {
            Place::Body => self.members.push((name.to_owned(), value())),
            Place::Query => {
                // Only a string has another text than its JSON; a number stays as it was written.
                let text = if json.starts_with('"') { value() } else { Value::Null };
                let text = text.as_str().unwrap_or(json).to_owned();
                self.params.push((name.to_owned(), text));
            }
        }
    }
}
