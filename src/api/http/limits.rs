//! The bounds of a source that are the same for all.

use std::time::Duration;

/// What no configuration key says. The defaults are what runs; tests want other ones.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// The span of the first pause between attempts.
    pub shortest_pause: Duration,
    /// The longest span of a pause.
    pub longest_pause: Duration,
    /// How often an undecodable page is asked for before it is an error.
    pub decode_attempts: u32,
    /// How many 401s in a row there may be before one is an error, where there may be another credential.
    pub auth_attempts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            shortest_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            decode_attempts: 3,
            auth_attempts: 4,
        }
    }
}
