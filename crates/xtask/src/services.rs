//! Real Kafka, ClickHouse and Prometheus for development: started, found again, restarted, stopped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;

use milepost_services::{Kind, Lifetime, Place, Service, clickhouse, kafka, prometheus, tools};

use crate::run::{Problem, progress};

const KINDS: [Kind; 3] = [Kind::Kafka, Kind::ClickHouse, Kind::Prometheus];

/// It scrapes every target that a file in `targets` names, and notices when one comes or goes.
const PROMETHEUS_CONFIG: &str = "\
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: milepost
  file_sd_configs: [{files: ['targets/*.json']}]
";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Services {
    /// Starts those that do not answer, on the data they have, and prints where all of them are as one line of JSON.
    Up(Up),
    /// Stops those that run, and keeps their data.
    Down(At),
    /// Says of each whether it answers; fails unless all do.
    Status(At),
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct At {
    /// Where their data and logs are; by default `services` in the target directory.
    #[arg(long)]
    directory: Option<PathBuf>,
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Up {
    #[command(flatten)]
    at: At,
    /// Removes the data and logs of earlier runs first.
    #[arg(long)]
    fresh: bool,
    /// Port of Kafka, on 127.0.0.1; a free one if none is given, and the same one from then on.
    #[arg(long)]
    kafka_port: Option<u16>,
    /// Port of ClickHouse's HTTP.
    #[arg(long)]
    clickhouse_port: Option<u16>,
    /// Port of Prometheus.
    #[arg(long)]
    prometheus_port: Option<u16>,
}

impl At {
    fn directory(&self) -> Result<PathBuf, Problem> {
        match &self.directory {
            Some(directory) => Ok(directory.clone()),
            None => in_target("services"),
        }
    }
}

/// The target directory is where cargo has put this program: `target/debug/xtask`.
pub(crate) fn in_target(name: &str) -> Result<PathBuf, Problem> {
    let unknown = || Problem::Check("the target directory cannot be told: give --directory".into());
    let program = std::env::current_exe().map_err(|_| unknown())?;
    Ok(program.ancestors().nth(2).ok_or_else(unknown)?.join(name))
}

pub(crate) fn perform(task: &Services) -> Result<(), Problem> {
    match task {
        Services::Up(options) => {
            println!("{}", up(options)?.line());
            Ok(())
        }
        Services::Down(at) => down(&at.directory()?),
        Services::Status(at) => status(&at.directory()?),
    }
}

/// Where they are.
pub(crate) struct Addresses {
    pub(crate) kafka: String,
    pub(crate) clickhouse: String,
    pub(crate) prometheus: String,
}

impl Addresses {
    /// For programs: the order of the names is part of it.
    fn line(&self) -> String {
        let Self { kafka, clickhouse, prometheus } = self;
        format!(
            r#"{{"kafka":"{kafka}","clickhouse":"http://{clickhouse}","prometheus":"http://{prometheus}"}}"#
        )
    }
}

impl Up {
    /// Without anything of an earlier run.
    pub(crate) fn afresh(directory: &Path) -> Self {
        Self { at: At { directory: Some(directory.to_owned()) }, fresh: true, ..Self::default() }
    }
}

/// Starts those that do not answer.
pub(crate) fn up(options: &Up) -> Result<Addresses, Problem> {
    let directory = options.at.directory()?;
    fs::create_dir_all(&directory).map_err(Problem::file(&directory))?;
    let _alone = alone(&directory)?;
    if options.fresh {
        for place in places(&directory) {
            place.stop()?;
            remove(place.directory())?;
        }
    }
    tools::all()?;
    let addresses = thread::scope(|scope| {
        let starting = places(&directory).map(|place| scope.spawn(move || ensure(&place, options)));
        starting.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let [kafka, clickhouse, prometheus] = addresses;
    Ok(Addresses { kafka: kafka?, clickhouse: clickhouse?, prometheus: prometheus? })
}

/// Where it answers: as it is, or after a start.
fn ensure(place: &Place, options: &Up) -> Result<String, Problem> {
    let name = place.kind().name();
    let wanted = match place.kind() {
        Kind::Kafka => options.kafka_port,
        Kind::ClickHouse => options.clickhouse_port,
        Kind::Prometheus => options.prometheus_port,
    };
    if place.answers() {
        let address = place.address().filter(|address| wanted.is_none_or(|port| port == address.port()));
        return address.map(|address| address.to_string()).ok_or_else(|| {
            Problem::Check(format!("{name} runs on another port: `cargo xtask services down` first"))
        });
    }
    if place.kill()? {
        progress(format_args!("{name} runs and does not answer: it is started again"));
    }
    progress(format_args!("starting {name}; its log: {}", place.log().display()));
    let service = start(place, wanted)?;
    progress(format_args!("{name} answers on {}", service.address()));
    Ok(service.address().to_string())
}

fn start(place: &Place, port: Option<u16>) -> Result<Service, Problem> {
    let lifetime = Lifetime::UntilStopped;
    let directory = place.directory();
    match place.kind() {
        Kind::Kafka => Ok(kafka::start(directory, &kafka::Options { port, lifetime, ..Default::default() })?),
        Kind::ClickHouse => {
            let options = clickhouse::Options { http_port: port, lifetime, ..Default::default() };
            Ok(clickhouse::start(directory, &options)?)
        }
        Kind::Prometheus => {
            let targets = directory.join("targets");
            fs::create_dir_all(&targets).map_err(Problem::file(&targets))?;
            let config = PROMETHEUS_CONFIG.to_owned();
            Ok(prometheus::start(directory, &prometheus::Options { port, config, lifetime })?)
        }
    }
}

/// Stops those that run.
pub(crate) fn down(directory: &Path) -> Result<(), Problem> {
    if !directory.is_dir() {
        println!("nothing runs in {}", directory.display());
        return Ok(());
    }
    let _alone = alone(directory)?;
    for place in places(directory) {
        let said = if place.stop()? { "stopped" } else { "did not run" };
        println!("{}: {said}", place.kind().name());
    }
    Ok(())
}

fn status(directory: &Path) -> Result<(), Problem> {
    let mut silent = Vec::new();
    for place in places(directory) {
        let name = place.kind().name();
        match (place.address().filter(|_| place.answers()), place.pid()) {
            (Some(address), _) => println!("{name}: answers on {address}"),
            (None, Some(pid)) => println!("{name}: runs (process {pid}) and does not answer"),
            (None, None) => println!("{name}: does not run"),
        }
        if !place.answers() {
            silent.push(name);
        }
    }
    if silent.is_empty() {
        return Ok(());
    }
    Err(Problem::Check(format!(
        "no answer from {}: `cargo xtask services up` starts them",
        silent.join(", ")
    )))
}

fn places(directory: &Path) -> [Place; 3] {
    KINDS.map(|kind| Place::new(kind, directory.join(kind.name())))
}

/// Two at once would start two of each. Unlocked when dropped.
fn alone(directory: &Path) -> Result<File, Problem> {
    let path = directory.join("lock");
    let lock = File::create(&path).map_err(Problem::file(&path))?;
    lock.lock().map_err(Problem::file(&path))?;
    Ok(lock)
}

fn remove(directory: &Path) -> Result<(), Problem> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Problem::file(directory)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_what_programs_read() {
        let [kafka, clickhouse, prometheus] = [1, 2, 3].map(|port| format!("127.0.0.1:{port}"));
        assert_eq!(
            Addresses { kafka, clickhouse, prometheus }.line(),
            r#"{"kafka":"127.0.0.1:1","clickhouse":"http://127.0.0.1:2","prometheus":"http://127.0.0.1:3"}"#
        );
    }
}
