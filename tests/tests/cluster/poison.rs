//! What cannot be read, and what ClickHouse will never take, stops nothing and is kept aside.

use milepost_tests::cluster::send;
use milepost_tests::{Cluster, Installation, events, state};

use crate::lines::{REFUSED, recent_days, troubled};

/// Where refused events came from, as the quarantine has it.
const ORIGINS: &str =
    "SELECT partition, offset FROM quarantine FINAL WHERE topic = '{}' ORDER BY partition, offset";

fn quarantined(cluster: &Cluster) -> u64 {
    cluster.clickhouse.number(&cluster.database, "SELECT count() FROM quarantine FINAL")
}

/// **F14.** Garbage between the events of the log: each piece of it is one dead letter, that says where it stood, and stays one
/// when the log is read again; every event beside it is kept.
#[test]
fn f14_garbage_in_the_log_is_kept_aside() {
    let cluster = Cluster::new("f14");
    let (ingest, replica) = (cluster.ingest(), cluster.query());
    let _aggregators = [cluster.aggregate(), cluster.aggregate()];
    let lines = troubled(9);
    let (first, second) = lines.split_at(lines.len() / 2);
    send(&ingest, first, 30);
    let garbage: [&[u8]; 5] = [
        b"",
        b"hello",
        // A form that a later version may have.
        b"\x08\x63\x12\x01a",
        // An event cut off.
        b"\x08\x01\x12\x7fsource",
        // An event whose content is none.
        b"\x08\x01\x12\x01s\x1a\x01i\x2a\x02{}",
    ];
    let mut stood = Vec::new();
    for (partition, payload) in (0..4).cycle().zip(garbage) {
        cluster.kafka.produce(&cluster.topic, partition, payload);
        // Other producers are not there, so it is the last record.
        stood.push(format!("{partition}\t{}", cluster.kafka.ends(&cluster.topic)[&partition] - 1));
    }
    send(&ingest, second, 30);
    stood.sort_by_key(|place| place.split('\t').map(|part| part.parse().unwrap_or(0)).collect::<Vec<i64>>());

    let check = |epoch: u64| {
        cluster.kept(&cluster.topic);
        // The dead letters were appended before that.
        cluster.kept(&cluster.refused_topic());
        let origins = ORIGINS.replace("{}", &cluster.topic);
        let found = cluster.clickhouse.sql(&cluster.database, &origins);
        assert_eq!(found.lines().collect::<Vec<_>>(), stood, "epoch {epoch}");
        assert_eq!(quarantined(&cluster), REFUSED + stood.len() as u64, "epoch {epoch}");
        assert_eq!(cluster.clickhouse.number(&cluster.database, "SELECT max(epoch) FROM progress"), epoch);
    };
    check(0);
    cluster.run("replay").expect_success();
    milepost_tests::eventually("the log is read again", || {
        let again = "SELECT max(offset) FROM progress WHERE epoch = 1";
        (cluster.clickhouse.number(&cluster.database, again) > 0).then_some(())
    });
    check(1);

    let installation = Installation::new(&cluster.embedded());
    let served = installation.serve();
    send(&served, &lines, 100);
    cluster.caught_up(&replica);
    let days = recent_days();
    state::assert_same(&served, &[&replica], &[&days[0], &days[1]]);
}

/// **F15.** A row that ClickHouse will never take is found by halving its batch, and is the only one kept aside.
#[test]
fn f15_one_row_is_refused() {
    let cluster = Cluster::new("f15");
    cluster.run("migrate").expect_success();
    cluster.clickhouse.sql(&cluster.database, "ALTER TABLE events ADD CONSTRAINT teams CHECK team != 'bad'");
    let (ingest, _aggregator) = (cluster.ingest(), cluster.aggregate());
    let at = events::ago(events::now(), 1, 0);
    let team = |n: usize| if n == 33 { "bad" } else { "good" };
    let some: Vec<_> = (0..100).map(|n| events::used(&format!("id-{n}"), at, team(n))).collect();
    send(&ingest, &events::lines(&some), 100);
    cluster.kept(&cluster.topic);
    cluster.kept(&cluster.refused_topic());
    assert_eq!(cluster.versions(), 99);
    let aside = cluster.clickhouse.sql(&cluster.database, "SELECT event_id, topic FROM quarantine FINAL");
    assert_eq!(aside, format!("id-33\t{}", cluster.topic));
}
