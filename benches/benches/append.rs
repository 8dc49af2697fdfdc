//! What it costs to keep events, beside the floor: the same rows inserted into an append-only table, in the same batches,
//! equally durable, with nobody asking whether an id has come before.
//!
//! CPU seconds of the whole process for a million events, threads that merge included, in batches of 1,000: with few events
//! stored and with many, new ids and duplicates. The events are made and sealed beforehand, as doors do. Run:
//! `cargo bench -p milepost-benches --bench append`; `-- 20` for up to 20 million.

use std::path::Path;

use milepost_benches::{process_cpu, resident, used_cpu};
use milepost_model::{Body, Content, Event, EventId, Sealed, Timestamp};
use milepost_store::sqlite::{Options, Sqlite, open_reader};
use milepost_store::{Appended, Store};
use rusqlite::{Connection, params};

const MILLION: u64 = 1_000_000;
const BATCH: u64 = 1_000;

fn main() {
    let millions = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (floor, ours) = (directory.path().join("floor.db"), directory.path().join("data"));
    let mut bare = Bare::open(&floor);
    let mut store = Sqlite::open(&ours, Options::default()).expect("a store");
    println!("CPU seconds a million events, batches of {BATCH}, synchronous=FULL");
    println!("{:>10} {:>10} {:>10} {:>10} {:>14}", "stored", "floor", "ours", "ratio", "resident MB");
    let mut figures = Vec::new();
    for million in 0..millions {
        let floor = cost(million, |events| bare.append(events));
        let ours = cost(million, |events| append(&mut store, events, false));
        println!(
            "{:>9}M {floor:>10.2} {ours:>10.2} {:>9.2}x {:>14.0}",
            million + 1,
            ours / floor,
            resident() / 1e6
        );
        figures.push(ours);
    }
    let duplicates = cost(millions / 2, |events| append(&mut store, events, true));
    println!("{:>10} {:>10} {duplicates:>10.2}", "duplicates", "-");
    if let (Some(first), Some(last)) = (figures.first(), figures.last()) {
        println!("the last million costs {:.2} times what the first did", last / first);
    }
    drop(store);
    assert_eq!(rows(&floor), rows(&ours.join("milepost.db")), "both sides must hold the same rows");
    println!(
        "checked: {} rows equal; {:.0} bytes an event on disk",
        millions * MILLION,
        bytes_an_event(&ours)
    );
}

/// CPU seconds that keeping a million events takes this process.
fn cost(million: u64, mut keep: impl FnMut(&[Sealed])) -> f64 {
    // Threads of the store may be at work at any moment, so all is counted but the making of events.
    let (before, mut making) = (process_cpu(), 0.0);
    for batch in 0..MILLION / BATCH {
        let first = million * MILLION + batch * BATCH;
        let mut events = Vec::new();
        making += used_cpu(|| events.extend((first..first + BATCH).map(sealed)));
        keep(&events);
    }
    process_cpu() - before - making
}

/// As a deploy tool would name them: no order in the ids that would help.
fn sealed(number: u64) -> Sealed {
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Sealed::new(Event {
        id: EventId { source: "/ci/checkout".into(), id: format!("{random:016x}") },
        revision: 0,
        content: Content {
            actor: None,
            body: Body::CapabilityUsed,
            capability: Some(format!("capability-{:02}", number % 50)),
            occurred_at: Timestamp::from_micros(1_700_000_000_000_000 + number as i64 * 1_000)
                .expect("an instant"),
            service: None,
            team: Some(format!("team-{:05}", random % 10_000)),
        },
    })
}

fn append(store: &mut Sqlite, events: &[Sealed], known: bool) {
    let appended = store.append(events, &[], Timestamp::MIN).expect("room");
    assert!(appended.iter().all(|appended| (*appended == Appended::Duplicate) == known));
}

/// The floor.
struct Bare(Connection);

impl Bare {
    fn open(path: &Path) -> Self {
        let connection = Connection::open(path).expect("a database");
        connection
            .execute_batch(
                "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 4096;
                 PRAGMA cache_size = -16384;
                 CREATE TABLE event (seq INTEGER PRIMARY KEY, received_at INTEGER NOT NULL, source TEXT NOT NULL,
                    id TEXT NOT NULL, revision INTEGER NOT NULL, content TEXT NOT NULL) STRICT;",
            )
            .expect("a table");
        Self(connection)
    }

    fn append(&mut self, events: &[Sealed]) {
        let transaction = self.0.transaction().expect("a transaction");
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO event (received_at, source, id, revision, content) VALUES (?1, ?2, ?3, ?4, ?5)")
                .expect("a statement");
            for sealed in events {
                let id = &sealed.event.id;
                let content = std::str::from_utf8(&sealed.canonical).expect("a text");
                let revision = sealed.event.revision as i64;
                insert
                    .execute(params![Timestamp::MIN.micros(), id.source, id.id, revision, content])
                    .expect("room");
            }
        }
        transaction.commit().expect("room");
    }
}

/// How many there are, and sums over all that is in them.
fn rows(path: &Path) -> [i64; 4] {
    let connection = Connection::open(path).expect("a database");
    let sums = "SELECT count(*), sum(length(source) + length(content)), sum(unixepoch(content ->> 'occurred_at') * seq % 65521),
                       sum(unicode(id) * 65536 + unicode(substr(id, 8)) * seq % 65521) FROM event";
    connection
        .query_row(sums, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))
        .expect("sums")
}

fn bytes_an_event(data: &Path) -> f64 {
    let sizes = open_reader(data).and_then(|mut reader| reader.sizes()).expect("sizes");
    sizes.bytes as f64 / sizes.versions as f64
}
