//! CDEvents as JSON: the real history, copied until there are about as many events as wanted, posted in batches of 1,000 to
//! `milepost serve`, and imported into a data directory by `milepost import`; beside one thread that parses the same lines
//! and appends them to a table of SQLite, synced batch by batch.
//!
//! Run: `cargo bench -p milepost-benches --bench http_cdevents`. Fewer events: `MILEPOST_BENCH_EVENTS=100000`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use milepost_benches::server::{Server, binary, ended_children_cpu};
use milepost_benches::{copies, setting, used_cpu};

const BATCH: usize = 1_000;
const REAL: u64 = 37_255;
const SENDERS: usize = 4;

fn main() {
    let copied = setting("MILEPOST_BENCH_EVENTS", 1_000_000).div_ceil(REAL);
    let lines = copies::of_real_history(copied);
    let (events, bytes) = (lines.len(), lines.iter().map(String::len).sum::<usize>());
    println!("{events} events of {} bytes: the real history, {copied} times", bytes / events);
    let batches: Vec<String> = lines.chunks(BATCH).map(|lines| lines.join("\n")).collect();
    drop(lines);
    let directory = tempfile::tempdir().expect("a temporary directory");

    let (began, mut rows) = (Instant::now(), 0);
    let floor = used_cpu(|| rows = append_only(&directory.path().join("floor.db"), &batches));
    let floor_seconds = began.elapsed().as_secs_f64();

    let server = Server::milepost(&directory.path().join("served"));
    let (cpu, began) = (server.cpu(), Instant::now());
    post(&server, &batches);
    let (served, served_seconds) = (server.cpu() - cpu, began.elapsed().as_secs_f64());
    let kept = server.metric("milepost_model_events") as usize;
    drop(server);

    let file = directory.path().join("history.ndjson");
    fs::write(&file, batches.join("\n")).expect("room for the history");
    let (cpu, began) = (ended_children_cpu(), Instant::now());
    let mut import = Command::new(binary());
    let output = import
        .args(["import", "--format", "json"])
        .arg(&file)
        .arg("--data")
        .arg(directory.path().join("imported"))
        .output();
    let output = output.expect("it starts");
    let (imported, imported_seconds) = (ended_children_cpu() - cpu, began.elapsed().as_secs_f64());
    let summary = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{summary}");
    assert_eq!((rows, kept), (events, events), "all sides must keep every event");
    assert!(summary.contains(&format!("\"stored\":{events},")), "also the import: {summary}");

    let millions = events as f64 / 1e6;
    println!("{:<36}{:>14}{:>8}{:>12}", "", "CPU s/million", "ratio", "events/s");
    for (what, cpu, seconds) in [
        ("parse and append, one thread", floor, floor_seconds),
        ("milepost serve, POST /v1/events", served, served_seconds),
        ("milepost import", imported, imported_seconds),
    ] {
        let rate = events as f64 / seconds;
        println!("{what:<36}{:>14.2}{:>7.2}x{rate:>12.0}", cpu / millions, cpu / floor);
    }
}

fn append_only(path: &Path, batches: &[String]) -> usize {
    let mut connection = rusqlite::Connection::open(path).expect("a database");
    connection.pragma_update(None, "journal_mode", "wal").expect("WAL");
    connection.pragma_update(None, "synchronous", "full").expect("synced");
    connection.execute_batch("CREATE TABLE event (seq INTEGER PRIMARY KEY, content TEXT)").expect("a table");
    for batch in batches {
        let transaction = connection.transaction().expect("a transaction");
        let mut insert =
            transaction.prepare_cached("INSERT INTO event (content) VALUES (?1)").expect("a statement");
        for line in batch.lines() {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(event["context"].is_object());
            insert.execute([line]).expect("a row");
        }
        drop(insert);
        transaction.commit().expect("a commit");
    }
    connection.query_row("SELECT count(*) FROM event", [], |row| row.get::<_, i64>(0)).expect("a count")
        as usize
}

fn post(server: &Server, batches: &[String]) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                let agent = ureq::agent();
                while let Some(batch) = batches.get(next.fetch_add(1, Relaxed)) {
                    let request = agent.post(format!("{}/v1/events", server.url));
                    let answer = request.header("content-type", "application/x-ndjson").send(batch);
                    let text = answer.expect("an answer").body_mut().read_to_string().expect("a text");
                    assert!(text.starts_with(&format!("{{\"stored\":{},", batch.lines().count())), "{text}");
                }
            });
        }
    });
}
