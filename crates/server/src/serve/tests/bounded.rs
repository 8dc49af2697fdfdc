//! What peers can make the server hold, and what becomes of those who try.

use std::net::Ipv4Addr;

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use h2::client::SendRequest;
use milepost_model::Span;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::*;

/// One that this machine has, and that is not this machine's own name for itself.
const ANOTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

async fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Sends a request over HTTP/1 and gives the beginning of what comes back; nothing if the connection is closed.
async fn ask(stream: &mut TcpStream) -> String {
    // The server may have closed it already.
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut answer = [0; 1024];
    let read = stream.read(&mut answer).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// A client whose windows let through nothing that is not read. It ends with its connection.
async fn client(from: Ipv4Addr, to: SocketAddr) -> (SendRequest<Bytes>, JoinHandle<()>) {
    let mut builder = h2::client::Builder::new();
    let (client, connection) =
        builder.initial_window_size(0).handshake(connect(from, to).await).await.unwrap();
    // However it ends.
    let ended = tokio::spawn(async move { drop(connection.await) });
    (client, ended)
}

fn stream_request() -> Request<()> {
    Request::post("http://x/milepost.v1.IngestService/PublishStream")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap()
}

fn scrape() -> Request<()> {
    Request::get("http://x/metrics").body(()).unwrap()
}

#[tokio::test]
async fn an_answer_that_nobody_reads_ends_its_connection() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.limits.request = Span::from_seconds(1);
    let running = start(settings).await.unwrap();
    let (mut client, ended) = client(Ipv4Addr::LOCALHOST, running.addr).await;
    let (response, _) = client.send_request(scrape(), true).unwrap();
    // Who lets go of it resets its stream.
    let unread = response.await.unwrap();
    assert_eq!(unread.status(), StatusCode::OK);
    ended.await.unwrap();
    running.shutdown().await;
}

#[tokio::test]
async fn a_batch_that_is_never_finished_ends_its_connection() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.limits.request = Span::from_seconds(1);
    let running = start(settings).await.unwrap();
    let (mut client, ended) = client(Ipv4Addr::LOCALHOST, running.addr).await;
    let (response, mut sender) = client.send_request(stream_request(), false).unwrap();
    // A message of a thousand bytes begins with five that say so.
    let begun = [&[0][..], &1_000_u32.to_be_bytes(), b"not all"].concat();
    sender.send_data(begun.into(), false).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
    ended.await.unwrap();
    running.shutdown().await;
}

/// The limits hold for what is late, not for what lasts.
#[tokio::test]
async fn a_stream_lasts_longer_than_each_of_its_batches_may() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.limits.request = Span::from_seconds(1);
    let running = start(settings).await.unwrap();
    let mut client = IngestServiceClient::connect(format!("http://{}", running.addr)).await.unwrap();
    let (sender, batches) = tokio::sync::mpsc::channel(1);
    let mut answers = client.publish_stream(ReceiverStream::new(batches)).await.unwrap().into_inner();
    let begun = std::time::Instant::now();
    let mut sequence = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        sequence += 1;
        let events = vec![proto::encode(&json::decode(event(sequence as u32).as_bytes()).unwrap())];
        sender.send(pb::PublishStreamRequest { sequence, events }).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().sequence, sequence);
    }
    running.shutdown().await;
}

#[tokio::test]
async fn answers_that_are_not_read_leave_no_room_for_more_and_give_it_back() {
    const LONG: &str = "/v1/metrics/market_share?from=2026-01-02&to=2026-10-01";
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.limits.answers_bytes = 1024 * 1024;
    let running = start(settings).await.unwrap();
    let text =
        event(1).replace("team.registered", "capability.registered").replace("\"team\"", "\"capability\"");
    let prepared = running.part.intake.prepare(Door::Http, [Sent::Json(text.as_bytes())]);
    running.part.intake.submit(prepared).await.unwrap();

    let (mut client, _ended) = client(Ipv4Addr::LOCALHOST, running.addr).await;
    let long = || Request::get(format!("http://x{LONG}")).body(()).unwrap();
    let mut unread = Vec::new();
    let refused = loop {
        let (response, _) = client.send_request(long(), true).unwrap();
        let response = response.await.unwrap();
        if response.status() != StatusCode::OK {
            break response;
        }
        unread.push(response);
        assert!(unread.len() < 64, "each is longer than 16 KiB");
    };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    // What is reset is not sent any more.
    drop((unread, refused));
    while get(running.addr, LONG).await.0 != 200 {}
    running.shutdown().await;
}

#[tokio::test]
async fn one_address_has_its_share_of_connections_and_this_machine_all() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.limits.connections_per_peer = 2;
    let running = start(settings).await.unwrap();
    let mut held = [connect(ANOTHER, running.addr).await, connect(ANOTHER, running.addr).await];
    for stream in &mut held {
        assert!(ask(stream).await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(ask(&mut connect(ANOTHER, running.addr).await).await, "");
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(connect(Ipv4Addr::LOCALHOST, running.addr).await);
        assert!(ask(own.last_mut().unwrap()).await.starts_with("HTTP/1.1 200"));
    }
    drop(held);
    while !ask(&mut connect(ANOTHER, running.addr).await).await.starts_with("HTTP/1.1 200") {}
    running.shutdown().await;
}

#[tokio::test]
async fn one_address_has_its_share_of_requests_and_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.limits.requests_per_peer = 1;
    let running = start(settings).await.unwrap();
    let (mut client, _ended) = client(ANOTHER, running.addr).await;
    let (response, mut sender) = client.send_request(stream_request(), false).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);

    let mut other = connect(ANOTHER, running.addr).await;
    let refused = ask(&mut other).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"), "{refused}");
    let (response, _) = client.send_request(stream_request(), true).unwrap();
    assert_eq!(response.await.unwrap().headers()["grpc-status"], "8", "RESOURCE_EXHAUSTED");
    assert!(ask(&mut connect(Ipv4Addr::LOCALHOST, running.addr).await).await.starts_with("HTTP/1.1 200"));

    sender.send_reset(h2::Reason::CANCEL);
    while !ask(&mut other).await.starts_with("HTTP/1.1 200") {}
    running.shutdown().await;
}

#[tokio::test]
async fn the_connection_that_is_silent_for_longest_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.limits.connections = 2;
    let running = start(settings).await.unwrap();
    let mut first = connect(Ipv4Addr::LOCALHOST, running.addr).await;
    let mut second = connect(Ipv4Addr::LOCALHOST, running.addr).await;
    assert!(ask(&mut second).await.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
    // The first asked last: the second has to go.
    let mut third = connect(Ipv4Addr::LOCALHOST, running.addr).await;
    assert!(ask(&mut third).await.starts_with("HTTP/1.1 200"));
    assert_eq!(ask(&mut second).await, "");
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
    running.shutdown().await;
}
