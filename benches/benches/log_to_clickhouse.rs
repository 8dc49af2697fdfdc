//! A million events from Kafka to ClickHouse: role aggregate beside what it is made of, and beside ClickHouse reading Kafka itself.
//!
//! - The floor is the consumer of the same crate, which reads and decodes the same records into memory.
//! - The peer is ClickHouse's own Kafka engine with a materialized view that makes the same rows of the same records in tables of the
//!   same form; what it uses is what ClickHouse uses while it does so. Beside it stands what role aggregate and ClickHouse use together.
//!
//! Both sides are checked to have made the same rows. Merging goes on later and costs both the same, so it is stopped meanwhile, and
//! told apart. CPU seconds for a million events, medians of alternating runs, starts included. Run:
//! `cargo bench -p milepost-benches --bench log_to_clickhouse`. Fewer events: `MILEPOST_BENCH_EVENTS=100000`.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use milepost_benches::cluster::{Cluster, Engines};
use milepost_benches::load::publish;
use milepost_benches::mix::Mix;
use milepost_benches::server::wait_until;
use milepost_benches::{median, process_cpu, setting};
use milepost_log::{BatchLimits, Consumer, Fetched, Logged};
use milepost_model::Positions;
use tokio::runtime::Runtime;

/// Between two looks at how far ClickHouse is: seldom enough to cost nothing.
const LOOK: Duration = Duration::from_millis(250);
const TABLES: [&str; 2] = ["events", "arrivals"];

/// What the view makes of a record: the row that role aggregate makes of it.
const VIEW: &str = "WITH JSONExtract(content, \
    'Tuple(body Tuple(type String), capability String, occurred_at String, service String, team String)') AS read \
    SELECT reinterpretAsUInt64(reverse(_key)) AS key, source, id, revision, SHA256(content) AS digest, \
    _topic AS topic, toInt32(_partition) AS partition, toInt64(_offset) AS offset, \
    assumeNotNull(_timestamp_ms) AS received_at, parseDateTime64BestEffort(read.occurred_at, 6, 'UTC') AS occurred_at, \
    read.body.type AS type, read.team AS team, read.service AS service, read.capability AS capability, content";

fn main() {
    let (events, runs) = (setting("MILEPOST_BENCH_EVENTS", 1_000_000), setting("MILEPOST_BENCH_RUNS", 3));
    let engines = Engines::start();
    let source = Cluster::new(&engines);
    let sent = publish(&source.role("ingest"), &Arc::new(Mix::of(events).requests(0..events, 1_000)), 4);
    assert_eq!(sent.stored, events as usize);

    let kafka_bytes = engines.kafka_bytes(&source.topic);

    let (mut figures, mut bytes): ([Vec<f64>; 5], _) = (Default::default(), 0);
    for _ in 0..runs {
        let ours = Cluster::on(&engines, source.topic.clone());
        let (aggregate, clickhouse) = aggregate(&engines, &ours, events);
        let decode = decode(&engines, &Cluster::on(&engines, source.topic.clone()), events);
        let peer = Cluster::on(&engines, source.topic.clone());
        let engine = kafka_engine(&engines, &peer, events);
        assert_eq!(rows(&engines, &ours), rows(&engines, &peer), "both sides must make the same rows");
        assert!(rows(&engines, &ours).starts_with(&format!("{events}\t")), "of every event one");
        let merging = merge(&engines, &ours);
        bytes = bytes_kept(&engines, &ours);
        let all = [aggregate, clickhouse, decode, engine, merging];
        figures.iter_mut().zip(all).for_each(|(figures, cpu)| figures.push(cpu / events as f64 * 1e6));
        for cluster in [ours, peer] {
            engines.ask(&format!("DROP DATABASE {}", cluster.database));
        }
    }

    let [aggregate, clickhouse, decode, engine, merging] = figures.map(median);
    let together = aggregate + clickhouse;
    println!("{events} events, {runs} runs");
    println!("{:<60}{:>14}", "", "CPU s/million");
    println!("{:<60}{aggregate:>14.2}", "milepost serve --role aggregate");
    println!("{:<60}{decode:>14.2}", "floor: its consumer, which reads and decodes");
    println!("{:<60}{:>14.2}", "rate of ours / of the floor", decode / aggregate);
    println!("{:<60}{clickhouse:>14.2}", "ClickHouse, which takes its inserts");
    println!("{:<60}{together:>14.2}", "both together");
    println!("{:<60}{engine:>14.2}", "ClickHouse's Kafka engine and a view, same rows");
    println!("{:<60}{:>13.2}x", "Kafka engine / both together", engine / together);
    println!(
        "{:<60}{:>13.2}x",
        "Kafka engine but for such inserts / role aggregate",
        (engine - clickhouse) / aggregate
    );
    println!("{:<60}{merging:>14.2}", "ClickHouse, which merges it all into one part later");
    let each = |bytes: u64| bytes as f64 / events as f64;
    println!(
        "disk: {:.0} bytes an event in Kafka, each copy; {:.0} in ClickHouse, merged",
        each(kafka_bytes),
        each(bytes)
    );
}

/// CPU seconds of the process, and of ClickHouse.
fn aggregate(engines: &Engines, cluster: &Cluster, events: u64) -> (f64, f64) {
    make_tables(engines, cluster);
    let before = engines.clickhouse_cpu();
    let server = cluster.role_at_once("aggregate");
    wait_until("all is kept", LOOK, || cluster.kept(engines) == events);
    (server.cpu(), engines.clickhouse_cpu() - before)
}

/// CPU seconds of this process, which does nothing else.
fn decode(engines: &Engines, cluster: &Cluster, events: u64) -> f64 {
    let before = process_cpu();
    Runtime::new().expect("a runtime").block_on(async {
        let start = |_| async { Ok(Positions::new()) }.boxed();
        let log = cluster.log(engines);
        let mut consumer =
            Consumer::<Logged>::start(&log, BatchLimits::default(), start).expect("a consumer");
        let mut read = 0;
        while read < events {
            if let Fetched::Batch(batch) = consumer.next().await.expect("a batch") {
                let records = batch.parts.iter().flat_map(|part| &part.records);
                read += records.filter(|record| matches!(record.value, Logged::Event(_))).count() as u64;
            }
        }
        assert_eq!(read, events);
        consumer.close().await;
    });
    process_cpu() - before
}

/// CPU seconds of ClickHouse.
fn kafka_engine(engines: &Engines, cluster: &Cluster, events: u64) -> f64 {
    make_tables(engines, cluster);
    let Cluster { database, topic, group, .. } = cluster;
    let record = "syntax = \"proto3\"; message Record { uint32 form = 1; string source = 2; string id = 3; uint64 revision = 4; bytes content = 5; }";
    engines.ask(&format!(
        "CREATE TABLE {database}.queue (source String, id String, revision UInt64, content String) ENGINE = Kafka SETTINGS \
         kafka_broker_list = '{}', kafka_topic_list = '{topic}', kafka_group_name = '{group}', kafka_format = 'ProtobufSingle', \
         kafka_schema = 'record:Record', format_schema_source = 'string', format_schema = '{record}', \
         format_schema_message_name = 'Record'",
        engines.brokers()
    ));
    let before = engines.clickhouse_cpu();
    engines.ask(&format!(
        "CREATE MATERIALIZED VIEW {database}.reading TO {database}.events AS {VIEW} FROM {database}.queue"
    ));
    let kept = || engines.number(&format!("SELECT count() FROM {database}.arrivals"));
    wait_until("all is kept", LOOK, || kept() == events);
    let cpu = engines.clickhouse_cpu() - before;
    engines.ask(&format!("DROP VIEW {database}.reading"));
    engines.ask(&format!("DROP TABLE {database}.queue"));
    cpu
}

fn make_tables(engines: &Engines, cluster: &Cluster) {
    cluster.migrate(engines);
    for table in TABLES {
        engines.ask(&format!("SYSTEM STOP MERGES {}.{table}", cluster.database));
    }
}

/// CPU seconds of ClickHouse.
fn merge(engines: &Engines, cluster: &Cluster) -> f64 {
    let before = engines.clickhouse_cpu();
    for table in TABLES {
        engines.ask(&format!("SYSTEM START MERGES {}.{table}", cluster.database));
        engines.ask(&format!("OPTIMIZE TABLE {}.{table} FINAL", cluster.database));
    }
    engines.clickhouse_cpu() - before
}

fn bytes_kept(engines: &Engines, cluster: &Cluster) -> u64 {
    let database = &cluster.database;
    engines.number(&format!(
        "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{database}'"
    ))
}

/// How many there are, and a digest of what is in them, in no order.
fn rows(engines: &Engines, cluster: &Cluster) -> String {
    let digest = |columns: &str, table: &str| {
        let database = &cluster.database;
        engines.ask(&format!("SELECT count(), sum(cityHash64({columns})) FROM {database}.{table}"))
    };
    let events = "key, source, id, revision, digest, topic, partition, offset, received_at, occurred_at, type, team, service, capability, content";
    format!(
        "{} {}",
        digest(events, "events"),
        digest("topic, partition, offset, key, source, id, content", "arrivals")
    )
}
