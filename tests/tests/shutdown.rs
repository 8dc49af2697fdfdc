//! What was acknowledged is there after the process has ended, however it ended.

use std::sync::mpsc;
use std::thread;

use milepost_tests::served::post;
use milepost_tests::{Installation, Served, events};

const BATCH: usize = 40;
const SENDERS: usize = 4;

/// Sends batches until the server is gone, and gives those that were acknowledged.
fn send_until_gone(url: &str, sender: usize, round: usize, acknowledged: &mpsc::Sender<Vec<String>>) {
    let now = events::now();
    for batch in 0.. {
        let used = |index| {
            events::used(&format!("{round}-{sender}-{batch}-{index}"), events::ago(now, 1, 0), "team")
        };
        let lines = events::lines(&(0..BATCH).map(used).collect::<Vec<_>>());
        let body = lines.join("\n");
        match post(url, &[("content-type", "application/x-ndjson")], body.as_bytes()) {
            Ok(reply) if reply.status == 200 => {
                // Whoever counts the acknowledgements may have seen enough.
                let _ = acknowledged.send(lines);
            }
            // Handed back: shutting down, or busy. Either way nothing was acknowledged.
            Ok(reply) => assert!([429, 503].contains(&reply.status), "{reply:?}"),
            Err(_) => return,
        }
    }
}

/// Loads the server from many sides, ends it in the middle, and gives every acknowledged event.
fn under_load(mut served: Served, round: usize, end: impl FnOnce(&mut Served)) -> Vec<String> {
    const ENOUGH: usize = 20;
    let (acknowledged, batches) = mpsc::channel();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (url, acknowledged) = (served.url(), acknowledged.clone());
            thread::spawn(move || send_until_gone(&url, sender, round, &acknowledged))
        })
        .collect();
    drop(acknowledged);
    let mut lines: Vec<String> = batches.iter().take(ENOUGH).flatten().collect();
    end(&mut served);
    lines.extend(batches.iter().flatten());
    for sender in senders {
        sender.join().expect("the sender saw only what it may see");
    }
    lines
}

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

#[test]
fn asked_to_end_under_load() {
    let installation = Installation::new("");
    let lines = under_load(installation.serve(), 0, |served| {
        served.terminate();
        let status = served.wait();
        assert!(status.success(), "{status}");
    });
    assert_all_known(&installation.serve(), &lines);
}

#[test]
fn killed_under_load_again_and_again() {
    const ROUNDS: usize = 5;
    let installation = Installation::new("");
    let mut lines = Vec::new();
    for round in 0..ROUNDS {
        lines.extend(under_load(installation.serve(), round, Served::kill));
    }
    assert_all_known(&installation.serve(), &lines);
}
