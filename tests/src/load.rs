//! Senders that load a server over several doors until it is gone, and know what was acknowledged.

use std::sync::mpsc;
use std::thread;

use milepost_wire::pb;
use milepost_wire::pb::ingest_service_client::IngestServiceClient;
use tonic::transport::Channel;

use crate::delivery::{chance, protobuf};
use crate::served::post;
use crate::{Served, events};

/// Sends batches of a name and a seed to a URL until nobody is there, and tells which were acknowledged.
type Sender = fn(&str, &str, u64, &mpsc::Sender<Vec<String>>);

/// Over HTTP, and over gRPC: in single calls and on a stream.
const SENDERS: [Sender; 4] = [http, http, calls, stream];

/// Loads the server from many sides, ends it when so many batches were acknowledged, and gives every acknowledged event. What
/// is sent is a function of the name and the seed.
pub fn until_gone(
    mut served: Served,
    name: &str,
    seed: u64,
    enough: usize,
    end: impl FnOnce(&mut Served),
) -> Vec<String> {
    let (acknowledged, batches) = mpsc::channel();
    let senders: Vec<_> = (0..)
        .zip(SENDERS)
        .map(|(number, send)| {
            let (url, acknowledged) = (served.url(), acknowledged.clone());
            let name = format!("{name}-{number}");
            thread::spawn(move || send(&url, &name, chance(seed, number), &acknowledged))
        })
        .collect();
    drop(acknowledged);
    let mut lines: Vec<String> = batches.iter().take(enough).flatten().collect();
    end(&mut served);
    lines.extend(batches.iter().flatten());
    for sender in senders {
        sender.join().expect("the sender saw only what it may see");
    }
    lines
}

/// When all of it happened, so that a batch is the same whenever it is made.
pub const DAY: &str = "2026-01-01";

/// The batch of this number: new events, of persons too, a correction and something that was sent before.
pub fn batch(name: &str, seed: u64, number: u64) -> Vec<String> {
    let at = format!("{DAY}T12:00:00Z").parse().expect("an instant");
    let used = |id: String| events::used(&id, at, "team");
    let size = 1 + chance(seed, number) % 30;
    let mut batch: Vec<_> = (0..size).map(|n| used(format!("{name}-{number}-{n}"))).collect();
    if number > 0 && chance(seed, number + 1_000_000).is_multiple_of(3) {
        let mut corrected = used(format!("{name}-{}-0", number - 1));
        corrected["customData"]["revision"] = 1.into();
        batch.push(corrected);
        batch.push(batch[0].clone());
    }
    events::lines(&batch)
}

fn http(url: &str, name: &str, seed: u64, acknowledged: &mpsc::Sender<Vec<String>>) {
    for number in 0.. {
        let lines = batch(name, seed, number);
        match post(url, &[("content-type", "application/x-ndjson")], lines.join("\n").as_bytes()) {
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

/// Runs what needs a connection, if the server is there.
fn connected<F: Future<Output = ()>>(url: &str, work: impl FnOnce(IngestServiceClient<Channel>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if let Ok(client) = IngestServiceClient::connect(url.to_owned()).await {
            work(client).await;
        }
    });
}

fn calls(url: &str, name: &str, seed: u64, acknowledged: &mpsc::Sender<Vec<String>>) {
    connected(url, |mut client| async move {
        for number in 0.. {
            let lines = batch(name, seed, number);
            let request = pb::PublishRequest { events: protobuf(&lines) };
            match client.publish(request).await {
                Ok(_) => drop(acknowledged.send(lines)),
                Err(status) if status.code() == tonic::Code::ResourceExhausted => {}
                Err(_) => return,
            }
        }
    });
}

/// Many batches are on the way at the same time.
fn stream(url: &str, name: &str, seed: u64, acknowledged: &mpsc::Sender<Vec<String>>) {
    let batch = |number: u64| batch(name, seed, number);
    connected(url, |mut client| async move {
        let requests = (0_u64..).map({
            let (name, batch) = (name.to_owned(), crate::load::batch);
            move |sequence| {
                let events = protobuf(&batch(&name, seed, sequence));
                pb::PublishStreamRequest { sequence, events }
            }
        });
        let Ok(responses) = client.publish_stream(tokio_stream::iter(requests)).await else { return };
        let mut responses = responses.into_inner();
        while let Ok(Some(response)) = responses.message().await {
            if !response.retry {
                // A sender that is not read any more has done enough.
                if acknowledged.send(batch(response.sequence)).is_err() {
                    return;
                }
            }
        }
    });
}
