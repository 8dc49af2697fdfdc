//! What many events cost that are kept: memory, disk, the next start, an explanation, a scrape.
//!
//! Run: `cargo bench -p milepost-benches --bench footprint`. Fewer events: `MILEPOST_BENCH_EVENTS=1000000`.

use std::sync::Arc;

use milepost_benches::load::publish;
use milepost_benches::median;
use milepost_benches::mix::Mix;
use milepost_benches::server::{Server, disk};
use milepost_benches::setting;

const BATCH: u64 = 5_000;
/// Requests made at a time, so that a long history need not be held here as a whole.
const PART: u64 = 500_000;
const RUNS: usize = 15;

fn main() {
    let events = setting("MILEPOST_BENCH_EVENTS", 10_000_000);
    let mix = Mix { teams: 1_000, services: 10_000, capabilities: 50, days: 730, ..Mix::of(events) };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");

    let server = Server::milepost(&data);
    let idle = server.memory();
    println!("{:<52}{:>10.1} MB", "memory, idle with nothing stored", idle / 1e6);
    for start in (0..events).step_by(PART as usize) {
        let requests = Arc::new(mix.requests(start..(start + PART).min(events), BATCH));
        publish(&server, &requests, 4);
    }
    assert_eq!(server.metric("milepost_model_events") as u64, events, "every event must be kept");
    println!(
        "{events} events, {} services, {} teams, {} capabilities",
        mix.services, mix.teams, mix.capabilities
    );
    let million = events as f64 / 1e6;
    println!("{:<52}{:>10.1} MB", "memory for each million", (server.memory() - idle) / 1e6 / million);
    println!("{:<52}{:>10.1} MB", "disk for each million", disk(&data) / 1e6 / million);
    drop(server);

    let start = |after: &str| {
        let server = Server::milepost(&data);
        println!(
            "{:<52}{:>10.2} s",
            format!("start {after}, until it answers"),
            server.started_in.as_secs_f64()
        );
        println!("{:<52}{:>10.2} s", "CPU of that", server.cpu());
        assert_eq!(server.metric("milepost_model_events") as u64, events, "every event must be there again");
        server
    };
    start("after it was killed").end();
    let server = start("after it was ended");
    println!(
        "{:<52}{:>10.1} MB",
        "memory for each million, started anew",
        (server.memory() - idle) / 1e6 / million
    );
    let last_day = "2025-12-30";
    let cost = |path: &str| {
        let before = server.cpu();
        let wall = median((0..RUNS).map(|_| server.get(path).1.as_secs_f64())) * 1e3;
        (wall, (server.cpu() - before) / RUNS as f64 * 1e3)
    };
    for (what, path) in [
        ("scrape", "/metrics".to_owned()),
        (
            "explain market_share of a capability",
            format!("/v1/metrics/market_share/explain?as_of={last_day}&capability=capability-7"),
        ),
        (
            "explain time_to_first_deploy",
            format!("/v1/metrics/time_to_first_deploy/explain?as_of={last_day}"),
        ),
        (
            "explain self_service_rate of a capability",
            format!("/v1/metrics/self_service_rate/explain?as_of={last_day}&capability=capability-7"),
        ),
    ] {
        let (wall, cpu) = cost(&path);
        println!("{what:<52}{wall:>10.1} ms, {cpu:.1} of CPU");
    }
}
