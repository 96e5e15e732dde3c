//! What flows: pages, records, positions, batches, verdicts. No input or output, no actors.

mod cursor;
mod finding;
mod ledger;
mod lost_range;
mod member;
mod page;
mod position;
mod record;
mod rejected;
mod verdict;

pub use cursor::{CursorRecord, ShardId};
pub use finding::{Finding, Health};
pub use ledger::{Ledger, RecordCounts, RowCounts, UncountedSkips};
pub use lost_range::{Loss, LostRange};
pub use member::GroupMember;
pub use page::{IngestReject, Page, PageRecord};
pub use position::{PartitionKey, Position, TopicId};
pub use record::{Header, LogRecord};
pub use rejected::{Rejected, Stage, without_values};
pub use verdict::Verdict;
