//! What `query` and `explain` have in common: which numbers, and where to ask.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use milepost_model::Model;
use milepost_store::{StoreError, sqlite};

use crate::answers::{AskError, Parameters, Source};
use crate::config::{self, Flags};
use crate::engine::Engine;

/// Which numbers. Each metric takes some of these; `docs/metrics.md` says which and what they default to.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which numbers")]
#[allow(clippy::doc_markdown, reason = "these comments are the help text")]
pub(super) struct SelectorArgs {
    /// Only this capability.
    #[arg(long, value_name = "NAME")]
    capability: Option<String>,
    /// Only this team.
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// Only this service.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// One answer for each capability, team or service.
    #[arg(long, value_name = "DIMENSION")]
    by: Option<String>,
    /// What is counted: team or service.
    #[arg(long)]
    unit: Option<String>,
    /// Trailing window, in days, such as 28d.
    #[arg(long, value_name = "DAYS")]
    window: Option<String>,
    /// After how long a capability must still be in use, such as 90d.
    #[arg(long, value_name = "DAYS")]
    horizon: Option<String>,
    /// Within how many days that use may fall, such as 28d.
    #[arg(long, value_name = "DAYS")]
    grace: Option<String>,
    /// Leave out who adopted longer ago than this, such as 365d.
    #[arg(long, value_name = "DAYS")]
    max_age: Option<String>,
    /// When an unfinished interaction counts as abandoned, such as 24h.
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// What counts as kept: window_after, exact_day, window_before, any_repeat or on_or_after.
    #[arg(long)]
    rule: Option<String>,
    /// How quantiles treat what has not finished: kaplan_meier or observed.
    #[arg(long)]
    estimator: Option<String>,
}

impl SelectorArgs {
    /// As parameters, those given.
    pub(super) fn parameters(&self) -> Parameters {
        given([
            ("capability", &self.capability),
            ("team", &self.team),
            ("service", &self.service),
            ("by", &self.by),
            ("unit", &self.unit),
            ("window", &self.window),
            ("horizon", &self.horizon),
            ("grace", &self.grace),
            ("max_age", &self.max_age),
            ("timeout", &self.timeout),
            ("rule", &self.rule),
            ("estimator", &self.estimator),
        ])
    }
}

/// Parameters that are there.
pub(super) fn given<const N: usize>(fields: [(&str, &Option<String>); N]) -> Parameters {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect()
}

/// Where to ask.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Where to ask")]
#[allow(rustdoc::bare_urls, clippy::doc_markdown, reason = "these comments are the help text")]
pub(super) struct PlaceArgs {
    /// Read this data directory; a server may be running on it.
    #[arg(long, value_name = "DIR", required_unless_present = "server", conflicts_with = "server")]
    data: Option<PathBuf>,
    /// Ask this server: http://127.0.0.1:7171.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The configuration to read the data with. A server has its own.
    #[arg(long, value_name = "FILE", env = "MILEPOST_CONFIG")]
    config: Option<PathBuf>,
}

impl PlaceArgs {
    /// Opens it. A data directory is read into a Model of our own, as far as it is committed.
    pub(super) fn source(&self) -> Result<Source, AskError> {
        match (&self.server, &self.data) {
            (Some(url), _) => Ok(Source::There(url.clone())),
            (None, Some(data)) => self.read(data).map(Source::Here),
            (None, None) => Err(AskError::bad("--data", "missing: give --data DIR or --server URL")),
        }
    }

    fn read(&self, data: &Path) -> Result<std::sync::Arc<Engine>, AskError> {
        let settings = config::load(self.config.as_deref(), Flags::default())
            .map_err(|error| AskError::bad("--config", error.to_string()))?;
        let failed = |error: StoreError| AskError::Failed(error.to_string());
        let mut reader = sqlite::open_reader(data).map_err(failed)?;
        let bar = progress_bar(reader.sizes().map_err(failed)?.winners(), "events read");
        let mut model = Model::new();
        reader
            .replay(&mut |event| {
                model.insert(event);
                bar.inc(1);
            })
            .map_err(failed)?;
        bar.finish_and_clear();
        Ok(Engine::new(model, settings.metrics(), reader))
    }
}

/// A progress bar on standard error, if that is a terminal.
pub(super) fn progress_bar(total: u64, what: &'static str) -> ProgressBar {
    let template = "{bar:40} {human_pos} of {human_len} {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style).with_message(what)
}

/// Prints to standard output. Who reads it may stop whenever it likes: `milepost query … | head` is no failure.
pub(super) fn print(text: &str) -> Result<(), AskError> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(AskError::Failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
