//! A server as a child process: it says on stderr where it listens, and what it says is kept.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// How long a server may take to listen, or to end. Generous: tests share the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that has ended instead of listening.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it said.
    pub said: String,
}

/// Killed when dropped; if its test fails, what it said is shown.
pub struct Process {
    child: Child,
    said: Arc<Mutex<String>>,
    end: mpsc::Receiver<()>,
}

impl Process {
    /// Starts it, and waits until it says where it listens.
    pub fn start(command: &mut Command) -> (Self, SocketAddr) {
        Self::try_start(command).unwrap_or_else(|ended| panic!("{command:?}: {ended:?}"))
    }

    /// Starts it, and waits until it says where it listens, or ends instead.
    pub fn try_start(command: &mut Command) -> Result<(Self, SocketAddr), Ended> {
        let piped = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = child.stderr.take().expect("its stderr is piped");
        let said = Arc::default();
        let (found, address) = mpsc::channel();
        let (ended, end) = mpsc::channel();
        let mut process = Self { child, said: Arc::clone(&said), end };
        thread::spawn(move || {
            listen(stderr, &said, &found);
            // Nobody may be waiting for the end.
            let _ = ended.send(());
        });
        match address.recv_timeout(PATIENCE) {
            Ok(address) => Ok((process, address)),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(Ended { status: process.wait(), said: process.said() })
            }
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{command:?} does not say where it listens"),
        }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.said.lock().expect("nobody panics with this in hand").clone()
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal, by its name.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill` is there on every Unix.
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(status.expect("there is a shell").success());
    }

    /// Ends it without asking.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.wait();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.end.recv_timeout(PATIENCE).expect("it ends in time");
        self.child.wait().expect("it can be waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- it said:\n{}---", self.said());
        }
    }
}

fn listen(stderr: ChildStderr, said: &Mutex<String>, found: &mpsc::Sender<SocketAddr>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some(address) = address_in(&line) {
            // Only the first is waited for.
            let _ = found.send(address);
        }
        let mut said = said.lock().expect("nobody panics with this in hand");
        said.push_str(&line);
        said.push('\n');
    }
}

/// The address with a real port in a line such as `listening on http://127.0.0.1:41234`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let rest = &line[line.find("127.0.0.1:")?..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
    let address: SocketAddr = rest[..end].trim_end_matches(['.', ':']).parse().ok()?;
    (address.port() != 0).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_what_is_said() {
        let expected = Some(SocketAddr::from(([127, 0, 0, 1], 41234)));
        assert_eq!(address_in("milepost listens on http://127.0.0.1:41234."), expected);
        assert_eq!(address_in("msg=\"Listening on\" address=127.0.0.1:41234"), expected);
        assert_eq!(address_in("asked to listen on 127.0.0.1:0"), None);
        assert_eq!(address_in("nothing"), None);
    }
}
