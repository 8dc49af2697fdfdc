//! How far a backup or a restore is, and what it came to.

use std::io::{self, IsTerminal as _};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use milepost_store::sqlite::{BackedUp, Stage};

/// Bytes of a page of the database, as SQLite has them by default.
const PAGE: u64 = 4_096;

/// A bar on a terminal, nothing elsewhere.
pub(super) struct Copying(ProgressBar);

impl Copying {
    pub(super) fn new() -> Self {
        Self(bar("{bar:40} {bytes} of {total_bytes} {msg}"))
    }

    pub(super) fn show(&self, stage: Stage) {
        match stage {
            Stage::Copying(pages, of) => {
                self.0.set_length(of * PAGE);
                self.0.set_position(pages * PAGE);
            }
            Stage::Verifying => self.0.set_message("verifying"),
        }
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// A bar of this form, if there is a terminal to show it on.
pub(super) fn bar(template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

/// In words.
pub(super) fn told(backup: &BackedUp) -> String {
    let BackedUp { versions, quarantined, bytes, .. } = backup;
    format!("{versions} events and {quarantined} refusals, {}, verified", HumanBytes(*bytes))
}
