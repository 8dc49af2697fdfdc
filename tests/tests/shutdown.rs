//! What was acknowledged is there after the process was asked to end, whatever it was doing: row F32 of docs/faults.md.

use std::sync::mpsc;
use std::thread;

use milepost_tests::served::post;
use milepost_tests::{Installation, Served, eventually, exposition, load};

/// Sent again, every one of them is known.
fn assert_all_known(served: &Served, lines: &[String]) {
    assert!(!lines.is_empty());
    for lines in lines.chunks(5_000) {
        let reply = served.post("application/x-ndjson", lines.join("\n"));
        assert_eq!(reply.status, 200, "{reply:?}");
        let (answer, sent) = (reply.json(), lines.len());
        assert_eq!(
            (answer["stored"].as_u64(), answer["duplicate"].as_u64()),
            (Some(0), Some(sent as u64)),
            "{answer}"
        );
    }
}

/// **F32.** SIGTERM under load, at every step of a commit and between: what was acked is durable, nobody waits for ever, and the
/// process exits with success.
#[test]
fn f32_asked_to_end_at_every_step() {
    let places = [
        "keeper.taken",
        "store.begun",
        "store.inserted",
        "store.refused",
        "store.committed",
        "keeper.committed",
        "keeper.applied",
        "keeper.acked",
        "identity.written",
    ];
    for (seed, place) in (0..).zip(places) {
        let installation = Installation::new("");
        let served = installation
            .serve_failing(&format!("identity.tail=64;{place}=terminate@3"))
            .unwrap_or_else(|ended| panic!("{place}: {ended:?}"));
        let lines = load::until_gone(served, place, seed, usize::MAX, |served| {
            let status = served.wait();
            assert!(status.success(), "{place}: {status}");
            assert!(served.log().contains(&format!("failpoint {place}: terminate")), "{}", served.log());
        });
        assert_all_known(&installation.serve(), &lines);
    }
}

/// **F32.** SIGTERM while it starts: it ends with success, has not listened, and the next start finds all well.
#[test]
fn f32_asked_to_end_while_starting() {
    for place in ["open.locked", "migration.applied", "key.written", "open.configured"] {
        let installation = Installation::new("");
        let before = load::batch("before", 1, 1);
        if place == "open.configured" {
            // With something to replay.
            assert_eq!(installation.serve().post("application/x-ndjson", before.join("\n")).status, 200);
        }
        match installation.serve_failing(&format!("{place}=terminate@1")) {
            Err(ended) => assert!(ended.status.success(), "{place}: {ended:?}"),
            // It was about to listen when it was asked.
            Ok(mut served) => assert!(served.wait().success(), "{place}: {}", served.log()),
        }
        let served = installation.serve();
        let reply = served.post("application/x-ndjson", before.join("\n"));
        let expected = if place == "open.configured" { "duplicate" } else { "stored" };
        assert!(reply.json()[expected].as_u64() > Some(0), "{place}: {reply:?}");
    }
}

/// **F32.** SIGTERM from outside, at any moment under load.
#[test]
fn f32_asked_to_end_under_load() {
    let installation = Installation::new("");
    let lines = load::until_gone(installation.serve(), "asked", 1, 20, |served| {
        served.terminate();
        let status = served.wait();
        assert!(status.success(), "{status}");
    });
    assert_all_known(&installation.serve(), &lines);
}

/// Begins to send an event to a server whose disk does not answer, and gives the file to delete for it to go on, and the answer
/// to come.
fn held(
    installation: &Installation,
) -> (Served, std::path::PathBuf, mpsc::Receiver<milepost_tests::served::Reply>) {
    let file = installation.data().with_file_name("held");
    let served =
        installation.serve_failing(&format!("store.refused=hold:{}", file.display())).expect("it starts");
    let (url, (answer, answered)) = (served.url(), mpsc::channel());
    let body = load::batch("held", 1, 1).join("\n");
    thread::spawn(move || {
        let reply = post(&url, &[("content-type", "application/x-ndjson")], body.as_bytes());
        // The test may have failed meanwhile.
        let _ = answer.send(reply.expect("the server answers"));
    });
    eventually("the commit is held", || file.exists().then_some(()));
    (served, file, answered)
}

fn stored(served: &Served) -> f64 {
    exposition::sum(&served.metrics(), "milepost_events_total", &["fate=\"stored\""])
}

/// **F36**, for `POST /v1/events`. The store is slow: there is no answer before what was sent is durable, and reading goes on.
#[test]
fn f36_nothing_is_answered_before_it_is_durable() {
    let installation = Installation::new("");
    let (served, file, answered) = held(&installation);
    let events = || {
        let reader = rusqlite::Connection::open(installation.data().join("milepost.db")).expect("it opens");
        reader
            .query_row("SELECT count(*) FROM event", [], |row| row.get::<_, i64>(0))
            .expect("it can be read")
    };
    assert_eq!((events(), stored(&served)), (0, 0.0));
    assert_eq!(served.get("/v1/metrics/market_share?as_of=2026-01-02").status, 200);
    assert!(answered.try_recv().is_err(), "nothing is answered yet");
    std::fs::remove_file(&file).expect("it is held");
    let reply = answered.recv().expect("it is answered");
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(events() > 0);
}

/// **F32**, with a disk that does not answer: it is waited for, and what was taken is kept and answered.
#[test]
fn f32_asked_to_end_while_the_disk_is_slow() {
    let installation = Installation::new("");
    let (mut served, file, answered) = held(&installation);
    served.terminate();
    eventually("it takes no more", || served.log().contains("asked to end").then_some(()));
    std::fs::remove_file(&file).expect("it is held");
    let reply = answered.recv().expect("it is answered");
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(served.wait().success());
    assert_all_known(&installation.serve(), &load::batch("held", 1, 1));
}
