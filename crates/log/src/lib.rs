//! The log of a cluster: accepted and refused events on Kafka.
//!
//! [`prepare`] makes and checks the topics, [`Producer`] writes to them, [`Consumer`] reads them as a member of a group.
//! What a record is, [`Logged`] says.
//!
//! Laws:
//!
//! 1. **An append is durable or an error**: [`Producer::append`] returns `Ok` once every in-sync replica has every record. After
//!    an error some of them may be there all the same, and appending them again is harmless: identity is in the event.
//! 2. **A record means the same to every reader**: what [`Logged`] it is, is a function of its bytes.
//! 3. **Nothing is passed over in silence.** What cannot be read is handed out as [`Logged::Poison`]; records that Kafka no
//!    longer has are a counted gap; a log that is shorter than what was read of it is an error.
//! 4. **Only what is owned is handed out**: after [`Fetched::Revoked`] no record of these partitions is, until they are
//!    assigned again.

mod beside;
mod client;
mod consumer;
mod error;
mod logged;
mod options;
mod prepare;
mod producer;

pub use consumer::{
    Ask, Batch, BatchLimits, Consumer, Fetched, Incoming, Lag, Part, Record, Start, Status, Subscription,
};
pub use error::LogError;
pub use logged::Logged;
pub use options::Options;
pub use prepare::{Report, prepare};
pub use producer::Producer;
