//! What each role does at its start and its end.

use milepost_tests::cluster::{ready, send};
use milepost_tests::{Cluster, eventually, load};

use crate::lines::{recent_days, troubled};

/// A replica that calculates with another configuration than the others does not answer and says why, until `milepost migrate`
/// makes its configuration the one of the cluster; then it is the others that do not.
#[test]
fn a_replica_with_another_configuration_does_not_answer() {
    let cluster = Cluster::new("digest");
    let (ingest, _aggregator, replica) = (cluster.ingest(), cluster.aggregate(), cluster.query());
    send(&ingest, &troubled(3), 100);
    cluster.caught_up(&replica);
    let another = [("MILEPOST_CAPABILITIES__PORTAL__GOLDEN_PATH", "true")];
    let other = cluster.start("query", &another);
    let says_why = |replica: &milepost_tests::Served| {
        eventually("it says why", || {
            let reply = replica.get("/readyz");
            (reply.status == 503 && reply.body.contains("milepost migrate")).then_some(())
        });
        let reply = replica.get("/v1/metrics/market_share");
        assert_eq!((reply.status, reply.retry_after.as_deref()), (503, Some("1")), "{reply:?}");
        assert!(reply.body.contains("digest"), "{reply:?}");
    };
    says_why(&other);
    assert_eq!(replica.get("/readyz").status, 200);

    let said = cluster.run_with("migrate", &another).expect_success();
    assert!(said.contains("the configuration of the cluster"), "{said}");
    let other = ready(other);
    says_why(&replica);
    cluster.caught_up(&other);
    let path = format!("/v1/metrics/market_share?as_of={}", recent_days()[0]);
    assert_ne!(other.header(&path, "milepost-config-digest"), None);
}

/// **F32.** SIGTERM to each role while events flow: all exit with success; what was acked is in the log, and what is in the log
/// is kept by those that come after them.
#[test]
fn f32_each_role_is_asked_to_end_under_load() {
    let cluster = Cluster::new("f32");
    let (mut aggregator, mut replica) = (cluster.aggregate(), cluster.query());
    let lines = load::until_gone(cluster.ingest(), "f32", 1, 60, |ingest| {
        for member in [ingest, &mut aggregator, &mut replica] {
            member.terminate();
            let status = member.wait();
            assert!(status.success(), "{status}: {}", member.log());
        }
    });
    assert!(!lines.is_empty());
    let (_aggregator, replica) = (cluster.aggregate(), cluster.query());
    cluster.caught_up(&replica);
    // What was sent and not acked may be there, too.
    let ids: Vec<_> = lines.iter().map(|line| id_of(line)).collect();
    let there = cluster.clickhouse.sql(&cluster.database, "SELECT DISTINCT id FROM events");
    let there: std::collections::HashSet<_> = there.lines().collect();
    let lost: Vec<_> = ids.iter().filter(|id| !there.contains(id.as_str())).collect();
    assert!(lost.is_empty(), "{} of {} acked events are lost: {lost:?}", lost.len(), ids.len());
    cluster.kept(&cluster.topic);
    cluster.check_order();
}

fn id_of(line: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(line).expect("it was sent as JSON");
    event["context"]["id"].as_str().expect("it has an id").to_owned()
}
