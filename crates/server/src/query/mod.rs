//! The doors out for questions: HTTP and gRPC. Both read a question, have it answered by [`crate::answers`], and name
//! the digest of the configuration the answer rests on.

pub mod grpc;
pub mod http;
pub mod watch;

/// The header, and the gRPC metadata, that carries the digest. It is not in the body, so that equal answers are equal
/// bytes.
pub const DIGEST: &str = "milepost-config-digest";
