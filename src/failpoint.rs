//! Places between the steps of the transactions at which a test lets the daemon die, as a crash would.
//!
//! `AQUEDUCT_FAILPOINT="name[:nth[:pause_ms]]"` names one: when it is reached for the nth time (from 1) the process sends
//! SIGKILL to itself. With a pause its other threads work on for so long, so that what was handed to them is on its way.
//! In a release binary [`reach`] is empty.

/// Passes a place, or dies there.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_name: &str) {}

/// Passes a place, or dies there.
#[cfg(debug_assertions)]
pub fn reach(name: &str) {
    use std::sync::{OnceLock, atomic::Ordering};

    static ARMED: OnceLock<Option<armed::Failpoint>> = OnceLock::new();

    let armed = ARMED.get_or_init(|| {
        let text = std::env::var("AQUEDUCT_FAILPOINT").ok()?;
        let failpoint = armed::Failpoint::parse(&text);
        if failpoint.is_none() {
            eprintln!("AQUEDUCT_FAILPOINT is not name[:nth[:pause_ms]]: {text}");
        }
        failpoint
    });
    if let Some(failpoint) = armed.as_ref().filter(|failpoint| failpoint.name == name)
        && failpoint.left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        failpoint.die();
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::{sync::atomic::AtomicI64, time::Duration};

    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };

    pub(super) struct Failpoint {
        pub(super) name: String,
        /// How many times it is still to be reached, the last one included.
        pub(super) left: AtomicI64,
        pub(super) pause: Duration,
    }

    impl Failpoint {
        pub(super) fn parse(text: &str) -> Option<Self> {
            let mut parts = text.split(':');
            let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
            let nth = parts.next().map_or(Some(1), |nth| nth.parse().ok())?;
            let pause_ms = parts.next().map_or(Some(0), |pause| pause.parse().ok())?;
            (nth > 0 && parts.next().is_none()).then(|| Self {
                name,
                left: AtomicI64::new(nth),
                pause: Duration::from_millis(pause_ms),
            })
        }

        pub(super) fn die(&self) {
            if !self.pause.is_zero() {
                std::thread::park_timeout(self.pause);
            }
            // So that a test can tell this death from any other.
            eprintln!("failpoint {} reached", self.name);
            if let Err(error) = kill(Pid::this(), Signal::SIGKILL) {
                eprintln!("failpoint {}: no signal: {error}", self.name);
            }
        }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use std::{sync::atomic::Ordering, time::Duration};

    use super::armed::Failpoint;

    #[test]
    fn a_failpoint_is_a_name_a_number_and_a_pause() {
        let parse = |text| {
            let failpoint = Failpoint::parse(text)?;
            Some((failpoint.name, failpoint.left.load(Ordering::SeqCst), failpoint.pause))
        };
        assert_eq!(parse("a"), Some(("a".into(), 1, Duration::ZERO)));
        assert_eq!(parse("a-b:3"), Some(("a-b".into(), 3, Duration::ZERO)));
        assert_eq!(parse("a:2:50"), Some(("a".into(), 2, Duration::from_millis(50))));
        for text in ["", ":1", "a:0", "a:-1", "a:x", "a:1:x", "a:1:1:1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
