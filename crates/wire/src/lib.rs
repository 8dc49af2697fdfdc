//! Wire formats: the generated protobuf code, and CDEvents, CloudEvents and protobuf to and from the model.
//!
//! Everything here is a pure function.

pub mod cdevents;
pub mod cloudevents;
pub mod codec;
pub mod json;
pub mod proto;

/// The contract: code generated from `proto/milepost/v1` by `cargo xtask gen`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "generated"
)]
pub mod pb {
    include!("generated/milepost.v1.rs");

    /// Descriptors of the contract and all it imports, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/milepost.v1.bin");
}

/// What a whole number must be, in the words of a refusal.
const WHOLE_WANTED: &str = "from 0 to 9007199254740991";

/// What a number of seconds must be, in the words of a refusal.
const SECONDS_WANTED: &str = "is not a number of seconds from 0 to 9007199254740991";

/// A whole number, if it is in range: RFC 8785 writes no larger one exactly.
fn whole(given: i128) -> Option<u64> {
    u64::try_from(given).ok().filter(|number| *number < 1 << 53)
}
