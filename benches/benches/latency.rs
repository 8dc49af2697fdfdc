//! From a call with one event to its ack, at half of what the server gets through: the time begins when the call was due.
//! Beside it a tonic server whose handler does nothing, called as often.
//!
//! Run: `cargo bench -p milepost-benches --bench latency`. Longer: `MILEPOST_BENCH_EVENTS=1000000`.

use std::sync::Arc;

use milepost_benches::load::{publish, publish_at, serve_empty_handler};
use milepost_benches::mix::Mix;
use milepost_benches::server::Server;
use milepost_benches::{quantile, setting};

const IN_FLIGHT: usize = 128;
const EMPTY: &str = "MILEPOST_BENCH_EMPTY_HANDLER";

fn main() {
    if std::env::var_os(EMPTY).is_some() {
        serve_empty_handler();
    }
    let events = setting("MILEPOST_BENCH_EVENTS", 100_000);
    let mix = Mix::of(events);
    let half = events / 2;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::milepost(&directory.path().join("data"));

    let flat_out = publish(&server, &Arc::new(mix.requests(0..half, 1)), IN_FLIGHT);
    let rate = flat_out.rate() / 2.0;
    let requests = mix.requests(half..events, 1);
    let ours = publish_at(&server, &requests, rate);
    assert_eq!(server.metric("milepost_model_events") as u64, events, "every event must be kept and applied");
    drop(server);
    let floor = publish_at(&Server::this_program_with(EMPTY), &requests, rate);
    assert_eq!(floor.len(), ours.len(), "both must answer every call");

    println!(
        "flat out, {IN_FLIGHT} in flight: {:.0} events/s; then {rate:.0} calls a second",
        flat_out.rate()
    );
    println!("{:<28}{:>10}{:>10}{:>10}", "event sent -> acked, ms", "p50", "p99", "max");
    for (what, seconds) in [("empty handler", floor), ("milepost serve", ours)] {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|q| quantile(&seconds, q) * 1e3);
        println!("{what:<28}{p50:>10.1}{p99:>10.1}{max:>10.1}");
    }
}
