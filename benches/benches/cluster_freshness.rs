//! How long after its ack an event is in a replica's `/metrics`: a whole cluster on this machine, at half of the load it can take.
//!
//! First events are sent as fast as role ingest takes them, until the replica counts them all: that is the most. Then at half of
//! that, in batches of 100 at their time, whether or not those before are answered. Beside them go probes: each is an event of a
//! capability of its own by a new team; its ack starts the clock, the first scrape that counts the team stops it, so one scrape
//! is part of the figure, and the machine also does Kafka's, ClickHouse's and the sender's work.
//!
//! Run: `cargo bench -p milepost-benches --bench cluster_freshness`. Longer: `MILEPOST_BENCH_PROBES=5000`.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use milepost_benches::cluster::{Cluster, Engines};
use milepost_benches::load::{publish, publish_until};
use milepost_benches::mix::Mix;
use milepost_benches::server::{Server, wait_until};
use milepost_benches::{quantile, setting};

/// Probes under way at the same time.
const AT_ONCE: usize = 10;
const BATCH: u64 = 100;
const LOOK: Duration = Duration::from_millis(100);

fn main() {
    let (events, probes) =
        (setting("MILEPOST_BENCH_EVENTS", 500_000), setting("MILEPOST_BENCH_PROBES", 1_000));
    let engines = Engines::start();
    let cluster = Cluster::new(&engines);
    let [ingest, aggregate, query] = ["ingest", "aggregate", "query"].map(|role| cluster.role(role));

    let used = || {
        let roles = [&ingest, &aggregate, &query].map(Server::cpu);
        [roles[0], roles[1], roles[2], engines.kafka_cpu(), engines.clickhouse_cpu()]
    };
    let since = |before: [f64; 5]| std::array::from_fn(|part| used()[part] - before[part]);

    let mix = Mix::of(20 * events);
    let (began, before) = (Instant::now(), used());
    let sent = publish(&ingest, &Arc::new(mix.requests(0..events, 1_000)), 16);
    assert_eq!(sent.stored, events as usize);
    wait_until("the replica has all", LOOK, || query.metric("milepost_model_events") as u64 == events);
    let most = events as f64 / began.elapsed().as_secs_f64();
    println!(
        "at most {most:.0} events/s from the first sent to the last seen; taken at {:.0}/s",
        sent.rate()
    );
    print("CPU seconds a million events", since(before), events as f64 / 1e6);

    let half = most / 2.0;
    let requests = mix.requests(events..events * 8, BATCH);
    let before = used();
    let (mut seconds, sent, took) = thread::scope(|scope| {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (ingest, requests) = (&ingest, &requests);
        let sender =
            scope.spawn(move || publish_until(ingest, requests, half / BATCH as f64, &stopped).len() as u64);
        let began = Instant::now();
        let seconds = probe(ingest, &query, probes as usize);
        stop.send_replace(true);
        (seconds, sender.join().expect("it sends") * BATCH, began.elapsed().as_secs_f64())
    });
    let cores = since(before);
    wait_until("the replica has all", LOOK, || {
        query.metric("milepost_model_events") as u64 == events + sent + probes
    });
    seconds.sort_by(f64::total_cmp);
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|q| quantile(&seconds, q) * 1e3);
    println!("{} probes beside {:.0} events/s", seconds.len(), sent as f64 / took);
    println!(
        "event acked -> in a replica's /metrics    p50 {p50:.0} ms    p99 {p99:.0} ms    max {max:.0} ms"
    );
    print("cores used, scrapes included", cores, took);
}

fn print(what: &str, used: [f64; 5], per: f64) {
    let [ingest, aggregate, query, kafka, clickhouse] = used.map(|cpu| cpu / per);
    println!(
        "{what}: ingest {ingest:.2}, aggregate {aggregate:.2}, query {query:.2}, Kafka {kafka:.2}, ClickHouse {clickhouse:.2}"
    );
}

/// A capability of which one probe at a time is under way.
#[derive(Default, Clone)]
struct Prober {
    sent: usize,
    acked: Option<Instant>,
}

/// Sends so many, and gives the seconds from the ack of each until a scrape counts it.
fn probe(ingest: &Server, query: &Server, probes: usize) -> Vec<f64> {
    let mut probers = vec![Prober::default(); AT_ONCE];
    let (mut seconds, mut sent) = (Vec::new(), 0);
    while seconds.len() < probes {
        let idle = probers.iter_mut().enumerate().filter(|(_, prober)| prober.acked.is_none());
        let idle: Vec<_> = idle.take(probes - sent).collect();
        if !idle.is_empty() {
            let lines: Vec<_> = idle.iter().map(|(number, prober)| used(*number, prober.sent)).collect();
            post(&ingest.url, &lines);
            sent += lines.len();
            for (_, prober) in idle {
                (prober.sent, prober.acked) = (prober.sent + 1, Some(Instant::now()));
            }
        }
        let (text, _) = query.get("/metrics");
        for (number, prober) in probers.iter_mut().enumerate() {
            // The probes are years old, so they are pending no more: in the cohort of the keep rate.
            let wanted =
                format!("milepost_keep_rate_denominator{{capability=\"probe-{number}\"}} {}\n", prober.sent);
            if let Some(acked) = prober.acked.take_if(|_| text.contains(&wanted)) {
                seconds.push(acked.elapsed().as_secs_f64());
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
    seconds
}

fn used(capability: usize, number: usize) -> String {
    format!(
        r#"{{"context":{{"specversion":"0.5.1","id":"probe-{capability}-{number}","source":"/bench","type":"dev.cdeventsx.milepost-capability.used.0.1.0","timestamp":"2020-10-31T12:00:00Z"}},"subject":{{"id":"probe-{capability}","content":{{}}}},"customData":{{"team":"probe-{number}","capability":"probe-{capability}"}}}}"#
    )
}

fn post(url: &str, lines: &[String]) {
    let request = ureq::post(format!("{url}/v1/events")).header("content-type", "application/x-ndjson");
    let answer = request.send(lines.join("\n")).expect("an answer").body_mut().read_to_string();
    let stored = format!("{{\"stored\":{},", lines.len());
    assert!(answer.as_ref().is_ok_and(|answer| answer.starts_with(&stored)), "{answer:?}");
}
