//! Messages of the contract to and from the model.
//!
//! Laws, each held by a property test:
//!
//! 1. [`decode`] after [`encode`] is the identity.
//! 2. The protobuf form and the CDEvents form of one event have equal canonical content.

mod answer;
mod event;

pub use answer::{answer, metric_info, selector};
pub use event::{decode, encode, field_path, scrub};

use milepost_model::Timestamp;

/// An instant in the form of the contract.
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let (seconds, micros) = (at.micros().div_euclid(1_000_000), at.micros().rem_euclid(1_000_000));
    prost_types::Timestamp { seconds, nanos: micros as i32 * 1_000 }
}
