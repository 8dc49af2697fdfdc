//! Events over gRPC in batches of 1,000, to the ack that says Kafka has them: role ingest beside what it is made of.
//!
//! - The floor is a bare producer loop of librdkafka that sends the records Milepost has made of the events, as durable and as
//!   packed (`acks=all`, idempotent, lz4): nothing is received, decoded, checked or made.
//! - The same after prost has decoded the requests the records were made of: still no door.
//! - A tonic server that decodes the requests and says `stored`, with no Kafka behind it: what the door alone costs.
//! - Rotel takes the same events as logs of OpenTelemetry over gRPC. It acks before Kafka has them, and a record of its is a
//!   whole batch, so that the work for each event ends at decoding and encoding.
//!
//! CPU seconds of one process for a million events, medians of alternating runs. Run:
//! `cargo bench -p milepost-benches --bench log_append`. Fewer events: `MILEPOST_BENCH_EVENTS=100000`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use milepost_benches::cluster::{Cluster, Engines};
use milepost_benches::load::{publish, send_all, serve_empty_handler};
use milepost_benches::mix::Mix;
use milepost_benches::otlp::{EXPORT, Logs};
use milepost_benches::records::{Bare, Record, count, digest, read};
use milepost_benches::rotel::Rotel;
use milepost_benches::server::{Server, wait_until};
use milepost_benches::{median, process_cpu, setting};
use milepost_services::shared::unique;
use milepost_wire::pb;
use prost::Message as _;

const BATCH: u64 = 1_000;
/// Batches that wait for Kafka while another is being decoded.
const IN_FLIGHT: usize = 16;
const LOOK: Duration = Duration::from_millis(500);
const EMPTY: &str = "MILEPOST_BENCH_EMPTY_HANDLER";

fn main() {
    if std::env::var_os(EMPTY).is_some() {
        serve_empty_handler();
    }
    let (events, runs) = (setting("MILEPOST_BENCH_EVENTS", 1_000_000), setting("MILEPOST_BENCH_RUNS", 5));
    let requests = Arc::new(Mix::of(events).requests(0..events, BATCH));
    let engines = Engines::start();
    let cluster = Cluster::new(&engines);
    let server = cluster.role("ingest");
    let first = publish(&server, &requests, IN_FLIGHT);
    let records = read(&engines.brokers(), &cluster.topic);
    assert_eq!((first.stored, records.len()), (events as usize, events as usize), "a record for every event");
    let sizes = |all: &[Bytes]| all.iter().map(Bytes::len).sum::<usize>() as f64 / events as f64;
    let size = records.iter().map(|record| record.key.len() + record.value.len()).sum::<usize>();
    println!(
        "{events} events of {:.0} bytes, records of {:.0}",
        sizes(&requests),
        size as f64 / events as f64
    );

    let (empty, floor) = (Server::this_program_with(EMPTY), Floor::new(&engines, &records));
    let mut rotel = Peer::start(&engines, events);
    let mut figures: [Vec<f64>; 6] = Default::default();
    for run in 1..=runs {
        let before = engines.kafka_cpu();
        let ours = publish(&server, &requests, IN_FLIGHT);
        let kafka = engines.kafka_cpu() - before;
        let produced = floor.produce(&requests, false);
        let decoded = floor.produce(&requests, true);
        let door = publish(&empty, &requests, IN_FLIGHT);
        let peer = rotel.as_mut().map_or(f64::NAN, |rotel| rotel.cpu(run));
        assert_eq!((ours.stored, door.stored), (events as usize, events as usize));
        let all = [ours.cpu, produced, decoded, door.cpu, peer, kafka];
        figures.iter_mut().zip(all).for_each(|(figures, cpu)| figures.push(cpu / events as f64 * 1e6));
    }
    let kept = count(&engines.brokers(), &cluster.topic);
    assert_eq!(kept, (runs + 1) * events, "every event of every run is on Kafka");
    floor.check(2 * runs);

    let [ours, produced, decoded, door, peer, kafka] = figures.map(median);
    println!("{:<52}{:>14}", "", "CPU s/million");
    println!("{:<52}{ours:>14.2}", "milepost serve --role ingest");
    println!("{:<52}{kafka:>14.2}", "Kafka, meanwhile");
    println!("{:<52}{produced:>14.2}", "floor: bare producer of the same records");
    println!("{:<52}{decoded:>14.2}", "the same, and prost");
    println!("{:<52}{door:>14.2}", "tonic handler that only decodes, no Kafka");
    println!("{:<52}{:>14.2}", "rate of ours / of the bare producer", produced / ours);
    println!("{:<52}{:>14.2}", "rate of ours / of handler and producer together", (produced + door) / ours);
    if let Some(rotel) = rotel {
        println!("{:<52}{peer:>14.2}", format!("{}, {:.0} bytes a log", rotel.name, sizes(&rotel.requests)));
        println!("{:<52}{:>13.2}x", "ours / Rotel", ours / peer);
    }
}

/// See the module.
struct Floor<'a> {
    records: &'a [Record],
    brokers: String,
    topic: String,
}

impl<'a> Floor<'a> {
    fn new(engines: &Engines, records: &'a [Record]) -> Self {
        let twin = Cluster::new(engines);
        // A topic like ours.
        drop(twin.role("ingest"));
        Self { records, brokers: engines.brokers(), topic: twin.topic }
    }

    /// CPU seconds of this process, which does nothing else.
    fn produce(&self, requests: &[Bytes], decode: bool) -> f64 {
        let before = process_cpu();
        let producer = Bare::new(&self.brokers);
        for (request, records) in requests.iter().zip(self.records.chunks(BATCH as usize)) {
            if decode {
                let request = pb::PublishRequest::decode(request.clone()).expect("a request");
                assert_eq!(request.events.len(), records.len());
            }
            producer.send(&self.topic, records);
        }
        producer.flush();
        process_cpu() - before
    }

    /// The records it sent in so many runs are those it was given.
    fn check(&self, runs: u64) {
        let sent = read(&self.brokers, &self.topic);
        assert_eq!(sent.len() as u64, runs * self.records.len() as u64);
        assert_eq!(digest(&sent), digest(self.records).wrapping_mul(runs), "the same records");
    }
}

/// Rotel, running.
struct Peer {
    name: String,
    server: Server,
    requests: Arc<Vec<Bytes>>,
    brokers: String,
    topic: String,
    events: u64,
}

impl Peer {
    fn start(engines: &Engines, events: u64) -> Option<Self> {
        let rotel = Rotel::fetch().inspect_err(|why| println!("no Rotel: {why}")).ok()?;
        let mix = Mix::of(events);
        let batch =
            |start: u64| (start..(start + BATCH).min(events)).map(|number| mix.event(number)).collect();
        let encode = |events: Vec<_>| Bytes::from(Logs::of(&events).encode_to_vec());
        let starts = (0..events).step_by(BATCH as usize);
        let requests = Arc::new(starts.map(batch).map(encode).collect::<Vec<_>>());
        let (brokers, topic) = (engines.brokers(), unique("logs"));
        let server = rotel.logs_to_kafka(&brokers, &topic);
        Some(Self { name: rotel.name(), server, requests, brokers, topic, events })
    }

    /// CPU seconds until all logs of this run are on Kafka.
    fn cpu(&mut self, run: u64) -> f64 {
        let before = self.server.cpu();
        send_all(&self.server, EXPORT, &self.requests, IN_FLIGHT, drop);
        let logs = |record: &Record| Logs::decode(record.value.as_slice()).expect("logs").len();
        let mut cpu = 0.0;
        wait_until("Rotel has put all logs on Kafka", LOOK, || {
            cpu = self.server.cpu() - before;
            let kept = read(&self.brokers, &self.topic);
            kept.iter().map(logs).sum::<usize>() as u64 == run * self.events
        });
        cpu
    }
}
