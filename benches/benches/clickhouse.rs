//! What it costs to keep events in ClickHouse, to load a Model from it, and to follow, beside a real ClickHouse on the same machine.
//!
//! For each million of events kept in batches of 50,000: CPU seconds of this process to encode and to send them, and of ClickHouse to take them and to merge them
//! meanwhile. At the end a load, and steps of a follower: 1,000 events that are new, and 1,000 revisions of such as were kept before. Run:
//! `cargo bench -p milepost-benches --bench clickhouse`; `-- 10` for ten million.

use std::time::Instant;

use milepost_benches::process_cpu;
use milepost_model::{Body, Content, Event, EventId, Partition, Position, Positions, Sealed, Timestamp};
use milepost_services::{Service, clickhouse};
use milepost_store::clickhouse::{Batch, ClickHouse, Followed, Follower, Options, Row};
use tokio::runtime::Runtime;

const MILLION: u64 = 1_000_000;
const BATCH: u64 = 50_000;
const STEP: u64 = 1_000;

struct Bench {
    runtime: Runtime,
    server: Service,
    clickhouse: ClickHouse,
}

/// What a piece of work took.
struct Cost {
    ours: f64,
    server: f64,
    seconds: f64,
}

fn main() {
    let millions = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = clickhouse::start(directory.path(), &clickhouse::Options::default()).expect("ClickHouse");
    let options = Options { url: server.url(), ..Options::default() };
    let bench = Bench {
        runtime: Runtime::new().expect("a runtime"),
        server,
        clickhouse: ClickHouse::new(&options).expect("options"),
    };
    bench.runtime.block_on(bench.clickhouse.migrate()).expect("tables");
    println!("CPU seconds a million events, batches of {BATCH}");
    println!("{:>8} {:>8} {:>8} {:>11} {:>10}", "kept", "encode", "send", "ClickHouse", "bytes each");
    for million in 0..millions {
        bench.keep(million * MILLION);
    }
    let (events, mut follower) = bench.load();
    assert_eq!(events as u64, millions * MILLION, "every event is there");
    bench.follow(&mut follower, millions * MILLION, 0, 0);
    bench.follow(&mut follower, millions * MILLION + STEP, MILLION / 2, 1);
}

impl Bench {
    fn cost<T>(&self, work: impl FnOnce() -> T) -> (T, Cost) {
        let (server, ours, since) = (self.server_cpu(), process_cpu(), Instant::now());
        let done = work();
        let cost = Cost {
            ours: process_cpu() - ours,
            server: self.server_cpu() - server,
            seconds: since.elapsed().as_secs_f64(),
        };
        (done, cost)
    }

    /// What ClickHouse has used so far.
    fn server_cpu(&self) -> f64 {
        let stat = self.server.place().pid().map(|id| std::fs::read_to_string(format!("/proc/{id}/stat")));
        let Some(Ok(stat)) = stat else { return 0.0 };
        let fields: Vec<f64> =
            stat.split(' ').skip(13).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
        fields.iter().sum::<f64>() / 100.0
    }

    fn insert(&self, batch: &Batch, end: &Positions) {
        self.runtime.block_on(async {
            self.clickhouse.insert(batch).await.expect("an insert");
            self.clickhouse.advance(end, 0).await.expect("progress");
        });
    }

    /// Keeps a million.
    fn keep(&self, first: u64) {
        let (mut encode, mut send, mut server, mut bytes) = (0.0, 0.0, 0.0, 0);
        for batch in 0..MILLION / BATCH {
            let offset = first + batch * BATCH;
            let records: Vec<_> = (offset..offset + BATCH).map(|n| record(n, n, 0)).collect();
            let (batch, cost) = self.cost(|| encoded(&records));
            encode += cost.ours;
            bytes += batch.bytes();
            let ((), cost) = self.cost(|| self.insert(&batch, &end(&records)));
            send += cost.ours;
            server += cost.server;
        }
        let million = first / MILLION + 1;
        println!("{million:>7}M {encode:>8.2} {send:>8.2} {server:>11.2} {:>10}", bytes as u64 / MILLION);
    }

    fn load(&self) -> (usize, Follower) {
        let (loaded, cost) =
            self.cost(|| self.runtime.block_on(self.clickhouse.load(|_, _| {})).expect("a load"));
        print("load", &cost);
        (loaded.model.events(), loaded.follower)
    }

    /// A step of a follower: records from this offset on, of events from this number on.
    fn follow(&self, follower: &mut Follower, offset: u64, number: u64, revision: u64) {
        let number = if revision == 0 { offset } else { number };
        let records: Vec<_> = (0..STEP).map(|n| record(offset + n, number + n, revision)).collect();
        self.insert(&encoded(&records), &end(&records));
        let (followed, cost) = self.cost(|| self.runtime.block_on(follower.follow(100_000)).expect("a step"));
        let Followed::Changed { changes, .. } = followed else { panic!("{followed:?}") };
        assert_eq!(changes.len() as u64, STEP);
        assert!(changes.iter().all(|change| change.old.is_some() == (revision > 0)));
        print(if revision == 0 { "1,000 new" } else { "1,000 revisions" }, &cost);
    }
}

fn print(what: &str, cost: &Cost) {
    println!(
        "{what}: {:.3} s; CPU seconds {:.3} here, {:.3} in ClickHouse",
        cost.seconds, cost.ours, cost.server
    );
}

fn encoded(records: &[(Position, Sealed)]) -> Batch {
    let received_at = Timestamp::from_micros(1_700_000_000_000_000).expect("an instant");
    let rows: Vec<_> =
        records.iter().map(|(position, sealed)| Row { position, received_at, sealed }).collect();
    Batch::new(&rows, &[])
}

fn end(records: &[(Position, Sealed)]) -> Positions {
    let mut end = Positions::new();
    records.iter().for_each(|(position, _)| end.advance(&position.partition, position.offset + 1));
    end
}

/// As a deploy tool would name them: no order in the ids that would help.
fn record(offset: u64, number: u64, revision: u64) -> (Position, Sealed) {
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let sealed = Sealed::new(Event {
        id: EventId {
            source: format!("/ci/checkout-{}", random % 200),
            id: format!("{random:016x}{number:016x}"),
        },
        revision,
        content: Content {
            actor: Some(format!(
                "p1:{:032x}",
                u128::from(random % 20_000).wrapping_mul(0x1234_5678_9abc_def1_2345_6789)
            )),
            body: Body::CapabilityUsed,
            capability: Some(format!("capability-{:02}", number % 50)),
            occurred_at: Timestamp::from_micros(
                1_700_000_000_000_000 + number as i64 * 1_000 + revision as i64,
            )
            .expect("an instant"),
            service: Some(format!("service-{:05}", random % 5_000)),
            team: Some(format!("team-{:05}", random % 1_000)),
        },
    });
    let partition = Partition { topic: "milepost-events".into(), number: (sealed.key.0 % 12) as i32 };
    (Position { partition, offset: offset as i64 }, sealed)
}
