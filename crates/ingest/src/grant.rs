//! What a sender may write.
//!
//! Whoever checks tokens puts a [`Grant`] among the extensions of a request; the doors hold every event against it. A
//! request without one comes through a door that nobody guards.

use std::sync::Arc;

use axum::http::Extensions;
use milepost_model::Refusal;
use milepost_model::config::matches;
use milepost_model::refusal::Reason;

/// The sources whose events a sender may write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Grant {
    /// Any.
    #[default]
    All,
    /// Those that fit one of these patterns, in which `*` stands for any text.
    Sources(Arc<[String]>),
}

impl Grant {
    /// The one of a request.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    /// Refuses an event of a source that is not granted, and that event alone.
    pub(crate) fn check(&self, source: &str) -> Result<(), Refusal> {
        let granted = match self {
            Self::All => true,
            Self::Sources(patterns) => patterns.iter().any(|pattern| matches(pattern, source)),
        };
        if granted {
            return Ok(());
        }
        let message =
            "the token may not write events of this source: `milepost token list` shows the sources of each";
        Err(Refusal::new(Reason::Forbidden, "source", message))
    }
}
