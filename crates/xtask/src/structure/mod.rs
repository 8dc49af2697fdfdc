//! What no compiler checks: each rule gives its violations as sentences.

mod decisions;
mod faults;
mod graph;
mod sources;

use crate::run::{Problem, checkout, progress};

/// Checks all rules.
pub(crate) fn check() -> Result<(), Problem> {
    progress("structure");
    let root = checkout();
    let mut violations = graph::violations(root)?;
    violations.extend(sources::violations(root)?);
    violations.extend(decisions::violations(root)?);
    violations.extend(faults::violations(root)?);
    if violations.is_empty() { Ok(()) } else { Err(Problem::Check(violations.join("\n"))) }
}
