//! Other ways in than the doors of role ingest: topics that others fill, and what one process kept before.

use milepost_tests::cluster::{ready, send};
use milepost_tests::{binary, Cluster, Installation, Served, eventually, exposition, state};

use crate::lines::{REFUSED, recent_days, troubled};

/// **F14.** Topics that others fill are read by one process and by a cluster alike, with garbage among the events: each has one
/// fate, what is refused says where it stood, and the numbers are those of the same events over HTTP.
#[test]
fn f14_topics_that_others_fill() {
    let cluster = Cluster::new("theirs");
    let topic = format!("{}-theirs", cluster.database);
    let lines = troubled(5);
    let payloads: Vec<&[u8]> =
        lines.iter().map(String::as_bytes).chain([&b"hello"[..], b"{", b"{}"]).collect();
    cluster.kafka.produce_all(&topic, &payloads);
    let topics = format!("[{topic:?}]");

    let own = Installation::new(&cluster.embedded());
    let kafka = format!(
        "[kafka]\nbrokers = \"{}\"\ntopics = {topics}\ntopics_group = \"{topic}-own\"\n",
        cluster.kafka.address()
    );
    let one = Installation::new(&format!("{}{kafka}", cluster.embedded()));
    let (whole, expected) = (one.serve(), own.serve());
    let group = format!("{topic}-cluster");
    let variables = [("MILEPOST_KAFKA__TOPICS", topics.as_str()), ("MILEPOST_KAFKA__TOPICS_GROUP", &group)];
    let ingest = ready(cluster.start("ingest", &variables));
    let (_aggregator, replica) = (cluster.aggregate(), cluster.query());
    send(&expected, &lines, 50);

    let garbage = 3;
    for server in [&whole, &ingest] {
        let of = |fate: &str| fates(server, fate);
        eventually("all records of the topic have their fate", || {
            let fated = of("stored") + of("duplicate") + of("refused");
            (fated >= payloads.len() as u64).then_some(())
        });
        assert_eq!(of("stored") + of("duplicate") + of("refused"), payloads.len() as u64);
        assert_eq!(of("refused"), REFUSED + garbage);
    }
    cluster.kept(&cluster.refused_topic());
    let stood = format!("SELECT count() FROM quarantine FINAL WHERE topic = '{topic}'");
    assert_eq!(cluster.clickhouse.number(&cluster.database, &stood), REFUSED + garbage);
    cluster.caught_up(&replica);
    let days = recent_days();
    state::assert_same(&expected, &[&whole, &replica], &[&days[0], &days[1]]);
}

fn fates(server: &Served, fate: &str) -> u64 {
    let fate = format!("fate=\"{fate}\"");
    exposition::sum(&server.metrics(), "milepost_events_total", &["door=\"kafka\"", &fate]) as u64
}

/// What one process has kept is brought to a cluster by its backup, with what it refused; brought again, it changes nothing; and
/// persons stay who they are.
#[test]
fn a_backup_is_brought_to_a_cluster() {
    let cluster = Cluster::new("moving");
    let installation = Installation::new(&cluster.embedded());
    let served = installation.serve();
    let lines = troubled(6);
    let (before, after) = lines.split_at(lines.len() * 2 / 3);
    send(&served, before, 50);
    let data = installation.data();
    let backup = data.with_extension("backup");
    let [data, backup] = [&data, &backup].map(|path| path.to_str().expect("temporary paths are UTF-8"));
    binary::milepost(["backup", "--data", data, "--to", backup, "--without-key"]).expect_success();

    let (ingest, _aggregator, replica) = (cluster.ingest(), cluster.aggregate(), cluster.query());
    for _ in 0..2 {
        cluster.run_on("import", &["--log", backup], &[]).expect_success();
    }
    // What came since the backup, in both.
    send(&served, after, 50);
    send(&ingest, after, 50);
    cluster.caught_up(&replica);
    let days = recent_days();
    state::assert_same(&served, &[&replica], &[&days[0], &days[1]]);

    let other = "ff".repeat(32);
    let refused = cluster.run_on("import", &["--log", backup], &[("MILEPOST_PRIVACY__KEY", &other)]);
    assert!(refused.code != 0 && refused.stderr.contains("privacy.key"), "{refused:?}");
}
