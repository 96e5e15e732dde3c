//! How a simulated API should behave.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Replaces a record's JSON text: page number from 1, index on the page from 0, and the text; `None` leaves it as it is.
pub type Corrupt = Arc<dyn Fn(u64, usize, &str) -> Option<String> + Send + Sync>;

/// How a simulated API should behave. The default is a well-behaved one on a free port of this machine.
#[derive(Clone)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether a client that has had 20,000 users within 300 s is refused, as by the real server.
    pub rate_limit: bool,
    /// Every so many requests one is answered with `fail_status`; 1 = all.
    pub fail_every: Option<u64>,
    /// The seed of a source that fails one request in ten, each at random: a 500, a 429, or an answer that is cut off.
    pub flaky: Option<u64>,
    /// The status of failures and outages.
    pub fail_status: u16,
    /// How long it thinks before it answers.
    pub delay: Duration,
    /// The last page that has users; `None` = pages never run out, as on the real server.
    pub last_page: Option<u64>,
    /// Whether the ids of all served users are remembered, for [`super::Simulator::served_uuids`].
    pub remember: bool,
    /// Spoils records of the formats `json` and `pretty`.
    pub corrupt: Option<Corrupt>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            rate_limit: false,
            fail_every: None,
            flaky: None,
            fail_status: 503,
            delay: Duration::ZERO,
            last_page: None,
            remember: false,
            corrupt: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("rate_limit", &self.rate_limit)
            .field("fail_every", &self.fail_every)
            .field("flaky", &self.flaky)
            .field("fail_status", &self.fail_status)
            .field("delay", &self.delay)
            .field("last_page", &self.last_page)
            .field("remember", &self.remember)
            .field("corrupt", &self.corrupt.is_some())
            .finish()
    }
}
