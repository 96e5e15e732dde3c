//! What can go wrong, drawn from a deck: each kind comes once before any comes again.

use std::{fmt, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// What a proxy stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    Kafka,
    Postgres,
    Api,
}

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Net {
    Cut,
    Reset,
    HalfOpen,
    Latency,
    Slow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// kill -9 of a daemon.
    Kill,
    /// A daemon that dies at a failpoint.
    Failpoint,
    /// SIGSTOP, and SIGCONT later.
    Freeze,
    /// SIGTERM and a new start.
    Terminate,
    BrokerRestart,
    BrokerKill,
    BrokerFreeze,
    PostgresRestart,
    PostgresCrash,
    /// The COMMIT goes in and its answer does not come back.
    CommitLost,
    /// Every request is answered with 503.
    ApiOutage,
    Network(Link, Net),
}

/// One fault.
#[derive(Clone, Debug)]
pub struct Fault {
    pub kind: Kind,
    /// Which daemon, where it is one.
    pub daemon: usize,
    /// How long it lasts, or how long what is down stays down.
    pub lasts: Duration,
    /// Where a daemon dies, and how often it passes before that.
    pub failpoint: (&'static str, u32),
    /// Whether the next one waits until records flow again.
    pub waits: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            daemon,
            lasts,
            failpoint,
            ..
        } = self;
        match kind {
            Kind::Kill | Kind::Freeze | Kind::Terminate => write!(f, "{kind:?} of daemon {daemon}, {lasts:?}"),
            Kind::Failpoint => write!(f, "{kind:?} {}:{} of daemon {daemon}", failpoint.0, failpoint.1),
            Kind::Network(link, net) => write!(f, "{link:?}: {net:?}, {lasts:?}"),
            _ => write!(f, "{kind:?}, {lasts:?}"),
        }
    }
}

/// Where a daemon on Kafka may die. `tests/end_to_end/failpoints.rs` has the whole list, one by one.
const FAILPOINTS: [&str; 15] = [
    "ingest-after-init",
    "ingest-after-begin",
    "ingest-after-records",
    "ingest-after-cursor",
    "ingest-before-commit",
    "ingest-after-commit",
    "ingest-before-delivered",
    "load-after-claim",
    "load-after-fetch",
    "load-after-begin",
    "load-after-copy",
    "load-after-fence",
    "load-before-commit",
    "load-after-commit",
    "load-after-kafka-commit",
];

fn kinds() -> Vec<Kind> {
    let mut kinds = vec![
        Kind::Kill,
        Kind::Failpoint,
        Kind::Failpoint,
        Kind::Freeze,
        Kind::Terminate,
        Kind::BrokerRestart,
        Kind::BrokerKill,
        Kind::BrokerFreeze,
        Kind::PostgresRestart,
        Kind::PostgresCrash,
        Kind::CommitLost,
        Kind::ApiOutage,
    ];
    for link in [Link::Kafka, Link::Postgres, Link::Api] {
        for net in [Net::Cut, Net::Reset, Net::HalfOpen, Net::Latency, Net::Slow] {
            kinds.push(Kind::Network(link, net));
        }
    }
    kinds
}

/// See the module.
pub struct Deck {
    random: StdRng,
    cards: Vec<Kind>,
}

impl Deck {
    pub fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            cards: Vec::new(),
        }
    }

    pub fn draw(&mut self) -> Fault {
        if self.cards.is_empty() {
            self.cards = kinds();
        }
        let card = self.random.random_range(0..self.cards.len());
        // All numbers are drawn for every kind: the seed's order stays, whichever kind uses them.
        Fault {
            kind: self.cards.swap_remove(card),
            daemon: self.random.random_range(0..2),
            lasts: Duration::from_millis(self.random.random_range(100..5_000)),
            failpoint: (
                FAILPOINTS[self.random.random_range(0..FAILPOINTS.len())],
                self.random.random_range(1..4),
            ),
            waits: self.random.random_range(0..10) < 7,
        }
    }
}
