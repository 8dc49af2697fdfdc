//! The directory of a service, and what can be told and done about the process in it, whoever started it.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Error, ports, probe};

/// How long a service may take to stop, or to end by itself before it is killed.
const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN: Duration = Duration::from_millis(20);

/// Which service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Apache Kafka, one node that is broker and controller.
    Kafka,
    /// ClickHouse.
    ClickHouse,
    /// Prometheus.
    Prometheus,
}

impl Kind {
    /// Its name, as it stands in paths and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::ClickHouse => "clickhouse",
            Self::Prometheus => "prometheus",
        }
    }
}

/// A directory in which a service runs, ran or will run.
#[derive(Debug, Clone)]
pub struct Place {
    kind: Kind,
    directory: PathBuf,
}

impl Place {
    /// This service in this directory, which need not be there.
    pub fn new(kind: Kind, directory: impl Into<PathBuf>) -> Self {
        Self { kind, directory: directory.into() }
    }

    /// Which service.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where it listens, or did when it last ran; nothing if it never ran here.
    pub fn address(&self) -> Option<SocketAddr> {
        let port = ports::remembered(&self.directory, PORT)?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// What it has said, in all its runs here.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.directory.join("lock")
    }

    /// Its process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process().map(|pid| pid.as_raw_nonzero().get().cast_unsigned())
    }

    /// It runs if it holds its lock; the launcher has written its process id into that file.
    fn process(&self) -> Option<Pid> {
        let lock = self.lock();
        loop {
            let file = File::open(&lock).ok()?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {}
                Ok(()) | Err(TryLockError::Error(_)) => return None,
            }
            let pid = fs::read_to_string(&lock).ok()?;
            match pid.trim().parse().ok().and_then(Pid::from_raw) {
                Some(pid) => return Some(pid),
                // It is about to be written.
                None => thread::sleep(BETWEEN),
            }
        }
    }

    /// Whether it runs, and answers in its own protocol.
    pub fn answers(&self) -> bool {
        self.pid().is_some() && self.address().is_some_and(|address| self.answers_on(address))
    }

    pub(crate) fn answers_on(&self, address: SocketAddr) -> bool {
        match self.kind {
            Kind::Kafka => probe::kafka(address),
            Kind::ClickHouse => probe::http(address, "/ping"),
            Kind::Prometheus => probe::http(address, "/-/ready"),
        }
    }

    /// Stops it in its tracks: its connections stay open and nothing answers on them.
    pub fn pause(&self) -> Result<(), Error> {
        self.signal(Signal::STOP)?;
        // Each of its threads stops when it next runs, and until then may answer once more.
        self.within_patience(|pid| !is_stopped(pid));
        Ok(())
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&self) -> Result<(), Error> {
        self.signal(Signal::CONT).map(|_| ())
    }

    /// Ends it at once, as a power cut would; what the kernel has of its data stays. Whether it ran.
    pub fn kill(&self) -> Result<bool, Error> {
        let ran = self.signal(Signal::KILL)?;
        self.within_patience(|_| true);
        Ok(ran)
    }

    /// Asks it to end, paused or not, and kills it if it does not. Whether it ran.
    pub fn stop(&self) -> Result<bool, Error> {
        let ran = self.signal(Signal::TERM)?;
        self.signal(Signal::CONT)?;
        if !self.within_patience(|_| true) {
            self.kill()?;
        }
        Ok(ran)
    }

    fn signal(&self, signal: Signal) -> Result<bool, Error> {
        let Some(pid) = self.process() else { return Ok(false) };
        match kill_process(pid, signal) {
            // It has ended since.
            Err(rustix::io::Errno::SRCH) => Ok(false),
            sent => sent.map(|()| true).map_err(|error| Error::file(&self.directory)(error.into())),
        }
    }

    /// Whether it ends, or this becomes untrue of its process, in time.
    fn within_patience(&self, still: impl Fn(Pid) -> bool) -> bool {
        let begun = Instant::now();
        while self.process().is_some_and(&still) {
            if begun.elapsed() > PATIENCE {
                return false;
            }
            thread::sleep(BETWEEN);
        }
        true
    }
}

/// Whether all its threads are stopped. Where the system does not tell, it is taken to be.
fn is_stopped(pid: Pid) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    tasks.into_iter().flatten().flatten().all(|task| {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // The state stands behind the name, which may hold anything; a thread that has ended has none.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}

/// The file with the port on which clients are served.
pub(crate) const PORT: &str = "port";
