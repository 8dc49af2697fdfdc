//! `milepost import`.

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{ArgGroup, Args};
use indicatif::{ProgressBar, ProgressStyle};
use milepost_log::Producer;

use super::{Failure, Format};
use crate::config::{self, Flags, Role};
use crate::import::backup;
use crate::import::{Input, RefusedLine, Summary, Target, import};
use crate::installation::Writing;

const HELP: &str = "\
Examples:
  milepost import --data milepost-data events.ndjson archive/*.ndjson.gz
  zcat events.gz | milepost import --server http://127.0.0.1:7171 -
  milepost import --log --config cluster.toml milepost-2026-11-01.backup

Files hold one JSON a line: CDEvents, or CloudEvents around them; plain or packed by gzip. An
import can be run again, also after it was interrupted: what was kept is a duplicate then.

With --log it brings backups (`milepost backup`) to a cluster: their events go onto its log in Kafka as they are, so the
configuration must have the same privacy.key. Duplicates show only later then: all events count as stored.

With --format json the last line is {\"read\":n,\"stored\":n,\"duplicate\":n,\"refused\":n}.

Exit codes: 0 all taken, 1 failed, 2 wrong usage or configuration, 3 some events were refused. The
first of these are told on standard error, all of them by `milepost quarantine list`.";

/// Refused events that are told one by one.
const TOLD: u64 = 20;

/// Keep files of events.
#[derive(Debug, Args)]
#[command(after_help = HELP, group(ArgGroup::new("target").required(true).args(["data", "server", "log"])))]
pub(super) struct ImportArgs {
    /// The files; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The data directory to bring them to; no server may be running on it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The server to bring them to, such as `http://127.0.0.1:7171`.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    remote: super::remote::RemoteArgs,
    /// Bring backups to the log of a cluster: to Kafka, as the configuration says.
    #[arg(long)]
    log: bool,
    /// The configuration: limits and privacy. A server has its own.
    #[arg(long, value_name = "FILE", env = "MILEPOST_CONFIG")]
    config: Option<PathBuf>,
    /// The form of the last line.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl ImportArgs {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        super::log("warn");
        let bar = progress(&self.files);
        let backup = self.files.iter().find(|file| self.log != backup::is_backup(file));
        if let Some(file) = backup {
            let what = if self.log {
                "no backup: bring files of events to a server of the cluster, with --server"
            } else {
                "a backup: make a data directory of it with `milepost restore`, or bring it to a cluster with --log"
            };
            return Err(Failure::usage(format!("{}: {what}", file.display())));
        }
        let started = Instant::now();
        let summary = if self.log { self.bring_backups(&bar)? } else { self.bring_events(&bar)? };
        bar.finish_and_clear();
        self.report(summary, started)
    }

    fn bring_backups(&self, bar: &ProgressBar) -> Result<Summary, Failure> {
        let settings =
            config::load(self.config.as_deref(), Flags { role: Some(Role::Ingest), ..Flags::default() })
                .map_err(Failure::usage)?;
        let keys = settings.privacy.key.as_ref().ok_or_else(|| Failure::usage("privacy.key: missing"))?;
        let options = settings.kafka.options(settings.limits.event_bytes);
        super::block_on(async {
            milepost_log::prepare(&options).await.map_err(Failure::new)?;
            let producer = Arc::new(Producer::new(&options).map_err(Failure::new)?);
            let mut all = Summary::default();
            for file in &self.files {
                let each = |summary: &Summary| bar.set_message(format!("{} events", summary.read));
                let brought = backup::bring(file, keys, &producer, each).await;
                let Summary { read, stored, duplicate, refused } =
                    brought.map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
                all.read += read;
                all.stored += stored;
                all.duplicate += duplicate;
                all.refused += refused;
            }
            Ok(all)
        })
    }

    fn bring_events(&self, bar: &ProgressBar) -> Result<Summary, Failure> {
        let inputs = self.files.iter().map(|file| open(file, bar)).collect::<Result<Vec<_>, _>>()?;
        match &self.server {
            Some(url) if !url.contains("://") => {
                Err(Failure::usage(format!("--server: {url} is no URL: write http://{url}")))
            }
            Some(url) => {
                let remote = self
                    .remote
                    .open(url)
                    .map_err(|error| Failure::usage(format!("{}: {error}", error.flag())))?;
                super::block_on(bring(inputs, Target::There(remote), bar))
            }
            None => self.keep(inputs, bar),
        }
    }

    fn report(&self, summary: Summary, started: Instant) -> Result<ExitCode, Failure> {
        match self.format {
            Format::Json => println!("{}", serde_json::to_string(&summary).map_err(Failure::new)?),
            Format::Text => {
                let Summary { read, stored, duplicate, refused } = summary;
                let seconds = started.elapsed().as_secs_f64();
                println!(
                    "{read} read: {stored} stored, {duplicate} duplicate, {refused} refused ({seconds:.1} s)"
                );
            }
        }
        Ok(if summary.refused > 0 && !self.log { ExitCode::from(3) } else { ExitCode::SUCCESS })
    }

    fn keep(&self, inputs: Vec<Input>, bar: &ProgressBar) -> Result<Summary, Failure> {
        let flags = Flags { data: self.data.clone(), ..Flags::default() };
        let settings = config::load(self.config.as_deref(), flags).map_err(Failure::usage)?;
        let writing = Writing::open(&settings).map_err(Failure::new)?;
        let summary = super::block_on(bring(inputs, Target::Here(writing.intake.clone()), bar));
        writing.close();
        summary
    }
}

async fn bring(inputs: Vec<Input>, target: Target, bar: &ProgressBar) -> Result<Summary, Failure> {
    let mut told = 0;
    let result = import(inputs, &target, |summary, refused| {
        bar.set_message(format!("{} events", summary.read));
        tell(refused, &mut told, bar);
    })
    .await;
    if told > TOLD {
        bar.suspend(|| eprintln!("… and {} more refused: see `milepost quarantine list`", told - TOLD));
    }
    result.map_err(|error| {
        Failure::new(format!(
            "{error}\nThe import stopped there. Run it again: what was kept is a duplicate then."
        ))
    })
}

fn tell(refused: &[RefusedLine], told: &mut u64, bar: &ProgressBar) {
    for RefusedLine { place, why } in refused {
        if *told < TOLD {
            bar.suspend(|| eprintln!("{place}: {why}"));
        }
        *told += 1;
    }
}

/// By the bytes of the files; of standard input nobody knows how many there will be.
fn progress(files: &[PathBuf]) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let size = |file: &PathBuf| file.metadata().ok().filter(Metadata::is_file).map(|file| file.len());
    let (bar, template) = match files.iter().map(size).sum::<Option<u64>>() {
        Some(bytes) => (ProgressBar::new(bytes), "{bar:40} {bytes} of {total_bytes}, {msg} {eta}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}, {msg} {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn open(file: &Path, bar: &ProgressBar) -> Result<Input, Failure> {
    let name = file.display().to_string();
    let bytes: Box<dyn Read + Send> = if name == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).map_err(|error| Failure::new(format!("{name}: {error}")))?)
    };
    let name = if name == "-" { "standard input" } else { &name };
    Ok(Input { name: name.into(), bytes: Box::new(bar.wrap_read(bytes)) })
}
