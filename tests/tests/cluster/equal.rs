//! The same events are the same numbers, in a cluster as in one process.

use milepost_tests::cluster::send;
use milepost_tests::delivery::{Door, chance, deliver, shuffled};
use milepost_tests::engines::{ClickHouse, Kafka};
use milepost_tests::{Cluster, Installation, oracle, state};

use crate::lines::{REAL_DAYS, REFUSED, real, recent_days, troubled};

/// **F21.** The real input, some of it sent twice, through two aggregators: the numbers of one process, before any merge and after
/// all, from a replica that followed and from one that was started later.
#[test]
fn f21_the_same_before_and_after_merges() {
    let cluster = Cluster::new("f21");
    let migrated = cluster.run("migrate").expect_success();
    assert!(migrated.contains(&cluster.topic) && migrated.contains("applied migration 1"), "{migrated}");
    assert_eq!(cluster.run("migrate").expect_success(), "nothing to do\n");
    cluster.each_table(|table| format!("SYSTEM STOP MERGES {table}"));
    let (ingest, replica) = (cluster.ingest(), cluster.query());
    let _aggregators = [cluster.aggregate(), cluster.aggregate()];

    let lines = real();
    send(&ingest, &lines, 1_000);
    let again: Vec<_> = lines.iter().step_by(5).cloned().collect();
    send(&ingest, &again, 777);
    cluster.caught_up(&replica);
    assert_eq!(cluster.versions(), lines.len() as u64);

    let installation = Installation::new(&cluster.embedded());
    let served = installation.serve();
    deliver(&served, Door::Import, &lines, lines.len());
    let later = cluster.query();
    state::assert_same(&served, &[&replica, &later], &REAL_DAYS);

    cluster.each_table(|table| format!("SYSTEM START MERGES {table}"));
    cluster.each_table(|table| format!("OPTIMIZE TABLE {table} FINAL"));
    let merged = cluster.query();
    // What they follow with is merged, too.
    let more = troubled(1);
    send(&ingest, &more, 50);
    send(&served, &more, 50);
    [&replica, &later, &merged].into_iter().for_each(|replica| cluster.caught_up(replica));
    let days = recent_days();
    let days = [REAL_DAYS[0], &days[0]];
    state::assert_same(&served, &[&replica, &later, &merged], &days);
    cluster.kept(&cluster.refused_topic());
    let quarantined = cluster.clickhouse.number(&cluster.database, "SELECT count() FROM quarantine FINAL");
    assert_eq!(quarantined, REFUSED);
}

/// **F27.** Generated histories, shuffled, some of it more than once, over every door of two ingests: the numbers of one process
/// that was given them in another order, and as many versions of events.
#[test]
fn f27_in_a_cluster_as_in_one_process() {
    for seed in [3_001, 3_002] {
        let history = oracle::history(seed);
        let config = oracle::toml(&history.config);
        let cluster = Cluster::on(Kafka::shared(), ClickHouse::shared(), "f27", &config);
        let ingests = [cluster.ingest(), cluster.ingest()];
        let (_aggregator, replica) = (cluster.aggregate(), cluster.query());
        let again = history.events.iter().step_by(4);
        let deliveries: Vec<_> = history.events.iter().chain(again).cloned().collect();
        let deliveries = shuffled(seed, &deliveries);
        let parts = deliveries.chunks(deliveries.len().div_ceil(Door::ALL.len()));
        for (index, (door, part)) in (0..).zip(Door::ALL.into_iter().zip(parts)) {
            let batch = 1 + chance(seed, index) as usize % 60;
            deliver(&ingests[index as usize % 2], door, part, batch);
        }
        let installation = Installation::new(&cluster.embedded());
        let served = installation.serve();
        deliver(&served, Door::Http, &shuffled(seed + 1, &history.events), 100);
        cluster.caught_up(&replica);
        for question in &history.questions {
            let path = oracle::path_of(question);
            let (ours, expected) = (replica.get(&path), served.get(&path));
            assert_eq!((ours.status, ours.body), (expected.status, expected.body), "seed {seed}: {path}");
        }
        assert_eq!(cluster.versions(), state::examine(&installation).versions, "seed {seed}");
    }
}
