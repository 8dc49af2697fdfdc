//! The server that is attacked, the honest client beside the attack, and what is held against both.

use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::JoinSet;

/// What the server may hold at most during any attack, in MiB.
const MOST_MIB: u64 = 256;

/// Connections it takes in the short form.
const FEW_CONNECTIONS: usize = 300;

/// The short form: what an attack has to wait for comes soon. The long one attacks the defaults.
const SHORT: &str = "[limits]\nconnections = 300\nconnections_per_peer = 100\nconnection_start = \"1s\"\n\
    connection_idle = \"2s\"\nrequest = \"3s\"\n";

/// Requests of the honest client before the attack begins, which those beside it are compared with.
const IN_PEACE: usize = 100;

/// Capabilities it knows: what is asked about all of them has a long answer.
const CAPABILITIES: usize = 1_000;

/// How long an attack goes on; none: one round.
fn budget() -> Option<Duration> {
    let seconds = std::env::var("MILEPOST_ATTACK_SECONDS").ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Connections that are more than the server takes.
pub(crate) fn too_many_connections() -> usize {
    if budget().is_some() { 10_000 } else { 2 * FEW_CONNECTIONS }
}

/// Connections that are nearly as many as it takes.
pub(crate) fn many_connections() -> usize {
    if budget().is_some() { 1_000 } else { FEW_CONNECTIONS - 20 }
}

struct Server {
    child: Child,
    addr: SocketAddr,
    _directory: TempDir,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("milepost.toml");
        std::fs::write(&config, if budget().is_some() { "" } else { SHORT }).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_milepost"))
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(config)
            .arg("--data")
            .arg(directory.path().join("data"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains("listens at")).unwrap();
        let addr = line.split("http://").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        // What it says of its own accord; a panic would be among it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Self { child, addr, _directory: directory }
    }

    /// The most memory held since the last call, in MiB. 0 where the system does not tell.
    fn peak(&self) -> u64 {
        let process = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap_or_default();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
        // 5 sets the peak back to what is held now.
        let _ = std::fs::write(format!("{process}/clear_refs"), "5");
        peak.unwrap_or(0) / 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn event(id: &str, kind: &str, custom: &str) -> String {
    format!(
        r#"{{"context":{{"specversion":"0.5.0","id":"{id}","source":"/t","timestamp":"2026-01-01T00:00:00Z","type":"dev.cdeventsx.milepost-{kind}.registered.0.1.0"}},"customData":{custom}}}"#
    )
}

/// Sends events, as a client that comes anew.
fn send(addr: SocketAddr, events: String) -> Result<u16, ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into();
    let url = format!("http://{addr}/v1/events");
    agent.post(url).header("content-type", "application/json").send(events).map(|r| r.status().as_u16())
}

/// Something to ask about.
fn furnish(addr: SocketAddr) {
    let capabilities = (0..CAPABILITIES)
        .map(|n| event(&format!("c{n}"), "capability", &format!(r#"{{"capability":"capability-{n}"}}"#)));
    let team = std::iter::once(event("t", "team", r#"{"team":"t"}"#));
    let all: Vec<_> = capabilities.chain(team).collect();
    assert_eq!(send(addr, format!("[{}]", all.join(","))).unwrap(), 200);
}

/// What came back to the honest client.
#[derive(Default)]
struct Served {
    /// How long each ack took.
    acked: Vec<Duration>,
    /// What came instead of one.
    failures: Vec<String>,
}

impl Served {
    fn ask(&mut self, addr: SocketAddr, id: &str) {
        let begun = Instant::now();
        match send(addr, event(id, "team", r#"{"team":"t"}"#)) {
            Ok(200) => self.acked.push(begun.elapsed()),
            other => self.failures.push(format!("{other:?} after {:?}", begun.elapsed())),
        }
    }

    /// In milliseconds.
    fn quantile(&mut self, hundredth: usize) -> f64 {
        self.acked.sort_unstable();
        let index = (self.acked.len() * hundredth).div_ceil(100).saturating_sub(1);
        self.acked.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

struct Ending(Arc<AtomicBool>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Sends one event after the other, some in peace and then until told to stop.
fn honest(addr: SocketAddr, peace_ends: tokio::sync::oneshot::Sender<()>, stop: &AtomicBool) -> [Served; 2] {
    let [mut before, mut beside] = [Served::default(), Served::default()];
    (0..IN_PEACE).for_each(|n| before.ask(addr, &format!("before-{n}")));
    let _ = peace_ends.send(());
    for n in 0.. {
        beside.ask(addr, &format!("beside-{n}"));
        if stop.load(Relaxed) {
            break;
        }
    }
    [before, beside]
}

/// Runs rounds of an attack on a server of its own, beside an honest client.
pub(crate) async fn under<F: Future<Output = ()>>(name: &str, attack: impl Fn(SocketAddr) -> F) {
    let mut server = Server::start();
    let addr = server.addr;
    tokio::task::spawn_blocking(move || furnish(addr)).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    // The honest client must end also when the attack panics: the test waits for it.
    let ending = Ending(Arc::clone(&stop));
    let (peace_ends, peace) = tokio::sync::oneshot::channel();
    let client = tokio::task::spawn_blocking(move || honest(addr, peace_ends, &stop));
    peace.await.unwrap();
    let before = server.peak();
    let (begun, mut rounds) = (Instant::now(), 0);
    loop {
        attack(addr).await;
        rounds += 1;
        if begun.elapsed() >= budget().unwrap_or_default() {
            break;
        }
    }
    drop(ending);
    let [mut peace, mut beside] = client.await.unwrap();
    let peak = server.peak();
    println!(
        "{name}: {rounds} rounds in {:.0} s; memory {before} MiB before, peak {peak} MiB; honest requests {}, p50 {:.1} ms \
         ({:.1} times that in peace), p99 {:.1} ms ({:.1} times)",
        begun.elapsed().as_secs_f64(),
        beside.acked.len(),
        beside.quantile(50),
        beside.quantile(50) / peace.quantile(50),
        beside.quantile(99),
        beside.quantile(99) / peace.quantile(99),
    );
    let failures = [peace.failures, beside.failures].concat();
    assert!(failures.is_empty(), "{name}: honest requests failed: {failures:?}");
    assert!(!beside.acked.is_empty(), "{name}");
    assert!(peak <= MOST_MIB, "{name}: {peak} MiB were held; at most {MOST_MIB} should be");
    assert!(server.child.try_wait().unwrap().is_none(), "{name}: the server has ended");
}

/// Does it so many times at once.
pub(crate) async fn at_once<F>(times: usize, attack: impl Fn(usize) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    (0..times).map(attack).collect::<JoinSet<_>>().join_all().await
}
