//! The doors out for questions: HTTP and gRPC. Both read a question, have it answered by [`crate::answers`], and name
//! the digest of the configuration the answer rests on.

use crate::engine::{Engine, Following};

pub mod grpc;
pub mod http;
pub mod watch;

/// The header, and the gRPC metadata, that carries the digest. It is not in the body, so that equal answers are equal
/// bytes.
pub const DIGEST: &str = "milepost-config-digest";

/// The header, and the gRPC metadata, that says how many seconds ago everything that was kept was in the answer. Only a replica
/// has it: elsewhere an acked event is in every answer.
pub const STALENESS: &str = "milepost-staleness-seconds";

/// What goes with every answer beside it: names and values.
fn beside(engine: &Engine) -> impl Iterator<Item = (&'static str, String)> {
    let staleness = engine.follows().and_then(Following::staleness);
    let staleness = staleness.map(|staleness| (STALENESS, format!("{:.3}", staleness.as_secs_f64())));
    [(DIGEST, engine.digest.clone())].into_iter().chain(staleness)
}
