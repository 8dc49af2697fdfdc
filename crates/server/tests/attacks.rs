//! Attacks on a real server by raw clients: it must live, hold little memory, and serve an honest client all the while.
//!
//! Each attack runs one round, or as many as fit into `MILEPOST_ATTACK_SECONDS`.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::future::Future;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What the server may hold at most during any attack, in MiB.
const MOST_MIB: u64 = 512;

/// Connections it takes.
const CONNECTIONS: usize = 300;

const CONFIG: &str =
    "[limits]\nconnections = 300\nconnection_start = \"1s\"\nconnection_idle = \"2s\"\nrequest = \"3s\"\n";

struct Server {
    child: Child,
    addr: SocketAddr,
    _directory: TempDir,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("milepost.toml");
        std::fs::write(&config, CONFIG).unwrap();
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
        std::thread::spawn(move || lines.for_each(drop));
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

fn event(id: u64) -> String {
    format!(
        r#"{{"context":{{"specversion":"0.5.0","id":"{id}","source":"/t","timestamp":"2026-01-01T00:00:00Z","type":"dev.cdeventsx.milepost-team.registered.0.1.0"}},"customData":{{"team":"t"}}}}"#
    )
}

/// Sends one event, as a client that comes anew.
fn send(addr: SocketAddr, id: u64) -> Result<u16, ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let url = format!("http://{addr}/v1/events");
    agent.post(url).header("content-type", "application/json").send(event(id)).map(|r| r.status().as_u16())
}

/// Sends one event after the other until told to stop. How many were taken, and what came instead of an ack.
fn honest(addr: SocketAddr, stop: &AtomicBool, ids: &AtomicU64) -> (u64, Vec<String>) {
    let (mut taken, mut failures) = (0, Vec::new());
    loop {
        match send(addr, ids.fetch_add(1, Relaxed)) {
            Ok(200) => taken += 1,
            other => failures.push(format!("{other:?}")),
        }
        if stop.load(Relaxed) {
            return (taken, failures);
        }
    }
}

struct Ending(Arc<AtomicBool>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Runs rounds of an attack beside an honest client.
async fn under<F: Future<Output = ()>>(
    server: &Server,
    ids: &Arc<AtomicU64>,
    name: &str,
    attack: impl Fn(SocketAddr) -> F,
) {
    let budget = std::env::var("MILEPOST_ATTACK_SECONDS").ok().and_then(|text| text.parse().ok());
    let budget = Duration::from_secs(budget.unwrap_or(0));
    let addr = server.addr;
    server.peak();
    let stop = Arc::new(AtomicBool::new(false));
    let client = {
        let (stop, ids) = (Arc::clone(&stop), Arc::clone(ids));
        tokio::task::spawn_blocking(move || honest(addr, &stop, &ids))
    };
    // The honest client must end also when the attack panics: the test waits for it.
    let ending = Ending(Arc::clone(&stop));
    let (begun, mut rounds) = (Instant::now(), 0);
    loop {
        attack(addr).await;
        rounds += 1;
        if begun.elapsed() >= budget {
            break;
        }
    }
    drop(ending);
    let (taken, failures) = client.await.unwrap();
    let peak = server.peak();
    println!("{name}: {rounds} rounds, {taken} honest requests answered, peak {peak} MiB");
    assert!(failures.is_empty(), "{name}: honest requests failed: {failures:?}");
    assert!(taken > 0, "{name}");
    assert!(peak <= MOST_MIB, "{name}: {peak} MiB were held; at most {MOST_MIB} should be");
}

/// Writes, and reads what is answered until the server closes or is silent. Errors are the server's good right.
async fn raw(addr: SocketAddr, parts: impl IntoIterator<Item = Vec<u8>>) -> String {
    let Ok(mut stream) = TcpStream::connect(addr).await else { return String::new() };
    let (mut reader, mut writer) = stream.split();
    let mut answer = vec![0; 4096];
    let writing = async {
        for part in parts {
            if writer.write_all(&part).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    let read = tokio::select! {
        () = writing => 0,
        read = reader.read(&mut answer) => read.unwrap_or(0),
    };
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

fn request(headers: &str) -> Vec<u8> {
    format!("POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n{headers}\r\n")
        .into_bytes()
}

async fn oversize(addr: SocketAddr) {
    // What is answered while one still writes may be lost with the connection.
    let refused = |answer: &str| answer.is_empty() || answer.starts_with("HTTP/1.1 413");
    let chunk = vec![b' '; 1 << 20];
    let body = std::iter::repeat_n(chunk.clone(), 40);
    let head = request("content-length: 1073741824\r\n");
    let answer = raw(addr, std::iter::once(head).chain(body)).await;
    assert!(refused(&answer), "{answer}");
    let framed = [format!("{:x}\r\n", chunk.len()).into_bytes(), chunk, b"\r\n".to_vec()].concat();
    let body = std::iter::repeat_n(framed, 40);
    let head = request("transfer-encoding: chunked\r\n");
    let answer = raw(addr, std::iter::once(head).chain(body)).await;
    assert!(refused(&answer), "{answer}");
}

fn packed(chunk: &[u8], times: usize) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    (0..times).for_each(|_| packer.write_all(chunk).unwrap());
    packer.finish().unwrap()
}

async fn gzip_bomb(addr: SocketAddr) {
    let bomb = packed(&vec![b' '; 1 << 20], 256);
    let mut all = JoinSet::new();
    for _ in 0..20 {
        let head = request(&format!("content-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len()));
        all.spawn(raw(addr, [head, bomb.clone()]));
    }
    assert!(all.join_all().await.iter().all(|answer| answer.starts_with("HTTP/1.1 413")));
}

async fn tiny_events(addr: SocketAddr) {
    let lines = b"{}\n".repeat((16 << 20) / 3);
    let array = [b"[".to_vec(), b"0,".repeat((16 << 20) / 2 - 1), b"0]".to_vec()].concat();
    for (body, content_type) in [(lines, "application/x-ndjson"), (array, "application/json")] {
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let answer = raw(addr, [head.into_bytes(), body]).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
    let message = b"\x0a\x00".repeat((16 << 20) / 2);
    let frame = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat();
    assert_eq!(grpc(addr, frame.into()).await, "3", "INVALID_ARGUMENT");
}

/// The status of `Publish` with these bytes.
async fn grpc(addr: SocketAddr, mut body: Bytes) -> String {
    let (client, connection) = h2::client::handshake(TcpStream::connect(addr).await.unwrap()).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = http_request("/milepost.v1.IngestService/Publish");
    let (response, mut sender) = client.ready().await.unwrap().send_request(request, false).unwrap();
    while !body.is_empty() {
        sender.reserve_capacity(body.len());
        let room = std::future::poll_fn(|context| sender.poll_capacity(context)).await.unwrap().unwrap();
        let part = body.split_to(room.min(body.len()));
        sender.send_data(part, body.is_empty()).unwrap();
    }
    let mut response = response.await.unwrap();
    let told = |headers: &axum::http::HeaderMap| {
        headers.get("grpc-status").map(|status| status.to_str().unwrap().to_owned())
    };
    let status = match told(response.headers()) {
        Some(status) => Some(status),
        None => response.body_mut().trailers().await.unwrap().as_ref().and_then(told),
    };
    driver.abort();
    status.unwrap_or_default()
}

fn http_request(path: &str) -> axum::http::Request<()> {
    axum::http::Request::post(format!("http://x{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

async fn header_flood(addr: SocketAddr) {
    let line = format!("x: {}\r\n", "y".repeat(1000)).into_bytes();
    let endless = std::iter::repeat_n(line, 10_000);
    let answer = raw(addr, std::iter::once(b"GET / HTTP/1.1\r\n".to_vec()).chain(endless)).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Headers that never end: a HEADERS frame and CONTINUATION frames behind it.
async fn continuation_flood(addr: SocketAddr) {
    // A literal header that is not indexed, of one letter and 100 bytes; 150 of them fit into a frame.
    let header = [&[0, 1, b'x', 100][..], &[b'y'; 100]].concat().repeat(150);
    let begin = [PREFACE.to_vec(), frame(4, 0, 0, &[]), frame(1, 0, 1, &header)].concat();
    let endless = std::iter::repeat_n(frame(9, 0, 1, &header), 2_000);
    flood(addr, std::iter::once(begin).chain(endless)).await;
}

async fn ping_flood(addr: SocketAddr) {
    let begin = [PREFACE.to_vec(), frame(4, 0, 0, &[])].concat();
    let endless = std::iter::repeat_n(frame(6, 0, 0, &[0; 8]).repeat(1_000), 200);
    flood(addr, std::iter::once(begin).chain(endless)).await;
}

/// Writes without ever reading, until the server has enough of it or takes nothing any more.
async fn flood(addr: SocketAddr, parts: impl IntoIterator<Item = Vec<u8>>) {
    let Ok(mut stream) = TcpStream::connect(addr).await else { return };
    for part in parts {
        let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&part)).await else {
            return;
        };
    }
}

/// Opens streams and resets them at once, on a few connections, until each is closed.
async fn rapid_reset(addr: SocketAddr) {
    let mut all = JoinSet::new();
    for _ in 0..4 {
        all.spawn(async move {
            let stream = TcpStream::connect(addr).await.unwrap();
            let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
            let driver = tokio::spawn(connection);
            for _ in 0..20_000 {
                let Ok(ready) = client.ready().await else { break };
                client = ready;
                let request = http_request("/milepost.v1.IngestService/Publish");
                let Ok((_, mut sender)) = client.send_request(request, false) else { break };
                sender.send_reset(h2::Reason::CANCEL);
            }
            driver.abort();
        });
    }
    all.join_all().await;
}

/// More connections than are taken, each silent, and held as long as the server holds it.
///
/// Those that overflow the queue of the operating system are open on this side alone, and nobody will ever close them.
async fn idle_connections(addr: SocketAddr) {
    let mut all = JoinSet::new();
    for _ in 0..2 * CONNECTIONS {
        all.spawn(tokio::time::timeout(Duration::from_secs(5), raw(addr, [])));
    }
    all.join_all().await;
}

/// As many connections as are taken but a few, each sending a byte now and then: of its headers, of its body.
async fn slow_connections(addr: SocketAddr) {
    let mut all = JoinSet::new();
    for number in 0..CONNECTIONS - 20 {
        all.spawn(async move {
            let Ok(mut stream) = TcpStream::connect(addr).await else { return };
            let head =
                if number % 2 == 0 { b"GET / HTTP".to_vec() } else { request("content-length: 1000\r\n") };
            if stream.write_all(&head).await.is_err() {
                return;
            }
            let mut drip = tokio::time::interval(Duration::from_millis(200));
            let (mut reader, mut writer) = stream.split();
            let mut answer = [0; 1];
            loop {
                tokio::select! {
                    _ = drip.tick() => if writer.write_all(b"x").await.is_err() { return },
                    _ = reader.read(&mut answer) => return,
                }
            }
        });
    }
    all.join_all().await;
}

/// Many large bodies at the same time, each complete but for its last byte.
async fn unfinished_bodies(addr: SocketAddr) {
    let mut all = JoinSet::new();
    let part = vec![b' '; 1 << 20];
    for _ in 0..60 {
        let body = std::iter::repeat_n(part.clone(), 15);
        let head = request("content-length: 16000000\r\n");
        all.spawn(raw(addr, std::iter::once(head).chain(body)));
    }
    let answers = all.join_all().await;
    let ended = |answer: &String| answer.is_empty() || answer.starts_with("HTTP/1.1 408");
    assert!(answers.iter().all(ended), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_client_is_served_under_attack() {
    let server = Server::start();
    let ids = Arc::new(AtomicU64::new(0));
    under(&server, &ids, "oversize", oversize).await;
    under(&server, &ids, "gzip bomb", gzip_bomb).await;
    under(&server, &ids, "tiny events", tiny_events).await;
    under(&server, &ids, "header flood", header_flood).await;
    under(&server, &ids, "CONTINUATION flood", continuation_flood).await;
    under(&server, &ids, "PING flood", ping_flood).await;
    under(&server, &ids, "rapid reset", rapid_reset).await;
    under(&server, &ids, "idle connections", idle_connections).await;
    under(&server, &ids, "slow connections", slow_connections).await;
    under(&server, &ids, "unfinished bodies", unfinished_bodies).await;
}
