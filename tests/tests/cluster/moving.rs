//! What one process has kept comes into a cluster.

use milepost_tests::cluster::send;
use milepost_tests::{Cluster, Installation, binary, state};

use crate::lines::{recent_days, troubled};

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
