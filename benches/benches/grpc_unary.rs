//! Events over gRPC one a call, many calls in flight, to the ack of a commit that is synced: `milepost serve` beside a tonic
//! server whose handler does nothing, under the same load generator on the same cores.
//!
//! Run: `cargo bench -p milepost-benches --bench grpc_unary`. Fewer events: `MILEPOST_BENCH_EVENTS=20000`.

use std::sync::Arc;

use milepost_benches::load::{publish, serve_empty_handler};
use milepost_benches::mix::Mix;
use milepost_benches::server::Server;
use milepost_benches::setting;

const EMPTY: &str = "MILEPOST_BENCH_EMPTY_HANDLER";

fn main() {
    if std::env::var_os(EMPTY).is_some() {
        serve_empty_handler();
    }
    let events = setting("MILEPOST_BENCH_EVENTS", 200_000);
    let in_flight = setting("MILEPOST_BENCH_IN_FLIGHT", 128) as usize;
    let requests = Arc::new(Mix::of(events).requests(0..events, 1));
    println!("{events} calls of one event, {in_flight} in flight");

    let floor = publish(&Server::this_program_with(EMPTY), &requests, in_flight);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::milepost(&directory.path().join("data"));
    let ours = publish(&server, &requests, in_flight);
    assert_eq!(
        (floor.stored, ours.stored),
        (events as usize, events as usize),
        "both must answer every call"
    );
    assert_eq!(server.metric("milepost_model_events") as u64, events, "and ours must have applied them");

    println!("{:<28}{:>14}{:>12}", "", "CPU s/million", "events/s");
    println!("{:<28}{:>14.2}{:>12.0}", "empty handler", floor.cpu_per_million(), floor.rate());
    println!("{:<28}{:>14.2}{:>12.0}", "milepost serve", ours.cpu_per_million(), ours.rate());
    println!("{:<28}{:>14}{:>12.2}", "ours / floor, by rate", "", ours.rate() / floor.rate());
    let commits = server.metric("milepost_commit_events_count");
    println!("{:<28}{:>26.4}", "synced commits an event", commits / events as f64);
}
