//! Events over gRPC in batches of 1,000, to the ack of a commit that is synced: `milepost serve` beside the least that could
//! keep them, one thread that decodes the same bytes and appends them to a table of SQLite, synced batch by batch.
//!
//! Run: `cargo bench -p milepost-benches --bench grpc_batches`. Fewer events: `MILEPOST_BENCH_EVENTS=100000`.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use milepost_benches::load::publish;
use milepost_benches::mix::Mix;
use milepost_benches::server::{Server, disk};
use milepost_benches::{setting, used_cpu};
use milepost_wire::pb;
use prost::Message as _;

const BATCH: u64 = 1_000;
/// Enough that decoding the next batch goes on while one is being synced.
const IN_FLIGHT: usize = 4;

fn main() {
    let events = setting("MILEPOST_BENCH_EVENTS", 1_000_000);
    let requests = Arc::new(Mix::of(events).requests(0..events, BATCH));
    let bytes: usize = requests.iter().map(Bytes::len).sum();
    println!("{events} events of {} bytes in batches of {BATCH}", bytes / events as usize);

    let directory = tempfile::tempdir().expect("a temporary directory");
    let (began, mut rows) = (Instant::now(), 0);
    let floor_cpu = used_cpu(|| rows = append_only(&directory.path().join("floor.db"), &requests));
    let floor_rate = events as f64 / began.elapsed().as_secs_f64();

    let data = directory.path().join("data");
    let server = Server::milepost(&data);
    let idle = server.memory();
    let sent = publish(&server, &requests, IN_FLIGHT);
    assert_eq!((rows, sent.stored), (events, events as usize), "both sides must keep every event");
    assert_eq!(server.metric("milepost_model_events") as u64, events, "and ours must have applied them");

    let floor_cpu = floor_cpu / events as f64 * 1e6;
    println!("{:<36}{:>14}{:>12}", "", "CPU s/million", "events/s");
    println!("{:<36}{floor_cpu:>14.2}{floor_rate:>12.0}", "decode and append, one thread");
    println!("{:<36}{:>14.2}{:>12.0}", "milepost serve", sent.cpu_per_million(), sent.rate());
    println!("{:<36}{:>13.2}x", "ours / floor", sent.cpu_per_million() / floor_cpu);
    println!(
        "memory {:.1} MB idle, then {:.0} bytes an event; disk {:.0} bytes an event",
        idle / 1e6,
        (server.memory() - idle) / events as f64,
        disk(&data) / events as f64
    );
}

/// Rows there are in the end.
fn append_only(path: &Path, requests: &[Bytes]) -> u64 {
    let mut connection = rusqlite::Connection::open(path).expect("a database");
    connection.pragma_update(None, "journal_mode", "wal").expect("WAL");
    connection.pragma_update(None, "synchronous", "full").expect("synced");
    let table =
        "CREATE TABLE event (seq INTEGER PRIMARY KEY, source TEXT, id TEXT, revision INTEGER, content BLOB)";
    connection.execute_batch(table).expect("a table");
    for request in requests {
        let raw = RawPublish::decode(request.clone()).expect("a request");
        let transaction = connection.transaction().expect("a transaction");
        let mut insert = transaction
            .prepare_cached("INSERT INTO event (source, id, revision, content) VALUES (?1, ?2, ?3, ?4)")
            .expect("a statement");
        for bytes in raw.events {
            let event = pb::Event::decode(bytes.clone()).expect("an event");
            let revision = event.revision as i64;
            insert.execute(rusqlite::params![event.source, event.id, revision, &bytes[..]]).expect("a row");
        }
        drop(insert);
        transaction.commit().expect("a commit");
    }
    connection.query_row("SELECT count(*) FROM event", [], |row| row.get::<_, i64>(0)).expect("a count")
        as u64
}

/// [`pb::PublishRequest`] with its events still as bytes, which are kept.
#[derive(Clone, PartialEq, prost::Message)]
struct RawPublish {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    events: Vec<Bytes>,
}
