//! Attacks over HTTP/1, and the connections that all of them are made over.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::target::{at_once, many_connections, too_many_connections};

/// A connection from another address than the honest client's: nobody is held to account for others.
///
/// All of 127.0.0.0/8 is this machine. Where only 127.0.0.1 is, attacks come from there.
pub(crate) async fn connect(addr: SocketAddr) -> std::io::Result<TcpStream> {
    connect_as(0, addr).await
}

/// The same from one of some thousand addresses.
pub(crate) async fn connect_as(attacker: usize, addr: SocketAddr) -> std::io::Result<TcpStream> {
    let [.., third, fourth] = (attacker as u32 + 2).to_be_bytes();
    let socket = TcpSocket::new_v4()?;
    if socket.bind(SocketAddr::from(([127, 0, third, fourth], 0))).is_err() {
        return TcpStream::connect(addr).await;
    }
    socket.connect(addr).await
}

/// Writes, and reads what is answered until the server closes or is silent. Errors are the server's good right.
pub(crate) async fn raw(addr: SocketAddr, parts: impl IntoIterator<Item = Vec<u8>>) -> String {
    let Ok(mut stream) = connect(addr).await else { return String::new() };
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

/// Whether so much was not taken: too large, or too slow where others are before it. What is answered while one still
/// writes may be lost with the connection.
pub(crate) fn refused(answer: &str) -> bool {
    answer.is_empty() || ["HTTP/1.1 413", "HTTP/1.1 408"].iter().any(|status| answer.starts_with(status))
}

pub(crate) async fn oversize(addr: SocketAddr) {
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

pub(crate) async fn gzip_bomb(addr: SocketAddr) {
    let bomb = packed(&vec![b' '; 1 << 20], 256);
    let answers = at_once(20, |_| {
        let head = request(&format!("content-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len()));
        raw(addr, [head, bomb.clone()])
    });
    let answers = answers.await;
    assert!(answers.iter().all(|answer| refused(answer)), "{answers:?}");
}

/// Not a bomb, but events: as many as may be, as large as the limit of a body allows, from a few packed bytes.
pub(crate) async fn packed_events(addr: SocketAddr) {
    let filler = "y".repeat(1_500);
    let line = format!("{{\"context\":{{\"type\":\"{filler}\"}}}}\n");
    let body = packed(line.as_bytes(), 10_000);
    let answers = at_once(40, |_| {
        let head = request(&format!("content-encoding: gzip\r\ncontent-length: {}\r\n", body.len()));
        raw(addr, [head, body.clone()])
    });
    let answers = answers.await;
    let told = |answer: &String| {
        ["422", "429", "503", "408"].iter().any(|code| answer.starts_with(&format!("HTTP/1.1 {code}")))
    };
    assert!(answers.iter().all(told), "{answers:?}");
}

pub(crate) async fn header_flood(addr: SocketAddr) {
    let line = format!("x: {}\r\n", "y".repeat(1000)).into_bytes();
    let endless = std::iter::repeat_n(line, 10_000);
    let answer = raw(addr, std::iter::once(b"GET / HTTP/1.1\r\n".to_vec()).chain(endless)).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

/// More connections than are taken, from many addresses, each silent, and held as long as the server holds it.
///
/// Those that overflow the queue of the operating system are open on this side alone, and nobody will ever close them.
pub(crate) async fn idle_connections(addr: SocketAddr) {
    let patience = Duration::from_secs(15);
    at_once(too_many_connections(), |attacker| tokio::time::timeout(patience, silent(attacker, addr))).await;
}

async fn silent(attacker: usize, addr: SocketAddr) {
    if let Ok(mut stream) = connect_as(attacker % 100, addr).await {
        let _ = stream.read(&mut [0]).await;
    }
}

/// Nearly as many connections as are taken, each sending a byte now and then: of its headers, of its body.
pub(crate) async fn slow_connections(addr: SocketAddr) {
    at_once(many_connections(), |attacker| slow(attacker, addr)).await;
}

async fn slow(attacker: usize, addr: SocketAddr) {
    let Ok(mut stream) = connect_as(attacker % 100, addr).await else { return };
    let head =
        if attacker.is_multiple_of(2) { b"GET / HTTP".to_vec() } else { request("content-length: 1000\r\n") };
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
}

/// Many large bodies at the same time, each complete but for its last byte.
pub(crate) async fn unfinished_bodies(addr: SocketAddr) {
    let part = vec![b' '; 1 << 20];
    let answers = at_once(60, |_| {
        let body = std::iter::repeat_n(part.clone(), 15);
        raw(addr, std::iter::once(request("content-length: 16000000\r\n")).chain(body))
    });
    let answers = answers.await;
    let ended = |answer: &String| {
        answer.is_empty() || answer.starts_with("HTTP/1.1 408") || answer.starts_with("HTTP/1.1 503")
    };
    assert!(answers.iter().all(ended), "{answers:?}");
}

/// Asks for long answers, again and again, and reads none of them, until the server has enough of it.
pub(crate) async fn unread_answers(addr: SocketAddr) {
    let long = "/v1/metrics/market_share?from=2026-01-01&to=2026-02-18";
    at_once(40, |number| async move {
        let Ok(mut stream) = connect(addr).await else { return };
        let path = if number.is_multiple_of(2) { "/metrics" } else { long };
        let ask = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        for _ in 0..50 {
            let write = tokio::time::timeout(Duration::from_secs(1), stream.write_all(ask.as_bytes()));
            if !matches!(write.await, Ok(Ok(()))) {
                break;
            }
        }
        // Closed by the server in the end, which shows only to who tries to write.
        let end = async {
            while stream.write_all(b"\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(90), end).await;
    })
    .await;
}
