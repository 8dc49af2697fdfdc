//! Servers as child processes, so that what they use is told apart from what sending to them costs.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Linux counts the CPU time of processes in hundredths of a second for every reader.
const TICKS: f64 = 100.0;

/// Between two looks at whether a server has come up.
const LOOK: Duration = Duration::from_millis(20);

/// A child that listens; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub url: String,
    /// From its start until it said that it listens.
    pub started_in: Duration,
}

impl Server {
    /// `milepost serve` on this data directory.
    pub fn milepost(data: &Path) -> Self {
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.env("RUST_LOG", "warn");
        Self::start(&mut command)
    }

    /// `milepost serve` as a role of a cluster, with these variables. It listens at once; see [`Self::wait_until_ready`].
    pub fn role(role: &str, variables: &[(String, String)]) -> Self {
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", "127.0.0.1:0", "--role", role]).env("RUST_LOG", "warn");
        Self::start(command.envs(variables.iter().cloned()))
    }

    /// A program that listens at this address, from the moment on that it does.
    pub fn other(command: &mut Command, address: SocketAddr) -> Self {
        let began = Instant::now();
        let child = command.spawn().expect("the server starts");
        let mut server = Self { child, url: format!("http://{address}"), started_in: Duration::ZERO };
        wait_until("it listens", LOOK, || TcpStream::connect(address).is_ok());
        server.started_in = began.elapsed();
        server
    }

    /// This program itself, started once more with the variable set: see [`crate::load::serve_empty_handler`].
    pub fn this_program_with(variable: &str) -> Self {
        let program = std::env::current_exe().expect("this program");
        Self::start(Command::new(program).env(variable, "1"))
    }

    fn start(command: &mut Command) -> Self {
        let began = Instant::now();
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its stderr is piped")).lines();
        let mut said = String::new();
        let url = loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {said}")).expect("a line");
            if let Some(at) = line.find("http://127.0.0.1:") {
                break line[at..].split_whitespace().next().expect("a URL").to_owned();
            }
            said.push_str(&line);
        };
        let started_in = began.elapsed();
        // Whoever writes into a pipe that nobody reads stops one day.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Self { child, url, started_in }
    }

    /// Asks it to end, and waits until it has.
    pub fn end(mut self) {
        // The shell's own `kill` is there on every Unix.
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        assert!(asked.is_ok_and(|status| status.success()), "it can be asked");
        assert!(self.child.wait().is_ok_and(|status| status.success()), "it ends as it should");
    }

    /// Waits until it says that requests should be sent to it.
    pub fn wait_until_ready(&self) {
        wait_until("it is ready", LOOK, || self.is_ready());
    }

    /// Whether it says that requests should be sent to it.
    pub fn is_ready(&self) -> bool {
        ureq::get(format!("{}/readyz", self.url)).call().is_ok()
    }

    /// CPU seconds it has used so far, in all its threads, those that have ended included.
    pub fn cpu(&self) -> f64 {
        cpu_of(self.child.id())
    }

    /// Bytes of memory it occupies.
    pub fn memory(&self) -> f64 {
        memory_of(self.child.id())
    }

    /// `GET`, with how long it took.
    pub fn get(&self, path: &str) -> (String, Duration) {
        let began = Instant::now();
        let answer = ureq::get(format!("{}{path}", self.url)).call().expect("an answer");
        let text = answer.into_body().with_config().limit(u64::MAX).read_to_string().expect("a text");
        (text, began.elapsed())
    }

    /// The sum of the samples in `/metrics` whose name and labels begin so.
    pub fn metric(&self, beginning: &str) -> f64 {
        let (text, _) = self.get("/metrics");
        let samples = text.lines().filter(|line| line.starts_with(beginning));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU seconds a process has used so far, in all its threads, those that have ended included.
pub fn cpu_of(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux tells");
    // The name of the program may have blanks in it; behind it nothing has. User and system time are fields 14 and 15.
    let (_, fields) = text.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks"));
    ticks.sum::<f64>() / TICKS
}

/// Bytes of memory a process occupies.
pub fn memory_of(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux tells");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.split_whitespace().next().expect("a number").parse::<f64>().expect("kilobytes") * 1024.0
}

/// Asks every so often, and gives up after some minutes.
pub fn wait_until(what: &str, every: Duration, mut holds: impl FnMut() -> bool) {
    const PATIENCE: Duration = Duration::from_secs(300);
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::sleep(every);
    }
}

/// Bytes of all files in a data directory.
pub fn disk(data: &Path) -> f64 {
    let files = fs::read_dir(data).expect("a directory").filter_map(Result::ok);
    let size = |file: fs::DirEntry| match file.metadata() {
        Ok(metadata) if metadata.is_dir() => disk(&file.path()),
        // It may have gone meanwhile.
        metadata => metadata.map_or(0.0, |metadata| metadata.len() as f64),
    };
    files.map(size).sum()
}

/// The release binary: `MILEPOST_BIN`, else the one of this checkout, built if it is not up to date.
pub fn binary() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| std::env::var_os("MILEPOST_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo tells the programs it runs about their package. Build scripts that ask for it would run again, and half of
    // the dependencies be built anew.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    let output = cargo
        .args([
            "build",
            "--release",
            "--bin",
            "milepost",
            "--package",
            "milepost",
            "--package",
            "milepost-benches",
        ])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "milepost does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .find(|path| path.file_name().is_some_and(|name| name == "milepost"))
        .expect("cargo says where the binary is")
}

/// CPU seconds of all children of this process that have ended.
pub fn ended_children_cpu() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").expect("Linux tells");
    let (_, fields) = text.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(13).take(2).map(|field| field.parse::<f64>().expect("ticks"));
    ticks.sum::<f64>() / TICKS
}
