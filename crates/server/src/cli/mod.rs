//! The command line.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::answers::AskError;
use crate::config;

mod asking;
mod backup;
mod check;
mod copying;
mod demo;
mod doctor;
mod explain;
mod import;
mod key;
mod migrate;
mod quarantine;
mod query;
mod remote;
mod restore;
mod serve;
mod shown;
mod table;
mod token;

const HELP: &str = "\
Start here:
  milepost demo                                       real events, real numbers, in seconds
  milepost serve --data milepost-data                 take events and answer questions
  milepost import --data milepost-data events.ndjson  keep a file of events
  milepost query market_share --data milepost-data    ask

Configuration is a TOML file (--config). Variables win over it, MILEPOST_LIMITS__BATCH_EVENTS=500
for `batch_events` of `[limits]`, and flags over both. MILEPOST_LOG says what is logged: error,
warn, info or debug.

Exit codes: 0 done, 1 failed, 2 wrong usage, question or configuration, 3 some events were refused.";

/// Milepost measures an internal developer platform the way a product is measured.
#[derive(Debug, Parser)]
#[command(name = "milepost", version, after_help = HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(serve::ServeArgs),
    Import(import::ImportArgs),
    Query(query::QueryArgs),
    Explain(explain::ExplainArgs),
    Check(check::CheckArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Doctor(doctor::DoctorArgs),
    Migrate(migrate::MigrateArgs),
    Replay(migrate::ReplayArgs),
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    #[command(subcommand)]
    Token(token::TokenCommand),
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Print the reference of all metrics, docs/metrics.md.
    #[command(hide = true)]
    Reference,
}

/// The form of a report or a summary: for people, or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// It failed.
    pub fn new(message: impl Display) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    /// It was asked for something that makes no sense.
    pub fn usage(message: impl Display) -> Self {
        Self { code: 2, message: message.to_string() }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        if error.field().is_some() { Self::usage(error) } else { Self::new(error) }
    }
}

/// Runs the command given on the command line.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => args.run(),
        Command::Serve(args) => args.run(),
        Command::Import(args) => args.run(),
        Command::Query(args) => args.run().map_err(Failure::from).map(|()| ExitCode::SUCCESS),
        Command::Explain(args) => args.run().map_err(Failure::from).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => args.run(),
        Command::Backup(args) => args.run(),
        Command::Restore(args) => args.run(),
        Command::Doctor(args) => args.run(),
        Command::Migrate(args) => args.run(),
        Command::Replay(args) => args.run(),
        Command::Quarantine(command) => command.run(),
        Command::Token(command) => command.run(),
        Command::Key(command) => command.run(),
        Command::Reference => {
            asking::print(&crate::reference::reference()).map_err(Failure::from).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|failure| {
        eprintln!("milepost: {}", failure.message);
        ExitCode::from(failure.code)
    })
}

/// Logs to standard error, from this level on unless `MILEPOST_LOG` says otherwise.
fn log(level: &str) {
    let said = std::env::var(config::log::LOG).unwrap_or_default();
    let said = if said.trim().is_empty() { level } else { &said };
    let filter = config::log::filter(said).unwrap_or_else(|wrong| {
        eprintln!("milepost: {}: {wrong}; logging {level}", config::log::LOG);
        tracing_subscriber::EnvFilter::new(level)
    });
    let colours = std::io::stderr().is_terminal();
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // Fails only if somebody in this process logs already.
    let _ = log.try_init();
}

/// Runs a future to its end. Threads that still compute an answer nobody waits for, or read an input that does not
/// end, are left to the end of the process.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}
