//! What `query` and `explain` have in common: which numbers, and where to ask.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use milepost_store::{StoreError, sqlite};

use super::{shown, table};
use crate::answers::text::Format;
use crate::answers::{AskError, Parameters, Source};
use crate::config::{self, Flags};
use crate::engine::Engine;
use crate::remote::RemoteError;

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
    /// Only this objective.
    #[arg(long, value_name = "NAME")]
    slo: Option<String>,
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
    /// By which definition: of keep_rate window_after, exact_day, window_before, any_repeat or on_or_after; of delivery
    /// metrics milepost or whose.
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
            ("slo", &self.slo),
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
    /// Read this data directory; a server may be running on it. [env: MILEPOST_DATA, without --server]
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data: Option<PathBuf>,
    /// Ask this server: http://127.0.0.1:7171.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    server: Option<String>,
    #[command(flatten)]
    remote: super::remote::RemoteArgs,
    /// The configuration to read the data with; a server has its own. [env: MILEPOST_CONFIG, without --server]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl PlaceArgs {
    /// Opens it. A data directory is read into a Model of our own, as far as it is committed.
    pub(super) fn source(&self) -> Result<Source, AskError> {
        if let Some(url) = &self.server {
            let unable = |error: RemoteError| AskError::bad(error.flag(), error.to_string());
            return self.remote.open(url).map(Source::There).map_err(unable);
        }
        let data = self.data.clone().or_else(|| variable("MILEPOST_DATA"));
        let nowhere = || AskError::bad("no place to ask", "give --data DIR or --server URL");
        self.read(&data.ok_or_else(nowhere)?).map(Source::Here)
    }

    fn read(&self, data: &Path) -> Result<std::sync::Arc<Engine>, AskError> {
        let file = self.config.clone().or_else(|| variable("MILEPOST_CONFIG"));
        let settings = config::load(file.as_deref(), Flags::default())
            .map_err(|error| AskError::bad("configuration", error.to_string()))?;
        let failed = |error: StoreError| AskError::Failed(error.to_string());
        let mut reader = sqlite::open_reader(data).map_err(failed)?;
        let bar = progress_bar(0, "events read");
        let loaded = reader.load(&mut |read, of| {
            bar.set_length(of);
            bar.set_position(read);
        });
        bar.finish_and_clear();
        Ok(Engine::new(loaded.map_err(failed)?.model, settings.metrics(), reader))
    }
}

/// A variable that stands for a flag. Read here and not by clap, for which it would be in conflict with `--server` as the
/// flag is: whoever names a server does not mean what the machine is set up with.
pub(super) fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Why there is no answer at all, for people: names that nobody has mentioned yet, or else nothing has been.
pub(super) fn nothing(source: &Source, metric: &str, parameters: &Parameters) -> String {
    let unknown = FILTERS.iter().filter_map(|filter| {
        let (_, name) = parameters.iter().find(|(parameter, _)| parameter == filter)?;
        let known = known(source, metric, filter, parameters)?;
        (!known.contains(name)).then(|| unheard_of(metric, filter, name, known))
    });
    let unknown: String = unknown.collect();
    if unknown.is_empty() {
        return format!("{metric}: nothing it could be about has appeared yet\n");
    }
    unknown
}

/// The parameters that narrow a question to a name.
const FILTERS: [&str; 3] = ["capability", "team", "service"];

/// Names that are told where one is not known.
const TOLD: usize = 10;

/// The names of a kind that have appeared by the moment of the question, or by the end of its range.
fn known(source: &Source, metric: &str, by: &str, parameters: &Parameters) -> Option<BTreeSet<String>> {
    let moment = parameters.iter().find(|(name, _)| name == "to" || name == "as_of");
    let mut question = vec![("by".to_owned(), by.to_owned())];
    question.extend(moment.map(|(_, day)| ("as_of".to_owned(), day.clone())));
    let answers = source.query(metric, &question, Format::Json).ok()?;
    let answers = shown::answers(&answers).ok()?;
    Some(answers.into_iter().filter_map(|mut answer| answer.labels.remove(by)).collect())
}

fn unheard_of(metric: &str, filter: &str, name: &str, known: BTreeSet<String>) -> String {
    let heading = format!("{metric}: no {filter} `{}` has appeared", table::plain(name));
    if known.is_empty() {
        return format!("{heading}, nor any other\n");
    }
    let mut known: Vec<_> = known.into_iter().collect();
    known.sort_by(|a, b| strsim::jaro_winkler(name, b).total_cmp(&strsim::jaro_winkler(name, a)));
    let more = known.len().saturating_sub(TOLD);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let told: Vec<_> = known.iter().take(TOLD).map(|name| table::plain(name)).collect();
    format!("{heading}; there are {}{more}\n", told.join(", "))
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
