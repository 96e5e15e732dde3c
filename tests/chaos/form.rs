//! How long a run is, and from which seed.

use std::time::Duration;

/// See the module.
pub struct Form {
    pub seed: u64,
    /// How long faults are injected.
    pub duration: Duration,
    /// Pages of the source: more than can be fetched meanwhile.
    pub pages: u64,
}

const SHORT: Duration = Duration::from_secs(20);
const SHORT_SEED: u64 = 7;
/// A long run that nobody watches ends all the same.
const LONGEST: u64 = 4 * 60 * 60;
/// At most, with two shards and a slow API.
const PAGES_A_SECOND: u64 = 10;

impl Form {
    pub fn from_environment() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
            Some(
                text.parse::<u64>()
                    .unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
            )
        };
        let seconds = number("AQUEDUCT_CHAOS_SECONDS");
        let duration = seconds.map_or(SHORT, |seconds| Duration::from_secs(seconds.clamp(1, LONGEST)));
        let seed = number("AQUEDUCT_CHAOS_SEED");
        Self {
            seed: seed.unwrap_or_else(|| seconds.map_or(SHORT_SEED, |_| rand::random::<u32>().into())),
            duration,
            pages: duration.as_secs() * PAGES_A_SECOND + 60,
        }
    }
}
