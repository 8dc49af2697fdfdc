//! The start of a query replica on a million events in ClickHouse: until it is ready, and what it uses. Of a mix of events as a
//! platform sends them; of uses none of which is by the same team, of the same capability, on the same day as another, a million cells;
//! and of uses of which a hundred at a time are.
//!
//! Beside it the floor: the same rows read from ClickHouse in the same form and order, and thrown away. Run:
//! `cargo bench -p milepost-benches --bench replica_start`. Other sizes: `MILEPOST_BENCH_EVENTS=10000000`.

use std::time::{Duration, Instant};

use milepost_benches::cluster::{Cluster, Engines};
use milepost_benches::mix::Mix;
use milepost_benches::server::wait_until;
use milepost_benches::{median, process_cpu, setting};
use milepost_model::{Partition, Position, Sealed, Timestamp};
use milepost_store::clickhouse::{Batch, Row};
use milepost_wire::pb;
use milepost_wire::pb::event::Body;
use prost_types::Timestamp as Instants;
use tokio::runtime::Runtime;

const BATCH: u64 = 50_000;
const RUNS: usize = 5;
const TEAMS: u64 = 1_000;
const CAPABILITIES: u64 = 50;
const FIRST_SECOND: u64 = 1_735_689_600;

fn main() {
    let events = setting("MILEPOST_BENCH_EVENTS", 1_000_000);
    let mix = Mix { teams: 1_000, services: 10_000, capabilities: 50, days: 730, ..Mix::of(events) };
    let engines = Engines::start();
    start("a mix of events", &engines, events, |number| mix.event(number));
    start("uses, each a cell of its own", &engines, events, |number| used(number, number));
    start("uses, a hundred of each cell", &engines, events, |number| used(number, number / 100));
}

/// A use by a team, of a capability, on a day that no other cell has together.
fn used(number: u64, cell: u64) -> pb::Event {
    let (team, rest) = (cell % TEAMS, cell / TEAMS);
    let (capability, day) = (rest % CAPABILITIES, rest / CAPABILITIES);
    pb::Event {
        source: "/ci".into(),
        id: format!("use-{number}"),
        occurred_at: Some(Instants { seconds: (FIRST_SECOND + 86_400 * day) as i64, nanos: 0 }),
        team: format!("team-{team}"),
        capability: format!("capability-{capability}"),
        body: Some(Body::CapabilityUsed(pb::CapabilityUsed {})),
        ..pb::Event::default()
    }
}

fn start(what: &str, engines: &Engines, events: u64, event: impl Fn(u64) -> pb::Event) {
    let cluster = Cluster::new(engines);
    fill(engines, &cluster, events, event);
    let (mut seconds, mut cpu, mut memory, mut theirs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut floors = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        let (before, began) = (engines.clickhouse_cpu(), Instant::now());
        let server = cluster.role_at_once("query");
        wait_until("it is ready", Duration::from_millis(5), || server.is_ready());
        seconds.push(began.elapsed().as_secs_f64());
        cpu.push(server.cpu());
        theirs.push(engines.clickhouse_cpu() - before);
        memory.push(server.memory() / 1e6);
        assert_eq!(server.metric("milepost_model_events") as u64, events, "it must have every event");
        let (took, used) = read(engines, &cluster, events);
        floors[0].push(took);
        floors[1].push(used);
    }
    let [took, used] = floors.map(median);
    println!("{events} events, {what}; medians of {RUNS} starts");
    println!("{:<44}{:>10}{:>10}{:>18}{:>12}", "", "seconds", "CPU s", "ClickHouse CPU s", "memory MB");
    println!(
        "{:<44}{:>10.2}{:>10.2}{:>18.2}{:>12.0}",
        "milepost serve --role query, until ready",
        median(seconds),
        median(cpu),
        median(theirs),
        median(memory)
    );
    println!("{:<44}{took:>10.2}{used:>10.2}", "floor: the same rows, thrown away");
}

/// Straight into ClickHouse, as role aggregate does it.
fn fill(engines: &Engines, cluster: &Cluster, events: u64, event: impl Fn(u64) -> pb::Event) {
    cluster.migrate(engines);
    let clickhouse = cluster.store(engines);
    let partition = Partition { topic: cluster.topic.as_str().into(), number: 0 };
    let runtime = Runtime::new().expect("a runtime");
    for start in (0..events).step_by(BATCH as usize) {
        let numbers = start..(start + BATCH).min(events);
        let sealed = |number| {
            let event = milepost_wire::proto::decode(event(number)).expect("an event");
            (Position { partition: partition.clone(), offset: number as i64 }, Sealed::new(event))
        };
        let sealed: Vec<_> = numbers.clone().map(sealed).collect();
        let row = |(position, sealed)| Row { position, received_at: Timestamp::MIN, sealed };
        let rows: Vec<_> = sealed.iter().map(|(position, sealed)| row((position, sealed))).collect();
        let done = [(partition.clone(), numbers.end as i64)].into_iter().collect();
        runtime.block_on(async {
            clickhouse.insert(&Batch::new(&rows, &[])).await.expect("room");
            clickhouse.advance(&done, 0).await.expect("room");
        });
    }
}

/// Seconds, and CPU seconds of this process.
fn read(engines: &Engines, cluster: &Cluster, events: u64) -> (f64, f64) {
    let query = format!(
        "SELECT key, source, id, revision, digest, content FROM {}.events ORDER BY key, source, id, revision, digest \
         SETTINGS optimize_read_in_order = 1 FORMAT RowBinary",
        cluster.database
    );
    let (before, began) = (process_cpu(), Instant::now());
    let answer = ureq::post(engines.clickhouse()).send(&query).expect("an answer");
    let mut body = answer.into_body().into_with_config().limit(u64::MAX).reader();
    let bytes = std::io::copy(&mut body, &mut std::io::sink()).expect("rows");
    assert!(bytes > 100 * events, "all of them");
    (began.elapsed().as_secs_f64(), process_cpu() - before)
}
