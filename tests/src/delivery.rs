//! Handing events to an installation, in any order, any batches, over any door.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::io::Write as _;

use milepost_wire::pb;
use serde_json::Value;

use crate::Served;
use crate::grpc::{Grpc, fates};

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Door {
    Http,
    Grpc,
    Stream,
    Import,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Http, Self::Grpc, Self::Stream, Self::Import];
}

/// Sends all lines through one door, in batches of at most `batch`. Fails if any is refused.
pub fn deliver(served: &Served, door: Door, lines: &[String], batch: usize) {
    match door {
        Door::Http => {
            for lines in lines.chunks(batch) {
                let reply = served.post("application/x-ndjson", lines.join("\n"));
                assert_eq!(reply.status, 200, "{reply:?}");
                assert_eq!(reply.json()["refused"], Value::Array(Vec::new()), "{reply:?}");
            }
        }
        Door::Grpc => {
            let grpc = Grpc::connect(served);
            for lines in lines.chunks(batch) {
                all_taken(&grpc.publish(protobuf(lines)).expect("the batch is taken"), lines.len());
            }
        }
        Door::Stream => {
            let responses = Grpc::connect(served).publish_stream(lines.chunks(batch).map(protobuf).collect());
            let responses = responses.expect("the stream is taken");
            assert!(responses.iter().all(|response| !response.retry), "nothing else is being sent");
            all_taken(
                &responses.into_iter().flat_map(|response| response.results).collect::<Vec<_>>(),
                lines.len(),
            );
        }
        Door::Import => {
            let file = file_of(lines);
            let path = file.path().to_str().expect("temporary paths are UTF-8");
            served.run(&["import"], &["--format", "json", path]).expect_success();
        }
    }
}

fn all_taken(results: &[pb::EventResult], sent: usize) {
    let (stored, duplicate, _) = fates(results);
    assert_eq!(stored + duplicate, sent, "{results:?}");
}

/// The same events as protobuf messages.
pub fn protobuf(lines: &[String]) -> Vec<pb::Event> {
    lines
        .iter()
        .map(|line| {
            let event = milepost_wire::json::decode(line.as_bytes())
                .unwrap_or_else(|refusal| panic!("{refusal}: {line}"));
            milepost_wire::proto::encode(&event)
        })
        .collect()
}

/// A temporary file with these lines.
pub fn file_of(lines: &[String]) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".ndjson").tempfile().expect("a temporary file");
    file.write_all(lines.join("\n").as_bytes()).expect("it can be written");
    file
}

/// The same items in another order, a function of the seed.
pub fn shuffled<T: Clone>(seed: u64, items: &[T]) -> Vec<T> {
    let mut places: Vec<usize> = (0..items.len()).collect();
    places.sort_by_key(|place| chance(seed, *place as u64));
    places.into_iter().map(|place| items[place].clone()).collect()
}

/// A number that looks random, a function of seed and index.
pub fn chance(seed: u64, index: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, index).hash(&mut hasher);
    hasher.finish()
}
