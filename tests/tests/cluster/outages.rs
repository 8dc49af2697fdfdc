//! Kafka and ClickHouse are down for a while, in each order.

use std::thread;

use milepost_tests::cluster::send;
use milepost_tests::delivery::protobuf;
use milepost_tests::engines::{ClickHouse, Kafka};
use milepost_tests::grpc::Grpc;
use milepost_tests::{Cluster, Installation, REAL_CONFIG, Served, eventually, exposition, state};

use crate::lines::{recent_days, troubled};

struct Down {
    ingest: Served,
    replica: Served,
    _aggregators: [Served; 2],
    /// All that is to be there in the end.
    sent: Vec<String>,
    /// Not sent yet.
    lines: Vec<String>,
    // Dropped after the members that use it.
    cluster: Cluster,
}

impl Down {
    fn new() -> Self {
        // Both take some seconds to start.
        let (kafka, clickhouse) = thread::scope(|scope| {
            let kafka = scope.spawn(Kafka::own);
            (kafka.join(), ClickHouse::own())
        });
        let cluster = Cluster::on(kafka.expect("Kafka starts"), clickhouse, "outages", REAL_CONFIG);
        let (ingest, replica) = (cluster.ingest(), cluster.query());
        let aggregators = [cluster.aggregate(), cluster.aggregate()];
        Self { ingest, replica, _aggregators: aggregators, sent: Vec::new(), lines: troubled(11), cluster }
    }

    /// The next events.
    fn some(&mut self) -> Vec<String> {
        let rest = self.lines.split_off(self.lines.len().min(40));
        let some = std::mem::replace(&mut self.lines, rest);
        assert!(!some.is_empty(), "there is enough to send");
        self.sent.extend(some.iter().cloned());
        some
    }

    /// Sends some that are taken.
    fn taken(&mut self) {
        let some = self.some();
        send(&self.ingest, &some, 20);
    }

    /// Events are handed back, over every door, within the bound and with what to do.
    fn handed_back(&mut self) {
        let some = self.some();
        let reply = self.ingest.post("application/x-ndjson", some.join("\n"));
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.retry_after.is_some() && reply.body.contains("Kafka"), "{reply:?}");
        let taken: Vec<_> = some
            .iter()
            .filter(|line| milepost_wire::json::decode(line.as_bytes()).is_ok())
            .cloned()
            .collect();
        let status = Grpc::connect(&self.ingest).publish(protobuf(&taken)).expect_err("it is handed back");
        assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
        // Whoever is told so sends it again, later.
        self.sent.truncate(self.sent.len() - some.len());
        self.lines.splice(0..0, some);
    }

    /// Answers go on, and say that they are getting older.
    fn answers_and_says_how_old(&self) {
        let path = format!("/v1/metrics/market_share?as_of={}", recent_days()[0]);
        let age = || {
            let reply = self.replica.get(&path);
            assert_eq!(reply.status, 200, "{reply:?}");
            let header = self.replica.header(&path, "milepost-staleness-seconds");
            header.and_then(|text| text.parse::<f64>().ok()).expect("an answer says how old it is")
        };
        eventually("answers are older than they ever are else", || (age() >= 2.0).then_some(()));
        assert!(exposition::sum(&self.replica.metrics(), "milepost_staleness_seconds", &[]) >= 2.0);
    }

    /// Everything is there, once.
    fn caught_up(&self) {
        self.cluster.caught_up(&self.replica);
        self.cluster.kept(&self.cluster.topic);
        self.cluster.check_order();
        let installation = Installation::new(&self.cluster.embedded());
        let served = installation.serve();
        send(&served, &self.sent, 100);
        let days = recent_days();
        state::assert_same(&served, &[&self.replica], &[&days[0], &days[1]]);
        assert_eq!(self.cluster.versions(), state::examine(&installation).versions);
    }

    fn kill_kafka(&mut self) {
        self.cluster.kafka.service().kill().expect("it can be killed");
    }

    fn kill_clickhouse(&mut self) {
        self.cluster.clickhouse.service().kill().expect("it can be killed");
    }

    fn restart_kafka(&mut self) {
        self.cluster.kafka.service().restart().expect("it starts again");
    }

    fn restart_clickhouse(&mut self) {
        self.cluster.clickhouse.service().restart().expect("it starts again");
    }
}

/// **F13.** Both engines are killed, first the one and then the other, and come back in each order. While Kafka is away events are
/// handed back within the bound; while ClickHouse is away they are taken; answers go on and say how old they are; and everything
/// catches up alone.
#[test]
fn f13_both_engines_go_and_come_back_in_each_order() {
    let mut down = Down::new();
    down.taken();
    down.cluster.caught_up(&down.replica);

    // Kafka first, and first back.
    down.kill_kafka();
    down.handed_back();
    down.kill_clickhouse();
    down.answers_and_says_how_old();
    down.restart_kafka();
    down.taken();
    down.answers_and_says_how_old();
    down.restart_clickhouse();
    down.caught_up();

    // ClickHouse first, and first back.
    down.kill_clickhouse();
    down.taken();
    down.answers_and_says_how_old();
    down.kill_kafka();
    down.handed_back();
    down.restart_clickhouse();
    down.restart_kafka();
    down.taken();
    down.caught_up();

    // A paused broker is like one that is cut off: its connections stay.
    down.cluster.kafka.service().pause().expect("it can be paused");
    down.handed_back();
    down.cluster.kafka.service().resume().expect("it goes on");
    down.taken();
    down.caught_up();
}
