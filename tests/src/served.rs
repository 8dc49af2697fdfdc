//! An installation, and the server over it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{self, Finished, milepost};
use crate::process::{Ended, Process};

/// A data directory and a configuration of its own, removed in the end.
pub struct Installation {
    directory: TempDir,
}

impl Installation {
    /// With this configuration and no events yet.
    pub fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("milepost.toml"), config).expect("the configuration can be written");
        Self { directory }
    }

    /// Where its events are.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("milepost.toml")
    }

    /// Runs `milepost COMMAND… --config … --data …` with more arguments behind.
    pub fn run(&self, command: &[&str], more: &[&str]) -> Finished {
        let (config, data) = (self.config(), self.data());
        let own = ["--config", text(&config), "--data", text(&data)];
        milepost(command.iter().copied().chain(own).chain(more.iter().copied()))
    }

    /// Runs `milepost check` on its configuration.
    pub fn check(&self) -> Finished {
        milepost(["check", "--config", text(&self.config())])
    }

    /// Serves it on a free port.
    pub fn serve(&self) -> Served {
        self.serve_by(binary::command()).unwrap_or_else(|ended| panic!("{ended:?}"))
    }

    /// Serves it with variables over its configuration.
    pub fn serve_with(&self, variables: &[(&str, &str)]) -> Served {
        let mut command = binary::command();
        command.envs(variables.iter().copied());
        self.serve_by(command).unwrap_or_else(|ended| panic!("{ended:?}"))
    }

    /// Serves it with places at which something is to happen: see `milepost_store::failpoint`.
    pub fn serve_failing(&self, failpoints: &str) -> Result<Served, Ended> {
        let mut command = binary::command();
        command.env("FAILPOINTS", failpoints);
        self.serve_by(command)
    }

    /// Serves it by a command to which the arguments of `milepost` are added, until it listens or ends.
    pub fn serve_by(&self, mut command: Command) -> Result<Served, Ended> {
        let (config, data) = (self.config(), self.data());
        let own = ["--listen", "127.0.0.1:0", "--config", text(&config), "--data", text(&data)];
        Served::by(command.arg("serve").args(own))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// A running server, killed when dropped.
pub struct Served {
    process: Process,
    address: SocketAddr,
}

impl Served {
    /// By a whole command, once it listens; or how it ended instead.
    pub(crate) fn by(command: &mut Command) -> Result<Self, Ended> {
        let (process, address) = Process::try_start(command)?;
        Ok(Self { process, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.process.said()
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Tells it to read its files again.
    pub fn hang_up(&self) {
        self.process.signal("HUP");
    }

    /// Stops it in its tracks: its connections stay open.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Ends it without asking.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Runs `milepost COMMAND… --server …` with more arguments behind.
    pub fn run(&self, command: &[&str], more: &[&str]) -> Finished {
        let url = self.url();
        milepost(command.iter().copied().chain(["--server", &url]).chain(more.iter().copied()))
    }

    /// A header of the answer to a `GET`.
    pub fn header(&self, path: &str, name: &str) -> Option<String> {
        let response = ureq::get(format!("{}{path}", self.url())).call().expect("the server answers");
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Reply {
        get(&self.url(), path, "*/*")
    }

    /// The JSON of a `GET` that succeeds.
    #[track_caller]
    pub fn get_json(&self, path: &str) -> Value {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.json()
    }

    /// `GET /metrics`, as text.
    pub fn metrics(&self) -> String {
        self.get("/metrics").body
    }

    /// `POST /v1/events`.
    pub fn post(&self, content_type: &str, body: impl AsRef<[u8]>) -> Reply {
        self.post_with(&[("content-type", content_type)], body)
    }

    /// `POST /v1/events` with these headers.
    pub fn post_with(&self, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
        post(&self.url(), headers, body.as_ref()).expect("the server answers")
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its content type, empty if there is none.
    pub content_type: String,
    /// Its `Retry-After`.
    pub retry_after: Option<String>,
    /// Its body.
    pub body: String,
}

impl Reply {
    /// Its body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// `GET` from a server of any kind, whatever its status.
pub fn get(url: &str, path: &str, accept: &str) -> Reply {
    let request = ureq::get(format!("{url}{path}")).header("accept", accept);
    request.config().http_status_as_error(false).build().call().and_then(read).expect("the server answers")
}

/// `POST /v1/events` to a server that may be going away.
pub fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Reply, ureq::Error> {
    let request = ureq::post(format!("{url}/v1/events")).config().http_status_as_error(false).build();
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send(body).and_then(read)
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Reply, ureq::Error> {
    let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
    let body = response.body_mut().with_config().limit(u64::MAX).read_to_string()?;
    Ok(Reply { status: response.status().as_u16(), content_type, retry_after, body })
}

/// A text as it can stand in a query string.
pub fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
