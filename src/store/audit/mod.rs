//! Looks at a PostgreSQL before a pipeline runs: what is there, and what we may do with it. Changes nothing but temporary
//! tables.

mod server;
mod table;

pub use server::server;
pub use table::table;

use super::StoreError;
use crate::model::{Finding, Verdict};

/// An error that kept us from looking, as a finding.
pub fn finding(place: &str, error: &StoreError) -> Finding {
    let text = match error.server_error() {
        Some(_) => format!("{error}: {}", error.reason()),
        None => error.to_string(),
    };
    match error.verdict() {
        // libpq says so when it looked for a server that takes writes; waiting for a fail-over is not the remedy here.
        _ if text.contains("session is read-only") || text.contains("server is in hot standby mode") => Finding::bad(
            place,
            format!(
                "{text}: it is a standby, which takes no writes; name the primary in postgres.url (several hosts are fine: postgres://a,b/db)"
            ),
        ),
        Verdict::Retry => Finding::away(
            place,
            format!("{text}; is postgres.url right, and does the server run?"),
        ),
        _ if error.sqlstate() == Some("42501") => {
            Finding::bad(place, format!("{text}: GRANT it to the user of postgres.url"))
        }
        _ => Finding::bad(place, text),
    }
}
