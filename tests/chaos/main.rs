//! Chaos: two daemons, a real Apache Kafka, a real PostgreSQL and a simulated API, with a TCP proxy before each of the three,
//! and random faults of all of them. Nothing lost, nothing doubled, nothing stuck.
//!
//! Without variables it is the short form: some twenty seconds of faults from a fixed seed. `AQUEDUCT_CHAOS_SECONDS` asks for
//! the long form, `AQUEDUCT_CHAOS_SEED` for the faults of an earlier run: what is done, to whom and for how long follows from
//! the seed, the moments do not. [`model`] is the same for the load branch alone, in fast motion, against a model of Kafka.

#![allow(clippy::unwrap_used, reason = "a run that cannot go on has failed")]

#[path = "../actors/clock.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod clock;
#[path = "../support/job.rs"]
mod job;
#[path = "../support/kafka.rs"]
mod kafka;
#[path = "../support/load.rs"]
mod load;
#[path = "../actors/pipeline.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod pipeline;
#[path = "../support/proxy.rs"]
mod proxy;

mod faults;
mod form;
mod inject;
mod model;
mod slot;
mod summary;
mod verify;
mod world;

use load::postgres;

use crate::{faults::Deck, form::Form, summary::Summary, world::World};

#[test]
fn under_random_faults_of_everything_no_record_is_lost_doubled_or_stuck() {
    let form = Form::from_environment();
    println!(
        "AQUEDUCT_CHAOS_SEED={} AQUEDUCT_CHAOS_SECONDS={}",
        form.seed,
        form.duration.as_secs()
    );
    let mut deck = Deck::new(form.seed);
    let mut summary = Summary::default();
    let mut world = World::new(&form);
    world.wait_for_more("the first rows");
    let end = tokio::time::Instant::now() + form.duration;
    while tokio::time::Instant::now() < end && !world.is_loaded() {
        let fault = deck.draw();
        println!("{:>6.1} s: {fault}", world.age().as_secs_f64());
        inject::inject(&mut world, &fault);
        // Now and then the next one comes before this one is over.
        let recovery = fault.waits.then(|| world.wait_for_more(&fault.to_string()));
        summary.add(&fault, recovery);
    }
    let drained = world.drain();
    println!("{}", summary.render(drained));
    verify::verify(&mut world);
}
