//! The bounds of a source that are the same for all.

use std::time::Duration;

/// What no configuration key says. The defaults are what runs; tests want other ones.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// The largest page, in bytes, decompressed.
    pub page_bytes: usize,
    /// The span of the first pause between attempts.
    pub shortest_pause: Duration,
    /// The longest span of a pause.
    pub longest_pause: Duration,
    /// The most that Retry-After is believed.
    pub longest_retry_after: Duration,
    /// How often an undecodable page is asked for before it is an error.
    pub decode_attempts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            page_bytes: 256 * 1024 * 1024,
            shortest_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            longest_retry_after: Duration::from_secs(600),
            decode_attempts: 3,
        }
    }
}
