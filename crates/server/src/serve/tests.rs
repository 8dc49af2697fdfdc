use milepost_ingest::Sent;
use milepost_model::Door;
use milepost_wire::pb::ingest_service_client::IngestServiceClient;
use milepost_wire::{json, proto};
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::import::{Input, Summary, Target, import};
use crate::remote::Remote;

fn settings(directory: &tempfile::TempDir) -> Settings {
    Settings { listen: "127.0.0.1:0".into(), data: directory.path().into(), ..Settings::default() }
}

fn remote(url: &str) -> Remote {
    Remote::new(url, None, None).unwrap()
}

fn event(id: u32) -> String {
    format!(
        r#"{{"context":{{"specversion":"0.5.0","id":"{id}","source":"/t","timestamp":"2026-01-01T00:00:00Z",
        "type":"dev.cdeventsx.milepost-team.registered.0.1.0"}},"customData":{{"team":"team-{id}"}}}}"#
    )
    .replace('\n', " ")
}

async fn get(addr: SocketAddr, path: &'static str) -> (u16, String) {
    let call = move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.get(format!("http://{addr}{path}")).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    };
    tokio::task::spawn_blocking(call).await.unwrap()
}

#[tokio::test]
async fn http_and_grpc_share_a_port() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(settings(&directory)).await.unwrap();
    let addr = running.addr;
    assert_eq!(get(addr, "/healthz").await, (200, "ok\n".into()));
    assert_eq!(get(addr, "/readyz").await, (200, "ready\n".into()));
    assert_eq!(get(addr, "/nowhere").await.0, 404);
    let (status, body) = get(addr, "/v1/events").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["error"]["field"]), (405, &"method".into()), "{body}");
    let mut client = IngestServiceClient::connect(format!("http://{addr}")).await.unwrap();
    let events = vec![proto::encode(&json::decode(event(1).as_bytes()).unwrap())];
    assert_eq!(client.publish(pb::PublishRequest { events }).await.unwrap().into_inner().results.len(), 1);
    assert_eq!(running.part.engine.model.read().events(), 1);
    running.part.health.fail("the disk is on fire");
    assert_eq!(get(addr, "/readyz").await, (503, "not ready: the disk is on fire\n".into()));
    running.shutdown().await;
}

#[tokio::test]
async fn an_import_here_and_one_over_http_give_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(settings(&directory)).await.unwrap();
    let text: String = (0..5_000).map(|id| event(id % 4_500) + "\n").chain(["{\n".into()]).collect();
    let input = || vec![Input { name: "f".into(), bytes: Box::new(io::Cursor::new(text.clone())) }];
    let mut refused = Vec::new();
    let there = Target::There(remote(&format!("http://{}/", running.addr)));
    let first =
        import(input(), &there, |_, lines| refused.extend(lines.iter().map(|line| line.place.clone())));
    let expected = Summary { read: 5_001, stored: 4_500, duplicate: 500, refused: 1 };
    assert_eq!(first.await.unwrap(), expected);
    assert_eq!(refused, ["f:5001"]);

    let again = import(input(), &Target::Here(Arc::clone(&running.part.intake)), |_, _| ()).await.unwrap();
    assert_eq!(again, Summary { read: 5_001, stored: 0, duplicate: 5_000, refused: 1 });
    assert_eq!(running.part.health.events.read(Door::Import).received(), 5_001);
    running.shutdown().await;
}

/// A server that takes less at a time than an import sends.
#[tokio::test]
async fn an_import_sends_less_at_a_time_to_who_takes_less() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.limits.batch_events = 7;
    let running = start(settings).await.unwrap();
    let text: String = (0..100).map(|id| event(id) + "\n").collect();
    let input = Input { name: "f".into(), bytes: Box::new(io::Cursor::new(text)) };
    let summary = import(vec![input], &Target::There(remote(&format!("http://{}", running.addr))), |_, _| ())
        .await
        .unwrap();
    assert_eq!(summary, Summary { read: 100, stored: 100, duplicate: 0, refused: 0 });
    running.shutdown().await;
}

#[tokio::test]
async fn what_was_acked_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(settings(&directory)).await.unwrap();
    let text = event(1);
    let prepared = running.part.intake.prepare(Door::Http, [Sent::Json(text.as_bytes())]);
    running.part.intake.submit(prepared).await.unwrap();
    running.shutdown().await;

    let running = start(settings(&directory)).await.unwrap();
    assert_eq!(running.part.engine.model.read().events(), 1);
    running.shutdown().await;
}

/// Nobody has to wait for the deadline because somebody keeps a stream open.
#[tokio::test]
async fn open_streams_do_not_hold_up_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.limits.shutdown = milepost_model::Span::days(1);
    let running = start(settings).await.unwrap();
    let url = format!("http://{}", running.addr);
    let mut client = IngestServiceClient::connect(url.clone()).await.unwrap();
    let (_sender, batches) = tokio::sync::mpsc::channel(1);
    let mut answers = client.publish_stream(ReceiverStream::new(batches)).await.unwrap().into_inner();
    let mut metrics = pb::metrics_service_client::MetricsServiceClient::connect(url).await.unwrap();
    let selectors = vec![pb::Selector { metric: "market_share".into(), ..Default::default() }];
    let mut watched = metrics.watch(pb::WatchRequest { selectors }).await.unwrap().into_inner();
    watched.message().await.unwrap();
    running.shutdown().await;
    assert_eq!(answers.message().await.unwrap_err().code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn what_is_in_the_way_of_serving_is_said_in_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(settings(&directory)).await.unwrap();
    let locked = start(settings(&directory)).await.err().unwrap().to_string();
    assert!(locked.contains("--server"), "{locked}");

    let other = tempfile::tempdir().unwrap();
    let taken = Settings { listen: running.addr.to_string(), ..settings(&other) };
    let taken = start(taken).await.err().unwrap().to_string();
    assert!(taken.starts_with(&format!("cannot listen at {}: ", running.addr)), "{taken}");
    let nonsense = start(Settings { listen: "nonsense".into(), ..settings(&other) }).await.err().unwrap();
    assert!(nonsense.to_string().starts_with("cannot listen at nonsense: "), "{nonsense}");
    running.shutdown().await;
}

#[tokio::test]
async fn reflection_and_health_know_every_service() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus as Status;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let directory = tempfile::tempdir().unwrap();
    let running = start(settings(&directory)).await.unwrap();
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", running.addr)).unwrap();
    let channel = channel.connect().await.unwrap();
    let list = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut reflection = ServerReflectionClient::new(channel.clone());
    let mut answers =
        reflection.server_reflection_info(tokio_stream::iter([list])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(listed) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = listed.service.into_iter().map(|service| service.name).collect();

    let mut health = HealthClient::new(channel);
    let mut serving = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        health.check(request).await.unwrap().into_inner().status() == Status::Serving
    };
    for service in [ALL].iter().chain(Whole::SERVICES) {
        assert!(service.is_empty() || names.iter().any(|name| name == *service), "{service}: {names:?}");
        assert!(serving(service).await, "{service}");
    }
    running.part.health.fail("out of luck");
    while serving("").await {
        tokio::task::yield_now().await;
    }
    running.shutdown().await;
}

#[cfg(target_os = "linux")]
mod bounded;
mod guarded;
