//! Whether an event costs more when there is ten times as much of something: keys, history, duplicates, one at a time.
//!
//! Run: `cargo bench -p milepost-benches --bench growth`. Fewer events: `MILEPOST_BENCH_EVENTS=20000`.

use std::sync::Arc;

use bytes::Bytes;
use milepost_benches::load::{Sent, publish};
use milepost_benches::mix::Mix;
use milepost_benches::server::Server;
use milepost_benches::{median, setting};

const BATCH: u64 = 1_000;
const IN_FLIGHT: usize = 4;
const RUNS: usize = 3;

fn main() {
    let events = setting("MILEPOST_BENCH_EVENTS", 200_000);
    // All runs measure the last part of a history; `before` events are kept by then.
    let base = Mix::of(2 * events);
    let longer = base.preceded_by(9 * events);
    let wider = Mix { teams: base.teams * 10, services: base.services * 10, ..base };
    let part = |mix: &Mix, before: u64| mix.requests(before..before + events, BATCH);
    let repeated: Vec<Bytes> =
        part(&base, events).into_iter().flat_map(|request| vec![request; 10]).collect();

    println!("{events} events in batches of {BATCH}, median of {RUNS} runs");
    println!("{:<44}{:>14}{:>10}", "", "CPU s/million", "ratio");
    let first = measured(&base, events, &Arc::new(part(&base, events)), events);
    println!("{:<44}{first:>14.2}", format!("{events} kept before"));
    for (what, mix, before, requests, stored) in [
        ("10 x the teams and services", &wider, events, part(&wider, events), events),
        ("10 x the history kept before", &longer, 10 * events, part(&longer, 10 * events), events),
        ("each batch sent 10 times, per batch sent", &base, events, repeated, events),
    ] {
        let cost = measured(mix, before, &Arc::new(requests), stored);
        println!("{what:<44}{cost:>14.2}{:>9.2}x", cost / first);
    }
}

/// CPU seconds of the server for a million events sent, when `before` events of the mix are kept already.
fn measured(mix: &Mix, before: u64, requests: &Arc<Vec<Bytes>>, stored: u64) -> f64 {
    let history = Arc::new(mix.requests(0..before, BATCH));
    median((0..RUNS).map(|_| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let server = Server::milepost(&directory.path().join("data"));
        assert_eq!(publish(&server, &history, IN_FLIGHT).stored, before as usize);
        let sent: Sent = publish(&server, requests, IN_FLIGHT);
        assert_eq!(sent.stored, stored as usize, "each event must be stored once");
        sent.cpu_per_million()
    }))
}
