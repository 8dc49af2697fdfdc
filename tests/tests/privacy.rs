//! What must never leave an event: addresses are not fetched, and persons and tokens are found nowhere. Rows F39 and F40 of
//! docs/faults.md.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use milepost_tests::delivery::protobuf;
use milepost_tests::events::{self, MILEPOST, ago, answered, event};
use milepost_tests::grpc::Grpc;
use milepost_tests::served::percent_encoded;
use milepost_tests::{Installation, Served, binary, state};
use milepost_wire::pb;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const CLOUDEVENT: &str = "application/cloudevents+json";
const CLOUDEVENTS: &str = "application/cloudevents-batch+json";

fn shown(answer: &impl std::fmt::Debug) -> String {
    format!("{answer:?}")
}

/// The forms in which an event comes over HTTP, with the media type of each.
fn forms(event: &Value) -> Vec<(&'static str, String)> {
    let text = event.to_string();
    let context = &event["context"];
    let envelope = |data: &Value| {
        json!({
            "specversion": "1.0", "id": context["id"], "source": context["source"], "type": context["type"],
            "time": context["timestamp"], "dataschema": context["schemaUri"], "subject": event["subject"]["id"],
            "datacontenttype": JSON, "data": data,
        })
    };
    vec![
        (JSON, text.clone()),
        (JSON, json!([event]).to_string()),
        (NDJSON, text.clone()),
        (CLOUDEVENT, envelope(event).to_string()),
        (CLOUDEVENT, envelope(&Value::String(text)).to_string()),
        (CLOUDEVENTS, json!([envelope(event)]).to_string()),
    ]
}

/// Sends an event through every door, whatever becomes of it, and gives all that is answered.
fn through_every_door(installation: &Installation, served: &Served, event: &Value) -> String {
    let mut told = String::new();
    for (media_type, body) in forms(event) {
        told += &served.post(media_type, &body).body;
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(body.as_bytes()).expect("it is in memory");
        let headers = [("content-type", media_type), ("content-encoding", "gzip")];
        told += &served.post_with(&headers, packed.finish().expect("it is in memory")).body;
        // What ends in the middle, and what says it is packed and is not.
        told += &served.post(media_type, &body[..body.len() - 3]).body;
        told += &served.post_with(&headers, &body).body;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let context = ["id", "source", "type", "schemaUri"].map(|name| text(&event["context"][name]));
    let names = ["ce-id", "ce-source", "ce-type", "ce-dataschema"];
    let mut headers = vec![("content-type", JSON), ("ce-specversion", "1.0")];
    headers.extend(
        names.into_iter().zip(context.iter().map(String::as_str)).filter(|(_, value)| !value.is_empty()),
    );
    told += &served.post_with(&headers, event.to_string()).body;

    let lines = events::lines(std::slice::from_ref(event));
    if milepost_wire::json::decode(lines[0].as_bytes()).is_ok() {
        let grpc = Grpc::connect(served);
        let mut unknown = protobuf(&lines);
        unknown[0].occurred_at = None;
        for events in [protobuf(&lines), unknown] {
            told += &shown(&grpc.publish(events.clone()));
            told += &shown(&grpc.publish_stream(vec![events]));
        }
    }
    let file = installation.data().with_file_name("to-import.ndjson");
    std::fs::write(&file, format!("{}\n{}", lines[0], &lines[0][..lines[0].len() - 3]))
        .expect("it can be written");
    let file = file.to_str().expect("temporary paths are UTF-8");
    let imported = served.run(&["import"], &["--format", "json", file]);
    std::fs::remove_file(file).expect("it is there");
    told + &imported.stdout + &imported.stderr
}

/// **F39.** No address that an event names is ever fetched: whatever field a URL is in, whatever door the event comes through,
/// taken or refused, nobody connects to it.
#[test]
fn f39_no_address_of_an_event_is_fetched() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it has one");
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Relaxed);
        }
    });

    let installation = Installation::new("");
    let mut served = installation.serve();
    let url = |what: &str| format!("http://{address}/{what}");
    let now = events::now();
    let mut good = events::used("fetched", ago(now, 1, 0), "a");
    good["context"]["source"] = url("source").into();
    good["context"]["schemaUri"] = url("schema").into();
    good["context"]["links"] = json!([{"linkType": "RELATION", "target": {"href": url("link")}}]);
    good["subject"]["source"] = url("subject").into();
    good["subject"]["content"]["uri"] = url("uri").into();
    good["customData"]["team"] = url("team").into();
    good["customData"]["actor"] = url("actor").into();
    let mut refused = good.clone();
    refused["context"]["id"] = url("id").into();
    refused["context"]["timestamp"] = "yesterday".into();
    let mut unknown = good.clone();
    unknown["context"]["type"] = url("type").into();
    let told: String =
        [&good, &refused, &unknown].map(|event| through_every_door(&installation, &served, event)).concat();
    assert!(told.contains("\"stored\":1") && told.contains("\"reason\":\"unknown_type\""), "{told}");
    // Whoever asks may name an address, too.
    for name in state::metrics(&served) {
        served.get(&format!("/v1/metrics/{name}?team={0}&capability={0}", percent_encoded(&url("asked"))));
    }
    served.terminate();
    assert!(served.wait().success());
    drop(installation.serve());
    assert_eq!(connections.load(Relaxed), 0, "somebody fetched an address of an event");
    // It would have been noticed.
    drop(std::net::TcpStream::connect(address).expect("it listens"));
    milepost_tests::eventually("a connection is counted", || (connections.load(Relaxed) == 1).then_some(()));
}

const CANARIES: [&str; 3] = ["canary.person-7f3a@example.org", "Canary Person 7f3a", "canary-login-7f3a"];
/// All that is looked for: in any case, in whatever it stands.
const TRACES: [&str; 3] = ["person-7f3a", "person 7f3a", "login-7f3a"];

fn found(bytes: &[u8]) -> Option<&'static str> {
    let lower = bytes.to_ascii_lowercase();
    TRACES.into_iter().find(|canary| lower.windows(canary.len()).any(|window| window == canary.as_bytes()))
}

#[track_caller]
fn found_nowhere(what: &str, text: &str) {
    if let Some(canary) = found(text.as_bytes()) {
        let lower = text.to_ascii_lowercase();
        let at = lower.find(canary).unwrap_or_default();
        let around = lower.get(at.saturating_sub(300)..lower.len().min(at + 100)).unwrap_or_default();
        panic!("{what} names a person: {around}");
    }
}

fn found_in_no_file(directory: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(directory).expect("it is a directory") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            files += found_in_no_file(&path);
        } else {
            let bytes = std::fs::read(&path).expect("it can be read");
            assert_eq!(found(&bytes), None, "{}", path.display());
            files += 1;
        }
    }
    files
}

/// Events that name a person wherever a person may be named: good ones, and each wrong in another way.
fn about_a_person(person: &str) -> Vec<Value> {
    let now = events::now();
    let at = ago(now, 1, 0);
    let id = |what: &str| format!("{what}-{}", person.len());
    let deployed = |id: String, author: Value| {
        let data =
            json!({"actor": person, "capability": "portal", "changes": [{"id": "c", "author": author}]});
        event(
            "dev.cdevents.service.deployed",
            &id,
            at,
            "shop",
            json!({"environment": {"id": "production"}}),
            data,
        )
    };
    let interaction = |id: String, content: Value| {
        let data = json!({"team": "a", "actor": person});
        event(&format!("{MILEPOST}interaction.finished"), &id, at, "portal", content, data)
    };
    let started = |id: String| {
        event(&format!("{MILEPOST}onboarding.started"), &id, at, "shop", json!({}), json!({"actor": person}))
    };
    let mut encoded = interaction(id("encoded"), json!({}));
    encoded["customData"] = json!({"team": "a", "actor": person}).to_string().into();
    let mut unknown = interaction(id("unknown"), json!({"assignees": [person], "creator": person}));
    unknown["context"]["type"] = "dev.cdevents.ticket.created.0.2.0".into();
    let mut late = started(id("late"));
    late["context"]["timestamp"] = "yesterday".into();
    vec![
        deployed(id("deployed"), json!(person)),
        interaction(id("finished"), json!({"outcome": "success"})),
        started(id("started")),
        answered(&id("answered"), at, person, 9),
        deployed(id("wrong-author"), json!({"email": person})),
        interaction(id("no-outcome"), json!({"outcome": "perhaps"})),
        answered(&id("eleven"), at, person, 11),
        answered(&id("long"), at, &person.repeat(40), 9),
        encoded,
        unknown,
        late,
    ]
}

fn asked(metric: String) -> pb::QueryRequest {
    let selector = pb::Selector { metric, ..pb::Selector::default() };
    pb::QueryRequest { selector: Some(selector), ..pb::QueryRequest::default() }
}

/// Everything that can be asked.
fn everything(served: &Served, grpc: &Grpc) -> String {
    let mut told = served.metrics();
    for name in state::metrics(served) {
        for question in ["", "/explain"] {
            told += &served.get(&format!("/v1/metrics/{name}{question}?as_of=now")).body;
            told += &served.get(&format!("/v1/metrics/{name}{question}?as_of=now&by=team")).body;
            told += &served.get(&format!("/v1/metrics/{name}{question}")).body;
        }
        told += &shown(&grpc.query(asked(name)));
    }
    told
}

/// **F40.** Persons, through every door and every kind of bad input: nothing of them is found in any file of the data directory, a
/// backup, the log at its most talkative, what is answered, explained, exported or listed.
#[test]
fn f40_persons_are_found_nowhere() {
    let installation = Installation::new("min_group = 1\n");
    let mut command = binary::command();
    command.env("MILEPOST_LOG", "trace").env("FAILPOINTS", "identity.tail=8");
    let mut served = installation.serve_by(command).unwrap_or_else(|ended| panic!("{ended:?}"));
    let mut told = String::new();
    for person in CANARIES {
        for event in about_a_person(person) {
            assert!(found(event.to_string().as_bytes()).is_some(), "what is looked for is in there: {event}");
            told += &through_every_door(&installation, &served, &event);
        }
        told += &served.post(JSON, format!("{{\"actor\": \"{person}\"")).body;
        told += &served
            .post(
                NDJSON,
                format!("{{\"actor\": \"{person}\"\n{{\"customData\": \"{person}\"}}\n\"{person}\""),
            )
            .body;
        told += &served.post("text/plain", person).body;
    }
    assert!(
        told.contains("\"stored\":1") && told.contains("out_of_range"),
        "some were taken and some refused"
    );
    found_nowhere("an answer to a sender", &told);
    found_nowhere("an answer", &everything(&served, &Grpc::connect(&served)));

    let data = installation.data();
    let backup = data.with_file_name("backup");
    let paths = [&data, &backup].map(|path| path.to_str().expect("temporary paths are UTF-8"));
    let backed_up = binary::milepost(["backup", "--data", paths[0], "--to", paths[1]]);
    assert_eq!(backed_up.code, 0, "{backed_up:?}");
    let listed =
        binary::milepost(["quarantine", "list", "--data", paths[0], "--format", "json", "--limit", "9999"]);
    assert!(listed.stdout.lines().count() > 20, "{listed:?}");
    found_nowhere("the quarantine", &listed.stdout);
    let doctor = binary::milepost(["doctor", "--data", paths[0]]);
    found_nowhere("the doctor", &(doctor.stdout + &doctor.stderr));
    // With everything still in the WAL, and after the end.
    assert!(found_in_no_file(data.parent().expect("it is in one")) >= 5);
    served.terminate();
    assert!(served.wait().success());
    assert!(served.log().contains("TRACE") || served.log().contains("DEBUG"), "it says what it can");
    found_nowhere("the log", &served.log());
    assert!(found_in_no_file(data.parent().expect("it is in one")) >= 5);

    // Straight into a directory, by a process of its own.
    let lines: Vec<Value> = CANARIES.into_iter().flat_map(about_a_person).collect();
    let other = Installation::new("");
    let file = tempfile::NamedTempFile::new().expect("there is room");
    std::fs::write(file.path(), events::lines(&lines).join("\n")).expect("there is room");
    let imported = other.run(&["import"], &["--format", "json", file.path().to_str().expect("it is UTF-8")]);
    found_nowhere("import", &(imported.stdout + &imported.stderr));
    assert!(found_in_no_file(other.data().parent().expect("it is in one")) >= 3);
}

/// **F40**, of tokens: neither a good one nor a wrong one is kept, logged or answered.
#[test]
fn f40_tokens_are_found_nowhere() {
    let installation = Installation::new("[auth]\nrequired = true\n");
    let data = installation.data();
    let data = data.to_str().expect("temporary paths are UTF-8");
    let made = binary::milepost(["token", "create", "--data", data, "--name", "ci", "--scope", "write"])
        .expect_success();
    let token =
        made.split_whitespace().find(|word| word.starts_with("mp_")).expect("it is printed").to_owned();
    let wrong = format!("mp_{}", "c0ffee12".repeat(8));
    let mut command = binary::command();
    command.env("MILEPOST_LOG", "trace");
    let mut served = installation.serve_by(command).unwrap_or_else(|ended| panic!("{ended:?}"));
    let event = events::used("one", ago(events::now(), 1, 0), "a").to_string();
    let mut told = String::new();
    for (token, status) in [(&token, 200), (&wrong, 401)] {
        let bearer = format!("Bearer {token}");
        let reply = served.post_with(&[("content-type", JSON), ("authorization", &bearer)], &event);
        assert_eq!(reply.status, status, "{reply:?}");
        told += &reply.body;
        told += &served.get(&format!("/v1/metrics/nps?token={token}")).body;
        let file = tempfile::NamedTempFile::new().expect("there is room");
        std::fs::write(file.path(), &event).expect("there is room");
        let file = file.path().to_str().expect("it is UTF-8");
        let imported = served.run(&["import"], &["--format", "json", "--token", token, file]);
        told += &(imported.stdout + &imported.stderr);
    }
    served.terminate();
    assert!(served.wait().success());
    for secret in [&token[3..], &wrong[3..]] {
        assert!(!told.contains(secret), "an answer has a token: {told}");
        let log = served.log();
        let at = log.find(secret);
        assert!(
            at.is_none(),
            "the log has a token: {}",
            &log[at.unwrap_or(0).saturating_sub(300)..at.unwrap_or(0)]
        );
        for entry in std::fs::read_dir(data).expect("it is a directory") {
            let path = entry.expect("it can be listed").path();
            let bytes =
                if path.is_file() { std::fs::read(&path).expect("it can be read") } else { Vec::new() };
            assert!(
                !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()),
                "{}",
                path.display()
            );
        }
    }
}
