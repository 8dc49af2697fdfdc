//! The pure core of Milepost.
//!
//! Laws, each held by a property test:
//!
//! 1. **The truth is a map from ([`event::EventId`]) to the largest [`event::Version`].** Merging versions is
//!    commutative, associative and idempotent.
//! 2. **The [`model::Model`] is a sum over the winners.** Every winner contributes facts that depend on nothing but
//!    itself; [`model::Model::insert`] adds them and [`model::Model::remove`] takes the same ones away. So any order,
//!    repetition, batching and lateness of delivery, and building from scratch, give the identical Model.
//! 3. **A metric is a pure function of (Model, Config, `AsOf`).** Nothing here reads a clock, a store or a socket.

pub mod answer;
pub mod config;
pub mod event;
pub mod fate;
pub mod metrics;
pub mod model;
pub mod position;
pub mod question;
pub mod refusal;
pub mod time;

pub use answer::{Answer, Explanation};
pub use config::Config;
pub use event::{Body, Content, Event, EventId, EventKey, Version};
pub use fate::{Door, Fate, Payload, Rejected, Sealed};
pub use model::Model;
pub use position::{Partition, Position, Positions};
pub use question::{AsOf, QuestionError, Selector};
pub use refusal::{Limits, Reason, Refusal};
pub use time::{Day, Span, Timestamp};
