//! Daemons that share a job come, go, and are paused in the middle of a rebalance.

use nix::sys::signal::Signal;

use crate::{
    job::LIMIT,
    postgres::wait_for,
    slow::{Shared, lines},
};

/// The group waits no longer than this for a member; the least that librdkafka takes with the tests' session time-out.
const REBALANCE_TIMEOUT: &str = "\"max.poll.interval.ms\" = 3000\n";

#[test]
fn members_that_come_and_go_under_batches_slower_than_the_rebalance_timeout_lose_and_double_nothing() {
    let shared = Shared::new("members", 600, REBALANCE_TIMEOUT);
    shared.write_config("second.toml", REBALANCE_TIMEOUT);
    shared.write_config("third.toml", REBALANCE_TIMEOUT);
    let mut first = shared.start("config.toml");
    shared.until_settled(500, &mut [&mut first]);
    let epochs_alone = shared.epochs();

    // Kept partitions go on: one moves, the two others are not even claimed again.
    let mut second = shared.start("second.toml");
    shared.until_owners(2);
    let settled = shared.num_settled();
    shared.until_settled(settled + 500, &mut [&mut first, &mut second]);
    let kept = |before: &[String]| shared.epochs().iter().filter(|it| before.contains(it)).count();
    assert_eq!(kept(&epochs_alone), 2, "{epochs_alone:?}, then {:?}", shared.epochs());

    // Now a batch takes longer than the group waits, and one member comes while another one has to give a partition back.
    shared.delay_batches(4.0);
    shared.until_a_batch_hangs();
    let mut third = shared.start("third.toml");
    wait_for("a revocation waits for a batch", LIMIT, || {
        lines(&first, "partitions revoked").len() + lines(&second, "partitions revoked").len() > 1
    });
    second.signal(Signal::SIGTERM);
    shared.until_a_batch_hangs();
    let mut second = {
        assert_eq!(
            second.wait("the second leaves in order").code(),
            Some(0),
            "{}",
            second.tail()
        );
        shared.start("second.toml")
    };
    shared.until_owners(3);
    shared.job.database.execute("DELETE FROM delays");
    shared.until_settled(shared.num_records(), &mut [&mut first, &mut second, &mut third]);
    // Of a rebalance loop, or of daemons that push each other out, there would be no end.
    let claims = shared.sum_of_epochs();
    assert!(claims <= 40, "{claims} claims of three partitions");
    for daemon in [&mut first, &mut second, &mut third] {
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    }
    shared.verify();
}

#[test]
fn a_daemon_paused_in_the_middle_of_a_rebalance_writes_nothing_more_pushes_nobody_out_and_joins_again() {
    let shared = Shared::new("paused", 600, REBALANCE_TIMEOUT);
    shared.write_config("second.toml", REBALANCE_TIMEOUT);
    let mut zombie = shared.start("config.toml");
    shared.until_settled(500, &mut [&mut zombie]);
    let zombies = shared.owners().remove(0);
    shared.delay_batches(2.0);
    shared.until_a_batch_hangs();
    let mut owner = shared.start("second.toml");
    wait_for("the first has to give a partition back", LIMIT, || {
        !lines(&zombie, "partitions revoked").is_empty()
    });
    // Longer than the session, than the poll interval, and than the group waits for its answer.
    zombie.signal(Signal::SIGSTOP);
    shared.job.database.execute("DELETE FROM delays");
    wait_for("the second owns every partition", LIMIT, || {
        assert!(owner.is_running(), "{}", owner.tail());
        matches!(&shared.owners()[..], [all] if all.ends_with(" 3") && *all != zombies)
    });
    let settled = shared.num_settled();
    shared.until_settled(settled + 1_000, &mut [&mut owner]);
    assert!(
        shared.num_settled() < shared.num_records(),
        "there is work left for the zombie"
    );

    let fences_before = lines(&owner, "the shard was fenced").len();
    zombie.signal(Signal::SIGCONT);
    // It recovers by itself: as a member like any other it gets partitions by agreement.
    wait_for("the first is a member again", LIMIT, || {
        assert!(
            zombie.is_running() && owner.is_running(),
            "{}\n{}",
            zombie.tail(),
            owner.tail()
        );
        shared.owners().len() == 2
    });
    shared.until_settled(shared.num_records(), &mut [&mut zombie, &mut owner]);
    // Whoever was fenced before the group had taken the shard from it was pushed out.
    let news: Vec<String> = lines(&owner, "shard");
    let mut is_revoked = false;
    for line in &news {
        is_revoked |= line.contains("shards revoked");
        assert!(is_revoked || !line.contains("the shard was fenced"), "{news:#?}");
    }
    assert_eq!(fences_before, 0);
    let claims = shared.sum_of_epochs();
    assert!(claims <= 30, "{claims} claims of three partitions");
    for daemon in [&mut zombie, &mut owner] {
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    }
    shared.verify();
}
