//! The reference of metrics, as the binary itself tells it.

use std::fs;

use crate::run::{Problem, cargo, checkout, output, progress};

/// Writes docs/metrics.md anew.
pub(crate) fn write() -> Result<(), Problem> {
    let path = checkout().join("docs/metrics.md");
    progress(format_args!("writing {}", path.display()));
    let reference = output(&mut cargo(&["run", "--quiet", "--package", "milepost", "--", "reference"]))?;
    fs::write(&path, reference).map_err(Problem::file(&path))
}
