//! `aqueduct simulate`: serves the simulated Random User API.

use super::args::Simulate;
use crate::{
    demo::simulator::{Options, Simulator},
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
        cut_every: args.cut_every,
        bad_record_every: args.bad_record_every,
        delay: args.delay.unwrap_or_default(),
        ..Options::default()
    }
}
