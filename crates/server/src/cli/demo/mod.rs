//! `milepost demo`: real events in, years of numbers out, and a server to try everything else on.

mod findings;
mod history;
mod kept;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use milepost_ingest::Intake;
use milepost_model::config::CapabilityConfig;

use super::Failure;
use super::asking::{print, progress_bar};
use crate::answers::AskError;
use crate::config::Settings;
use crate::engine::Engine;
use crate::import::{ImportError, Input, Summary, Target, import};
use crate::serve::{self, Running, StartError};
use crate::shutdown;

/// See `data/README.md`.
const HISTORY: &[u8] = include_bytes!("../../../data/helm-charts.ndjson.gz");

/// In [`HISTORY`].
const EVENTS: u64 = 37_255;

/// The golden path of the history: deploys through it count for the time to the first deploy.
const GOLDEN_PATH: &str = "release-pipeline";

const INTRODUCTION: &str = "\
Five years of the helm/charts repository, which was run like an internal platform: 222 teams own 329 services
(charts), a shared pipeline releases them, and a change is merged by a maintainer or, from 2018 on, by a robot.
";

/// See real numbers at once: five years of a real platform's history, measured and served.
///
/// The history is that of the helm/charts repository, which was run like an internal platform: teams own services
/// (charts), a shared pipeline releases them, a robot or a maintainer merges changes.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "Exit codes: 0 ended by Ctrl-C or --once, 1 failed.")]
pub(super) struct DemoArgs {
    /// Where to listen [default: 127.0.0.1:7171, or a free port if that is taken].
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Keep the events here, with the configuration they are measured with [default: a temporary directory, removed at
    /// the end].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// End after the numbers instead of serving.
    #[arg(long)]
    once: bool,
}

/// Why the demo cannot go on.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    /// No place for the events.
    #[error("cannot make a temporary directory: {0}; name one with --data")]
    Directory(std::io::Error),
    /// No place for the configuration of what is kept.
    #[error("{}: {source}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// It cannot be served.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The events could not be taken in.
    #[error("cannot take in the events: {0}")]
    Import(#[from] ImportError),
    /// The numbers could not be worked out or printed.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Signals cannot be waited for.
    #[error("cannot wait for Ctrl-C: {0}")]
    Signal(std::io::Error),
}

impl DemoArgs {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        super::log("warn");
        super::block_on(async { self.begin_to_end().await.map_err(Failure::new) })
    }

    async fn begin_to_end(&self) -> Result<ExitCode, DemoError> {
        // Removed when it goes out of scope, which is after the server has given it up.
        let temporary = match &self.data {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(DemoError::Directory)?),
        };
        let data = self.data.clone().or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned()));
        let running = self.start(settings(data.unwrap_or_default())).await?;
        let outcome = tokio::select! {
            outcome = self.show(&running) => outcome,
            asked = shutdown::requested() => asked.map_err(DemoError::Signal),
        };
        running.shutdown().await;
        outcome.map(|()| ExitCode::SUCCESS)
    }

    /// Ends with --once only; otherwise it is ended.
    async fn show(&self, running: &Running) -> Result<(), DemoError> {
        print(INTRODUCTION)?;
        let started = Instant::now();
        let Summary { stored, duplicate, refused, .. } = take_in(Arc::clone(&running.part.intake)).await?;
        let seconds = started.elapsed().as_secs_f64();
        print(&format!(
            "{stored} events stored, {duplicate} known already, {refused} refused, in {seconds:.1} s\n\n"
        ))?;
        print(&story(Arc::clone(&running.part.engine)).await?)?;
        if let Some(data) = &self.data {
            print(&kept::told(data)?)?;
        }
        if self.once {
            return Ok(());
        }
        print(&where_to_look(&program(), running.addr))?;
        std::future::pending().await
    }

    /// Starts serving; if nobody asked for an address and the default one is taken, at any free one.
    async fn start(&self, mut settings: Settings) -> Result<Running, StartError> {
        if let Some(listen) = &self.listen {
            settings.listen.clone_from(listen);
        }
        match serve::start(settings.clone()).await {
            Err(StartError::Listen { listen, source })
                if self.listen.is_none() && source.kind() == ErrorKind::AddrInUse =>
            {
                let running = serve::start(Settings { listen: "127.0.0.1:0".to_owned(), ..settings }).await?;
                eprintln!("{listen} is taken; listening at {}", running.addr);
                Ok(running)
            }
            started => started,
        }
    }
}

fn settings(data: PathBuf) -> Settings {
    let golden_path = CapabilityConfig { golden_path: true, ..CapabilityConfig::default() };
    let capabilities = [(GOLDEN_PATH.to_owned(), golden_path)].into();
    Settings { data, capabilities, ..Settings::default() }
}

/// Brings the history in as `milepost import` does, with a progress bar.
async fn take_in(intake: Arc<Intake>) -> Result<Summary, ImportError> {
    let bar = progress_bar(EVENTS, "events");
    let history = Input { name: "helm-charts.ndjson.gz".into(), bytes: Box::new(HISTORY) };
    let summary =
        import(vec![history], &Target::Here(intake), |summary, _| bar.set_position(summary.read)).await;
    bar.finish_and_clear();
    summary
}

/// The numbers over the years, and what they show.
async fn story(engine: Arc<Engine>) -> Result<String, AskError> {
    crate::answers::computing(engine, |engine| {
        let chapters = history::chapters(engine)?;
        Ok(format!(
            "{}\n\n{}\n{}\n",
            history::table(&chapters),
            findings::shown(&chapters),
            findings::missing(&chapters)
        ))
    })
    .await
}

/// How to call this program again: by its name where a shell finds it, else by its path.
fn program() -> String {
    let name = "milepost";
    let Ok(path) = std::env::current_exe() else { return name.to_owned() };
    let real = |path: &Path| path.canonicalize().ok();
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&search).map(|directory| directory.join(name)).find(|path| path.is_file());
    if found.is_some_and(|found| real(&found) == real(&path)) {
        return name.to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let below = path.strip_prefix(here).ok();
    // What has a slash in it is no name, wherever it is.
    below.filter(|below| below.components().count() > 1).map_or_else(|| shell_word(&path), shell_word)
}

/// As a shell reads it as one word.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn where_to_look(program: &str, addr: SocketAddr) -> String {
    format!(
        "\
Serving until Ctrl-C. Where to look:
  curl http://{addr}/v1/metrics    what each number means
  curl http://{addr}/metrics       for Prometheus, as of now
  curl 'http://{addr}/v1/metrics/market_share?as_of=2019-06-30'
  curl 'http://{addr}/v1/metrics/onboarding_time?from=2018-12-31&to=2020-12-31&step=30d&format=csv'
  curl 'http://{addr}/v1/metrics/keep_rate/explain?capability=chart-testing&as_of=2020-10-31&page_size=5'
  {program} query market_share --from 2018-01-01 --to 2020-12-31 --step 7d --server http://{addr}
  {program} explain time_to_first_deploy --as-of 2018-12-31 --server http://{addr}
  grpcurl -plaintext -d '{{\"selector\":{{\"metric\":\"market_share\"}},\"as_of\":\"2019-06-30\"}}' \\
    {addr} milepost.v1.MetricsService/Query
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_to_a_shell() {
        for (path, word) in [
            ("/opt/milepost", "/opt/milepost"),
            ("/my files/milepost", "'/my files/milepost'"),
            ("/it's/$here", r"'/it'\''s/$here'"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
