//! How long after its ack an event is in `/metrics`, with the real history stored and more events coming in.
//!
//! A probe is one event by a new team; its ack starts the clock, the first scrape that counts the team stops it. Beside it
//! another sender keeps sending batches, at about half of what it was measured to get through. Run:
//! `cargo bench -p milepost-benches --bench freshness`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use milepost::config::Settings;
use milepost::serve;
use milepost_benches::quantile;

const PROBES: usize = 1_000;
const BATCH: usize = 100;

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let settings =
        Settings { listen: "127.0.0.1:0".into(), data: directory.path().join("data"), ..Settings::default() };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let running = runtime.block_on(serve::start(settings)).expect("a server");
    let server = format!("http://{}", running.addr);
    load_history(&server);

    let flat_out = (0..20).map(|n| send_batch(&server, n)).fold(Duration::ZERO, |sum, took| sum + took) / 20;
    let enough = AtomicBool::new(false);
    let mut seconds: Vec<f64> = thread::scope(|scope| {
        scope.spawn(|| {
            for number in (1_000..).take_while(|_| !enough.load(Relaxed)) {
                send_batch(&server, number);
                thread::sleep(flat_out);
            }
        });
        let seconds = (0..PROBES).map(|probe| freshness(&server, probe)).collect();
        enough.store(true, Relaxed);
        seconds
    });
    seconds.sort_by(f64::total_cmp);
    println!(
        "{PROBES} probes beside batches of {BATCH} events, one every {:.1} ms",
        2e3 * flat_out.as_secs_f64()
    );
    println!(
        "event acked -> in /metrics    p50 {:.1} ms    p99 {:.1} ms    max {:.1} ms",
        quantile(&seconds, 0.5) * 1e3,
        quantile(&seconds, 0.99) * 1e3,
        quantile(&seconds, 1.0) * 1e3
    );
    runtime.block_on(running.shutdown());
}

fn load_history(server: &str) {
    let packed = include_bytes!("../../crates/server/data/helm-charts.ndjson.gz");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed[..]), &mut text).expect("a text");
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks(5_000).for_each(|lines| post(server, &lines.join("\n")));
}

/// Posts events, one a line, and checks that all are stored.
fn post(server: &str, lines: &str) {
    let request = ureq::post(format!("{server}/v1/events")).header("content-type", "application/x-ndjson");
    let answer = request.send(lines).expect("an answer").body_mut().read_to_string().expect("a text");
    let stored = format!("{{\"stored\":{},", lines.lines().count());
    assert!(answer.starts_with(&stored), "{answer}");
}

fn used(id: &str, team: &str, capability: &str) -> String {
    format!(
        r#"{{"context":{{"specversion":"0.5.1","id":"{id}","source":"/bench","type":"dev.cdeventsx.milepost-capability.used.0.1.0","timestamp":"2020-10-31T12:00:00Z"}},"subject":{{"id":"{capability}","content":{{}}}},"customData":{{"team":"{team}","capability":"{capability}"}}}}"#
    )
}

fn send_batch(server: &str, number: usize) -> Duration {
    let event = |n: usize| used(&format!("load-{number}-{n}"), &format!("team-{}", n % 50), "load");
    let lines: Vec<String> = (0..BATCH).map(event).collect();
    let began = Instant::now();
    post(server, &lines.join("\n"));
    began.elapsed()
}

/// Seconds from the ack of a probe until a scrape counts it.
fn freshness(server: &str, probe: usize) -> f64 {
    post(server, &used(&format!("probe-{probe}"), &format!("probe-{probe}"), "probe"));
    let acked = Instant::now();
    // The probes are years old, so they are pending no more: in the cohort of the keep rate.
    let wanted = format!("milepost_keep_rate_denominator{{capability=\"probe\"}} {}\n", probe + 1);
    loop {
        let scrape = ureq::get(format!("{server}/metrics")).call().expect("an answer");
        let text = scrape.into_body().read_to_string().expect("a text");
        if text.contains(&wanted) {
            return acked.elapsed().as_secs_f64();
        }
    }
}
