//! From a call with one event to its ack, at half of what the server gets through: the time begins when the call was due.
//!
//! Run: `cargo bench -p milepost-benches --bench latency`. Longer: `MILEPOST_BENCH_EVENTS=1000000`.

use std::sync::Arc;

use milepost_benches::load::{publish, publish_at};
use milepost_benches::mix::Mix;
use milepost_benches::server::Server;
use milepost_benches::{quantile, setting};

const IN_FLIGHT: usize = 128;

fn main() {
    let events = setting("MILEPOST_BENCH_EVENTS", 100_000);
    let mix = Mix::of(events);
    let half = events / 2;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::milepost(&directory.path().join("data"));

    let flat_out = publish(&server, &Arc::new(mix.requests(0..half, 1)), IN_FLIGHT);
    let rate = flat_out.rate() / 2.0;
    let seconds = publish_at(&server, &mix.requests(half..events, 1), rate);
    assert_eq!(seconds.len() + flat_out.stored, events as usize, "every call must be answered");

    println!(
        "flat out, {IN_FLIGHT} in flight: {:.0} events/s; then {rate:.0} calls a second",
        flat_out.rate()
    );
    println!(
        "event sent -> acked    p50 {:.1} ms    p99 {:.1} ms    max {:.1} ms",
        quantile(&seconds, 0.5) * 1e3,
        quantile(&seconds, 0.99) * 1e3,
        quantile(&seconds, 1.0) * 1e3
    );
}
