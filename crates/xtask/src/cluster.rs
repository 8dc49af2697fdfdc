//! A whole cluster on this machine, to look at: services, one ingest, two aggregators, two replicas, and real events through
//! all of them.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::run::{Problem, cargo, checkout, output, progress, run};
use crate::services::{self, Addresses, Up};

/// Real events: see crates/server/data/README.md.
const EVENTS: &str = "crates/server/data/helm-charts.ndjson.gz";
/// What they are measured with, beside where everything is. The key makes pseudonyms of hashed names, and is no secret.
const SETTINGS: &str = "\
[capabilities.release-pipeline]
golden_path = true
[privacy]
key = \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"
";
const MEMBERS: [&str; 5] = ["ingest", "aggregate", "aggregate", "query", "query"];
/// What is shown of them, and what of it.
const SHOWN: [&[&str]; 5] = [
    &["market_share"],
    &["keep_rate", "--capability", "chart-testing"],
    &["time_to_first_deploy"],
    &["onboarding_time"],
    &["self_service_rate"],
];
const YEARS: [&str; 6] = ["--from", "2016-12-31", "--to", "2020-12-31", "--step", "30d"];
const BETWEEN: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct Cluster {
    /// Ends after the numbers instead of serving until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Where data and logs are, without those of an earlier run; by default `cluster` in the target directory.
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// A process of a role, ended when dropped.
struct Member {
    role: &'static str,
    child: Child,
    log: PathBuf,
}

/// Notices Ctrl-C and SIGTERM, so that whatever was started is ended.
struct Asked(Receiver<()>);

impl Cluster {
    pub(crate) fn run(&self) -> Result<(), Problem> {
        let asked = Asked::listen()?;
        let directory = match &self.directory {
            Some(directory) => directory.clone(),
            None => services::in_target("cluster")?,
        };
        let binary = binary()?;
        let done = services::up(&Up::afresh(&directory))
            .and_then(|addresses| self.show(&asked, &directory, &binary, &addresses));
        progress("ending Kafka, ClickHouse and Prometheus");
        services::down(&directory)?;
        match done {
            // Whatever else was told then follows from that.
            Err(_) if asked.is_told() => Ok(()),
            done => done,
        }
    }

    fn show(&self, asked: &Asked, directory: &Path, binary: &Path, at: &Addresses) -> Result<(), Problem> {
        let config = directory.join("milepost.toml");
        fs::write(&config, settings(at)).map_err(Problem::file(&config))?;
        let mut members = Vec::new();
        for (number, role) in MEMBERS.into_iter().enumerate() {
            members.push(Member::start(
                role,
                binary,
                &config,
                directory.join(format!("{role}-{number}.log")),
            )?);
        }
        let urls: Vec<_> = members.iter_mut().map(|member| member.ready(asked)).collect::<Result<_, _>>()?;
        scraped(directory, &urls)?;
        let [ingest, .., first, second] = &urls[..] else { return Ok(()) };
        let events = import(binary, ingest)?;
        progress(format_args!("{events} events are in the log"));
        for replica in [first, second] {
            while position(replica)? < events {
                asked.not_yet()?;
            }
        }
        same_numbers(binary, first, second)?;
        for (member, url) in members.iter().zip(&urls) {
            println!("{:10} {url}  (its log: {})", member.role, member.log.display());
        }
        println!(
            "{:10} {}\n{:10} http://{}\n{:10} http://{}",
            "Kafka", at.kafka, "ClickHouse", at.clickhouse, "Prometheus", at.prometheus
        );
        if self.once {
            return Ok(());
        }
        println!("\nServing until Ctrl-C. {} query market_share --server {first}", binary.display());
        // An error means that nobody can ask any more.
        let _ = asked.0.recv();
        Ok(())
    }
}

/// The binary: `MILEPOST_BIN`, as for the tests, else the release build of this checkout.
fn binary() -> Result<PathBuf, Problem> {
    std::env::var_os("MILEPOST_BIN").map_or_else(build, |path| Ok(path.into()))
}

fn build() -> Result<PathBuf, Problem> {
    let arguments =
        ["build", "--release", "--bin", "milepost", "--message-format", "json-render-diagnostics"];
    let messages = output(cargo(&arguments).stderr(Stdio::inherit()))?;
    let executable = String::from_utf8_lossy(&messages).lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.ok_or_else(|| Problem::Check("cargo does not say where milepost is".into()))
}

fn settings(at: &Addresses) -> String {
    format!(
        "{SETTINGS}[kafka]\nbrokers = \"{}\"\nreplication_factor = 1\nmin_insync_replicas = 1\n\
         [clickhouse]\nurl = \"http://{}\"\n",
        at.kafka, at.clickhouse
    )
}

/// Has Prometheus scrape each of them: replicas, too, as each has the same numbers.
fn scraped(directory: &Path, urls: &[String]) -> Result<(), Problem> {
    let file = directory.join("prometheus/targets/milepost.json");
    let targets: Vec<_> = urls.iter().map(|url| url.trim_start_matches("http://")).collect();
    fs::write(&file, json!([{ "targets": targets }]).to_string()).map_err(Problem::file(&file))
}

/// Sends the events to the ingest, and says how many it has taken.
fn import(binary: &Path, ingest: &str) -> Result<u64, Problem> {
    let events = checkout().join(EVENTS);
    progress(format_args!("sending {EVENTS} to {ingest}"));
    let mut import = Command::new(binary);
    let import = import.args(["import", "--format", "json", "--server", ingest]).arg(events);
    let said = output(import)?;
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    last.and_then(|summary| summary["stored"].as_u64())
        .ok_or_else(|| Problem::Check(format!("the import does not say how many events it took: {said}")))
}

/// How many records of the log are in the answers of a replica.
fn position(replica: &str) -> Result<u64, Problem> {
    let metrics = get(&format!("{replica}/metrics"))
        .ok_or_else(|| Problem::Check(format!("no answer from {replica}/metrics")))?;
    let next = |line: &str| line.rsplit_once(' ')?.1.parse::<u64>().ok();
    Ok(metrics.lines().filter(|line| line.starts_with("milepost_log_position{")).filter_map(next).sum())
}

/// Prints the numbers of one replica; those of the other are the same, byte for byte.
fn same_numbers(binary: &Path, first: &str, second: &str) -> Result<(), Problem> {
    for question in SHOWN {
        let ask = |replica: &str, form: &str| {
            let mut query = Command::new(binary);
            query.arg("query").args(question).args(YEARS).args(["--format", form, "--server", replica]);
            query
        };
        println!("{}", question[0]);
        run(&mut ask(first, "table"))?;
        println!();
        if output(&mut ask(first, "json"))? != output(&mut ask(second, "json"))? {
            let message = format!("{first} and {second} differ about {}", question[0]);
            return Err(Problem::Check(message));
        }
    }
    Ok(())
}

fn get(url: &str) -> Option<String> {
    ureq::get(url).call().ok()?.body_mut().read_to_string().ok()
}

impl Member {
    fn start(role: &'static str, binary: &Path, config: &Path, log: PathBuf) -> Result<Self, Problem> {
        let said = File::create(&log).map_err(Problem::file(&log))?;
        let mut command = Command::new(binary);
        command.args(["serve", "--role", role, "--listen", "127.0.0.1:0", "--config"]).arg(config);
        // These are about the tests.
        command.env_remove("MILEPOST_BIN").env_remove("MILEPOST_CACHE");
        // Ctrl-C is for us: they end before what they need does.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        let name = format!("milepost serve --role {role}");
        let child = command.spawn().map_err(|source| Problem::NotStarted { command: name, source })?;
        Ok(Self { role, child, log })
    }

    /// Waits until it is ready, and says where it is.
    fn ready(&mut self, asked: &Asked) -> Result<String, Problem> {
        loop {
            let said = fs::read_to_string(&self.log).map_err(Problem::file(&self.log))?;
            let url = said.lines().find_map(|line| {
                line.strip_prefix("milepost listens at ")?.split_whitespace().next().map(str::to_owned)
            });
            if let Some(url) = url.filter(|url| get(&format!("{url}/readyz")).is_some()) {
                return Ok(url);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Problem::Check(format!("{} has ended, {status}: {said}", self.role)));
            }
            asked.not_yet()?;
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Asked {
    fn listen() -> Result<Self, Problem> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: std::io::Error| Problem::Check(format!("cannot wait for Ctrl-C: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let signals = runtime
            .block_on(async { Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)) });
        let (mut interrupt, mut terminate) = signals.map_err(failed)?;
        let (told, asked) = mpsc::channel::<()>();
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            });
            // Dropped: that is what tells.
            drop(told);
        });
        Ok(Self(asked))
    }

    fn is_told(&self) -> bool {
        self.0.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Waits a moment; an error if it was asked to end.
    fn not_yet(&self) -> Result<(), Problem> {
        match self.0.recv_timeout(BETWEEN) {
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(Problem::Check("asked to end".into())),
        }
    }
}
