//! A service that this process has started.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::place::PORT;
use crate::spawn::spawn;
use crate::{Error, Kind, Place, ports, tools};

/// How long a service may take to answer. Generous: tests share the machine.
const PATIENCE: Duration = Duration::from_secs(120);
const BETWEEN: Duration = Duration::from_millis(50);
/// Lines of its log told when it does not answer.
const TAIL: usize = 20;

/// How long a service lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// It is killed when its [`Service`] is dropped, and, on Linux, when this process ends, however it does.
    #[default]
    WithUs,
    /// It goes on until [`Place::stop`].
    UntilStopped,
}

/// A service that answers. Whether it ends when this is dropped is a matter of its [`Lifetime`].
#[derive(Debug)]
pub struct Service {
    place: Place,
    address: SocketAddr,
    /// What the launcher is to start.
    program: Vec<OsString>,
    lifetime: Lifetime,
    child: Option<Child>,
}

impl Service {
    /// Makes the directory and chooses the port; then `prepare`, given the port, writes what the service needs into the
    /// directory, in which it is started, and says what to start.
    pub(crate) fn start(
        kind: Kind,
        directory: &Path,
        port: Option<u16>,
        lifetime: Lifetime,
        prepare: impl FnOnce(&Path, u16) -> Result<Vec<OsString>, Error>,
    ) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(Error::file(directory))?;
        let directory = fs::canonicalize(directory).map_err(Error::file(directory))?;
        let place = Place::new(kind, &directory);
        if place.pid().is_some() {
            return Err(Error::Running { name: kind.name(), directory });
        }
        let port = ports::choose(&directory, PORT, port)?;
        let program = prepare(&directory, port)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut service = Self { place, address, program, lifetime, child: None };
        service.launch()?;
        service.wait_for_answer()?;
        Ok(service)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its directory, and its process.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Stops it in its tracks: its connections stay open and nothing answers on them.
    pub fn pause(&self) -> Result<(), Error> {
        self.place.pause()
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&self) -> Result<(), Error> {
        self.place.resume()
    }

    /// Ends it at once, as a power cut would; what the kernel has of its data stays.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.place.kill()?;
        self.reap();
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) -> Result<(), Error> {
        self.place.stop()?;
        self.reap();
        Ok(())
    }

    /// Starts it again on the same data and ports, stopping it first if it still runs, and waits until it answers.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.stop()?;
        self.launch()?;
        self.wait_for_answer()
    }

    fn launch(&mut self) -> Result<(), Error> {
        let launcher = tools::launcher()?;
        let log = self.place.log();
        let said = File::options().create(true).append(true).open(&log).map_err(Error::file(&log))?;
        let twice = said.try_clone().map_err(Error::file(&log))?;
        let parent = match self.lifetime {
            Lifetime::WithUs => std::process::id(),
            Lifetime::UntilStopped => 0,
        };
        let mut command = Command::new(&launcher);
        command.arg(self.place.lock()).arg(parent.to_string()).args(&self.program);
        command.current_dir(self.place.directory()).stdin(Stdio::null()).stdout(said).stderr(twice);
        self.child = Some(spawn(command).map_err(Error::file(&launcher))?);
        Ok(())
    }

    fn wait_for_answer(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                return Err(self.not_up(format!("has ended: {status}")));
            }
            if self.place.answers_on(self.address) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(self.not_up(format!("has not answered for {} s", PATIENCE.as_secs())));
            }
            thread::sleep(BETWEEN);
        }
    }

    fn not_up(&self, reason: String) -> Error {
        let log = self.place.log();
        let tail = tail(&log);
        Error::NotUp { name: self.place.kind().name(), address: self.address, reason, log, tail }
    }

    /// A child that has ended stays in the table of processes until it is waited for.
    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It has ended: its lock is free.
            let _ = child.wait();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::WithUs {
            // It may have ended by itself.
            let _ = self.kill();
        }
    }
}

fn tail(log: &PathBuf) -> String {
    let said = fs::read(log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<_> = said.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
