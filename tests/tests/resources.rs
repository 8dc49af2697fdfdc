//! Disks that are full or fail, and readers that do not end: rows F29 and F30 of docs/faults.md.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use milepost_tests::{Installation, Served, binary, eventually, load, state};

const NDJSON: &str = "application/x-ndjson";

/// Sends batches until one is not taken; those that were, and the one that was not.
fn fill(served: &Served, name: &str) -> (Vec<Vec<String>>, Vec<String>) {
    let mut taken = Vec::new();
    for number in 0..5_000 {
        let batch = load::batch(name, 1, number);
        let reply = served.post(NDJSON, batch.join("\n"));
        if reply.status != 200 {
            assert_eq!(reply.status, 503, "{reply:?}");
            assert!(reply.retry_after.is_some(), "{reply:?}");
            let message = reply.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
            assert!(message.contains("the store cannot take events now"), "{message}");
            return (taken, batch);
        }
        taken.push(batch);
    }
    panic!("the disk is never full");
}

fn all_known(served: &Served, batches: &[Vec<String>]) {
    let lines: Vec<_> = batches.concat();
    for lines in lines.chunks(5_000) {
        let reply = served.post(NDJSON, lines.join("\n"));
        assert_eq!(reply.json()["stored"], 0, "{reply:?}");
    }
}

/// **F29.** Files cannot grow: nothing is acked any more, with 503, Retry-After and a reason; reading goes on; nothing is damaged;
/// and when there is room it goes on by itself. A limit on the size of files stands for the full disk, as anybody may set it.
#[test]
fn f29_disk_full() {
    let installation = Installation::new("");
    let mut command = binary::unconfigured(Command::new("prlimit"));
    // A write beyond the limit fails, as on a full disk, once the signal that comes with it is ignored.
    let ignoring = ["--fsize=1000000:unlimited", "sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];
    command.args(ignoring).arg(binary::path());
    let mut served =
        installation.serve_by(command).unwrap_or_else(|ended| panic!("prlimit and sh: {ended:?}"));

    let (mut taken, not_taken) = fill(&served, "until-full");
    assert!(taken.len() > 5, "it was taken while there was room: {}", taken.len());
    for number in 0..20 {
        let reply = served.post(NDJSON, load::batch("while-full", 1, number).join("\n"));
        assert_eq!(reply.status, 503, "nothing is acked while it is full: {reply:?}");
    }
    assert_eq!(served.get("/healthz").status, 200);
    let counted = served.get_json(&format!("/v1/metrics/market_share?as_of={}", load::DAY));
    assert_eq!(counted[0]["numerator"], 1, "{counted}");
    state::examine(&installation);

    let room = format!("prlimit --pid {} --fsize=unlimited:unlimited", served.id());
    assert!(Command::new("sh").args(["-c", &room]).status().expect("there is a shell").success());
    let reply = served.post(NDJSON, not_taken.join("\n"));
    assert_eq!(reply.status, 200, "it goes on by itself: {reply:?}");
    taken.push(not_taken);
    all_known(&served, &taken);
    served.kill();
    all_known(&installation.serve(), &taken);
    state::examine(&installation);
}

/// **F29**, at any write and sync: the n-th of a file fails, and so do some after it. What was not taken is sent again until it is;
/// in the end everything is there once, and nothing is damaged.
#[test]
fn f29_any_write_or_sync_fails() {
    for (call, error, file) in [
        ("pwrite64", "ENOSPC", "milepost.db-wal"),
        ("pwrite64", "ENOSPC", "milepost.db"),
        ("fsync", "EIO", "milepost.db-wal"),
        ("fsync", "EIO", "milepost.db"),
    ] {
        for first in [1, 3, 6, 9] {
            any_fails(call, error, file, first);
        }
    }
}

fn any_fails(call: &str, error: &str, file: &str, first: usize) {
    let what = format!("{call} {first} of {file}: {error}");
    let installation = Installation::new("");
    // So that the new server makes no files: those are other failures, at which it does not start.
    let mut new = installation.serve();
    new.terminate();
    assert!(new.wait().success(), "{what}");

    let trace = installation.data().with_file_name("trace");
    let mut command = binary::unconfigured(Command::new("strace"));
    let inject = format!("inject={call}:error={error}:when={first}..{}", first + 2);
    command.args(["-D", "-f", "-q", "-P"]).arg(installation.data().join(file));
    command.args(["-e", &format!("trace={call}"), "-e", &inject, "-e", "signal=none", "-o"]).arg(&trace);
    command.arg(binary::path()).env("FAILPOINTS", "wal.pages=8;identity.tail=64");
    let mut served = match installation.serve_by(command) {
        Ok(served) => served,
        // The first writes may be those of the start, which then says why and ends: as a whole, with nothing damaged.
        Err(ended) => {
            assert!(ended.status.code() == Some(1) && ended.said.contains("milepost: "), "{what}: {ended:?}");
            state::examine(&installation);
            installation.serve()
        }
    };
    let mut taken = Vec::new();
    for number in 0..60 {
        let batch = load::batch("any", 1, number);
        let body = batch.join("\n");
        eventually("it is taken", || {
            let reply = served.post(NDJSON, &body);
            assert!([200, 503].contains(&reply.status), "{what}: {reply:?}");
            (reply.status == 200).then_some(())
        });
        taken.push(batch);
    }
    all_known(&served, &taken);
    served.kill();
    let injected =
        std::fs::read_to_string(&trace).expect("strace has written it").matches("(INJECTED)").count();
    assert!(injected > 0, "{what}: it never failed");
    let again = installation.serve();
    all_known(&again, &taken);
    state::examine(&installation);
}

/// The WAL is written back from so many pages on.
const PAGES: u64 = 64;

/// How many bytes those are.
fn written_back(installation: &Installation) -> u64 {
    let database = rusqlite::Connection::open(installation.data().join("milepost.db")).expect("it opens");
    let page: i64 = database.query_row("PRAGMA page_size", [], |row| row.get(0)).expect("it has pages");
    PAGES * page as u64
}

fn wal(installation: &Installation) -> u64 {
    installation.data().join("milepost.db-wal").metadata().map_or(0, |file| file.len())
}

/// Ends those who ask, however the test ends.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// **F30.** Whatever is asked of the server, no reading holds the WAL up: it stays within what it is written back at, a commit, and
/// what is committed between two looks of a reader.
#[test]
fn f30_questions_do_not_hold_the_wal_up() {
    let installation = Installation::new("");
    let served = installation.serve_failing(&format!("wal.pages={PAGES}")).expect("it starts");
    let (url, done) = (served.url(), AtomicBool::new(false));
    let paths = [
        format!("/v1/metrics/market_share/explain?as_of={}", load::DAY),
        "/v1/metrics/market_share?from=2025-06-01&to=2026-02-01&by=team".to_owned(),
        "/metrics".to_owned(),
    ];
    let largest = thread::scope(|scope| {
        let _done = Done(&done);
        for path in &paths {
            let (url, done) = (&url, &done);
            scope.spawn(move || {
                while !done.load(Relaxed) {
                    let reply = milepost_tests::served::get(url, path, "*/*");
                    assert_eq!(reply.status, 200, "{path}: {reply:?}");
                }
            });
        }
        let mut largest = 0;
        for number in 0..400 {
            assert_eq!(served.post(NDJSON, load::batch("beside", 1, number).join("\n")).status, 200);
            largest = largest.max(wal(&installation));
        }
        largest
    });
    let database = installation.data().join("milepost.db").metadata().map_or(0, |file| file.len());
    let cap = written_back(&installation);
    assert!(database > cap, "there was enough to write back: {database}");
    assert!(largest <= 4 * cap, "the WAL had {largest} bytes, and is written back at {cap}");
}

/// **F30**, with a reader that is not ours and never ends: events go on being taken; and when it ends, the WAL is cut back to its cap
/// by itself.
#[test]
fn f30_the_wal_is_cut_back_when_a_long_reader_ends() {
    let installation = Installation::new("");
    let cut_to = PAGES * 4_096;
    let served =
        installation.serve_failing(&format!("wal.pages={PAGES};wal.bytes={cut_to}")).expect("it starts");
    let send = |from: u64, to: u64| {
        for number in from..to {
            assert_eq!(served.post(NDJSON, load::batch("pinned", 1, number).join("\n")).status, 200);
        }
    };
    send(0, 10);
    let reader = rusqlite::Connection::open(installation.data().join("milepost.db")).expect("it opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM event").expect("it reads");
    send(10, 300);
    let pinned = wal(&installation);
    let cap = written_back(&installation).max(cut_to);
    assert!(pinned > 3 * cap / 2, "it was held up: {pinned}");
    drop(reader);
    send(300, 400);
    assert!(
        wal(&installation) <= cap + cap / 4,
        "{} bytes, {pinned} before, {cap} at most",
        wal(&installation)
    );
}
