//! `aqueduct simulate`: serves the simulated Random User API.

use std::sync::Arc;

use super::args::Simulate;
use crate::{
    demo::simulator::{Corrupt, Options, Simulator},
    service::{Exit, Signals},
    supervision::chain,
};

/// Serves until a signal.
pub async fn simulate(args: &Simulate) -> Exit {
    let started = Signals::listen().and_then(|signals| Ok((signals, Simulator::start(options(args))?)));
    match started {
        Ok((signals, simulator)) => {
            println!("the simulated Random User API answers at {}", simulator.url());
            signals.stop.cancelled().await;
            Exit::Done
        }
        Err(error) => {
            eprintln!("cannot serve on {}: {}", args.listen, chain(&error));
            Exit::Unavailable
        }
    }
}

fn options(args: &Simulate) -> Options {
    Options {
        listen: args.listen,
        rate_limit: args.rate_limit,
        fail_every: args.fail_every,
        fail_status: args.fail_status,
        corrupt: args.bad_record_every.map(spoil_every),
        delay: args.delay.unwrap_or_default(),
        ..Options::default()
    }
}

/// Every n-th record of a page has a text where the users table's schema wants a number.
fn spoil_every(n: u64) -> Corrupt {
    Arc::new(move |_page, index, record| {
        let spoilt = (index as u64 + 1).is_multiple_of(n);
        spoilt.then(|| record.replacen("\"age\":", "\"age\":\"not a number\",\"was\":", 1))
    })
}
