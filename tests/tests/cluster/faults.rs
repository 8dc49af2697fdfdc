//! ClickHouse does not do what it is asked: a proxy before it does the harm.

use milepost_tests::cluster::send;
use milepost_tests::proxy::{Harm, Proxy};
use milepost_tests::{Cluster, Installation, Served, eventually, exposition, state};

use crate::lines::{recent_days, troubled};

/// Inserts of events.
const EVENTS: [&str; 2] = ["INSERT INTO", ".events"];

/// A cluster whose one aggregator speaks to ClickHouse through a proxy, with one replica that does not.
struct Harmed {
    proxy: Proxy,
    ingest: Served,
    aggregator: Served,
    replica: Served,
    lines: Vec<String>,
    // Dropped after the members that use it.
    cluster: Cluster,
}

impl Harmed {
    fn new(name: &str) -> Self {
        let cluster = Cluster::new(name);
        let proxy = Proxy::before(cluster.clickhouse.url());
        let ingest = cluster.ingest();
        let aggregator = cluster.aggregate_through(&proxy.url());
        let replica = cluster.query();
        Self { proxy, ingest, aggregator, replica, lines: troubled(7), cluster }
    }

    fn send(&self) {
        send(&self.ingest, &self.lines, 40);
    }

    /// One more aggregator, when both have their share of the log.
    fn another_aggregator(&self, url: &str) -> Served {
        let other = self.cluster.aggregate_through(url);
        let shares = || [&self.aggregator, &other].map(|one| self.cluster.share(one));
        eventually("both have their share", || shares().iter().all(|share| *share > 0).then_some(()));
        other
    }

    /// Nothing of the log is committed, nor said to be kept.
    fn assert_nothing_kept(&self) {
        let committed = self.cluster.kafka.committed(&self.cluster.group, &self.cluster.topic);
        assert!(committed.is_empty(), "{committed:?}");
        assert!(self.cluster.progress(&self.cluster.topic).is_empty());
    }

    /// Everything is there, once, in this replica and those.
    fn assert_equal(&self, others: &[&Served]) {
        let cluster = &self.cluster;
        cluster.kept(&cluster.topic);
        cluster.check_order();
        let installation = Installation::new(&cluster.embedded());
        let served = installation.serve();
        send(&served, &self.lines, 100);
        let replicas: Vec<_> = others.iter().copied().chain([&self.replica]).collect();
        replicas.iter().for_each(|replica| cluster.caught_up(replica));
        let days = recent_days();
        state::assert_same(&served, &replicas, &[&days[0], &days[1]]);
        assert_eq!(cluster.versions(), state::examine(&installation).versions);
    }
}

/// **F16.** Inserts are applied and their answers lost: they are sent again until one answer comes, and change nothing.
#[test]
fn f16_applied_and_not_answered() {
    let harmed = Harmed::new("f16");
    harmed.proxy.harm(&EVENTS, Harm::LoseAnswer);
    harmed.send();
    harmed.proxy.wait_harmed(3);
    harmed.assert_nothing_kept();
    assert!(harmed.cluster.versions() > 0, "it is applied all the same");
    harmed.proxy.relent();
    harmed.assert_equal(&[]);
}

/// **F17.** ClickHouse takes requests and does not answer, for longer than a member of the group may be silent: the aggregator
/// keeps its partitions, commits nothing, and goes on when it answers.
#[test]
fn f17_clickhouse_hangs_longer_than_a_member_may_be_silent() {
    // A statement takes 5 s at most, and `max.poll.interval.ms` is 6 s: the third try begins after that.
    let harmed = Harmed::new("f17");
    harmed.proxy.harm(&EVENTS, Harm::Swallow);
    harmed.send();
    harmed.proxy.wait_harmed(3);
    harmed.assert_nothing_kept();
    let days = recent_days();
    assert_eq!(harmed.replica.get(&format!("/v1/metrics/market_share?as_of={}", days[0])).status, 200);
    harmed.proxy.relent();
    harmed.assert_equal(&[]);
    let log = harmed.aggregator.log();
    assert!(!log.contains("partitions revoked"), "{log}");
}

/// **F18.** ClickHouse has too many parts, too little memory, too many statements: the same is sent again, more and more seldom,
/// and nothing is committed until it is taken.
#[test]
fn f18_clickhouse_says_not_now() {
    let harmed = Harmed::new("f18");
    let said =
        [(252, "TOO_MANY_PARTS"), (241, "MEMORY_LIMIT_EXCEEDED"), (202, "TOO_MANY_SIMULTANEOUS_QUERIES")];
    for (tries, (code, name)) in said.into_iter().enumerate() {
        harmed.proxy.harm(&EVENTS, Harm::Refuse(code, name));
        if tries == 0 {
            harmed.send();
        }
        eventually("it tells why", || harmed.aggregator.log().contains(name).then_some(()));
        harmed.proxy.wait_harmed(harmed.proxy.harmed() + 1);
        harmed.assert_nothing_kept();
    }
    let failures = exposition::sum(&harmed.aggregator.metrics(), "milepost_commit_failures_total", &[]);
    assert!(failures >= said.len() as f64, "it tells how often: {failures}");
    harmed.proxy.relent();
    harmed.assert_equal(&[]);
}

/// An insert that becomes visible late, after later ones of another aggregator: no replica misses it, whether it loaded before,
/// meanwhile or after.
#[test]
fn f21_an_insert_that_becomes_visible_late_is_not_missed() {
    let harmed = Harmed::new("late");
    let cluster = &harmed.cluster;
    let _other = harmed.another_aggregator(cluster.clickhouse.url());
    harmed.proxy.harm(&EVENTS, Harm::Hold);
    harmed.send();
    harmed.proxy.wait_harmed(1);
    let ends = cluster.kafka.ends(&cluster.topic);
    eventually("the replica has what is there", || {
        let position = cluster.position(&harmed.replica);
        (!position.is_empty() && position.len() < ends.len()).then_some(())
    });
    let meanwhile = cluster.query();
    harmed.proxy.relent();
    cluster.caught_up(&harmed.replica);
    let after = cluster.query();
    harmed.assert_equal(&[&meanwhile, &after]);
}

/// **F19.** ClickHouse loses parts it had acknowledged: `milepost replay` has the log read again, replicas answer from what they
/// have meanwhile, and all is as it was.
#[test]
fn f19_lost_parts_are_read_again() {
    let harmed = Harmed::new("f19");
    harmed.send();
    harmed.assert_equal(&[]);
    let (clickhouse, database) = (&harmed.cluster.clickhouse, &harmed.cluster.database);
    for table in ["events", "arrivals"] {
        clickhouse.sql(database, &format!("OPTIMIZE TABLE {table} FINAL"));
        let parts = format!(
            "SELECT name FROM system.parts WHERE database = '{database}' AND table = '{table}' AND active"
        );
        for part in clickhouse.sql(database, &parts).lines() {
            clickhouse.sql(database, &format!("ALTER TABLE {table} DROP PART '{part}'"));
        }
    }
    assert_eq!(harmed.cluster.versions(), 0);
    // One notices before the other, which is given its partitions meanwhile.
    let _other = harmed.another_aggregator(&harmed.proxy.url());
    harmed.proxy.harm(&EVENTS, Harm::Hold);
    let said = harmed.cluster.run("replay").expect_success();
    assert!(said.contains("read again"), "{said}");
    harmed.proxy.wait_harmed(1);
    let days = recent_days();
    assert_eq!(harmed.replica.get(&format!("/v1/metrics/market_share?as_of={}", days[0])).status, 200);
    harmed.proxy.relent();
    harmed.assert_equal(&[&harmed.cluster.query()]);
}
