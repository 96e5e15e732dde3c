//! Does what a fault says, and undoes it.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::{
    faults::{Fault, Kind, Link, Net},
    postgres::wait_for,
    proxy::{Proxy, Trap, Weather},
    world::{World, pass},
};

/// How long a daemon may take to come to its failpoint; some are not on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(6);

pub fn inject(world: &mut World, fault: &Fault) {
    let Fault {
        kind, daemon, lasts, ..
    } = *fault;
    match kind {
        Kind::Kill => {
            world.slots[daemon].daemon().kill9();
            pass(lasts / 2);
            world.start(daemon, None);
        }
        Kind::Failpoint => die_at_failpoint(world, fault),
        Kind::Freeze => {
            world.slots[daemon].daemon().signal(Signal::SIGSTOP);
            pass(lasts);
            world.slots[daemon].daemon().signal(Signal::SIGCONT);
        }
        Kind::Terminate => {
            let status = world.slots[daemon].daemon().terminate();
            assert_eq!(status.code(), Some(0), "{}", world.tails());
            pass(lasts / 4);
            world.start(daemon, None);
        }
        Kind::BrokerRestart => {
            world.kafka.stop();
            pass(lasts / 2);
            world.kafka.start_again();
        }
        Kind::BrokerKill => {
            world.kafka.kill9();
            pass(lasts / 2);
            world.kafka.start_again();
        }
        Kind::BrokerFreeze => {
            world.kafka.freeze();
            pass(lasts);
            world.kafka.thaw();
        }
        Kind::PostgresRestart => {
            world.postgres.stop();
            pass(lasts / 2);
            world.postgres.start();
        }
        Kind::PostgresCrash => {
            world.postgres.crash();
            pass(lasts / 2);
            world.postgres.start();
        }
        Kind::CommitLost => world.postgres_link.trap(Trap {
            of: "writer".into(),
            at: "COMMIT\0",
            delivers: lasts.as_millis().is_multiple_of(2),
        }),
        Kind::ApiOutage => {
            world.simulator.set_outage(true);
            pass(lasts);
            world.simulator.set_outage(false);
        }
        Kind::Network(link, net) => {
            let proxy = match link {
                Link::Kafka => &world.kafka_link,
                Link::Postgres => &world.postgres_link,
                Link::Api => &world.api_link,
            };
            disturb(proxy, net, lasts);
        }
    }
}

fn disturb(proxy: &Proxy, net: Net, lasts: Duration) {
    let weather = match net {
        Net::Cut => return proxy.cut(),
        Net::Reset => return proxy.reset(),
        Net::HalfOpen => Weather::HalfOpen,
        Net::Latency => Weather::Latency(Duration::from_millis(100) + lasts / 20),
        Net::Slow => Weather::Slow(20_000),
    };
    proxy.set(weather);
    pass(lasts);
    proxy.set(Weather::Clear);
}

fn die_at_failpoint(world: &mut World, fault: &Fault) {
    let daemon = fault.daemon;
    world.slots[daemon].daemon().kill9();
    world.start(daemon, Some(&format!("{}:{}:50", fault.failpoint.0, fault.failpoint.1)));
    let mut looks = ON_ITS_WAY.as_millis() / 20;
    wait_for("it dies at its failpoint, or has had its time", ON_ITS_WAY * 2, || {
        looks = looks.saturating_sub(1);
        looks == 0 || !world.slots[daemon].daemon().is_running()
    });
    world.slots[daemon].daemon().kill9();
    world.start(daemon, None);
}
