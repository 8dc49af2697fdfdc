//! Topics that others fill: in four forms, into a cluster and into one process.

use milepost_tests::cluster::{ready, send};
use milepost_tests::delivery::protobuf;
use milepost_tests::engines::Record;
use milepost_tests::{Cluster, Installation, Served, eventually, exposition, state};
use prost::Message as _;
use serde_json::{Value, json};

use crate::lines::{REFUSED, recent_days, troubled};

/// A line as one of the four forms in which records bring events.
fn record(form: usize, line: &str) -> Record {
    let event: Value = serde_json::from_str(line).expect("a line is JSON");
    let context = |name: &str| event["context"][name].as_str().expect("it is text").to_owned();
    let cloudevents = ["id", "source", "type"].map(|name| (name, context(name)));
    let (headers, payload) = match form % 4 {
        0 => (Vec::new(), line.as_bytes().to_vec()),
        1 => {
            let mut envelope = json!({"specversion": "1.0", "data": event});
            for (name, value) in cloudevents {
                envelope[name] = value.into();
            }
            let content_type = ("content-type", "application/cloudevents+json".to_owned());
            (vec![content_type], envelope.to_string().into_bytes())
        }
        2 => {
            let [(_, id), (_, source), (_, kind)] = cloudevents;
            let headers = vec![
                ("content-type", "application/json".to_owned()),
                ("ce_specversion", "1.0".to_owned()),
                ("ce_id", id),
                ("ce_source", source),
                ("ce_type", kind),
            ];
            (headers, line.as_bytes().to_vec())
        }
        // What cannot be decoded here cannot be sent as a message either.
        _ if milepost_wire::json::decode(line.as_bytes()).is_err() => return record(0, line),
        _ => {
            let message = protobuf(&[line.to_owned()]).remove(0);
            (vec![("content-type", "application/x-protobuf".to_owned())], message.encode_to_vec())
        }
    };
    Record { partition: None, headers, payload }
}

/// Waits until all that others have put on a topic is durable, and that is committed.
fn taken(cluster: &Cluster, topic: &str, group: &str) {
    let ends = cluster.kafka.ends(topic);
    eventually("the topic is read", || (cluster.kafka.committed(group, topic) == ends).then_some(()));
}

fn with_topics(cluster: &Cluster, topic: &str, group: &str) -> Vec<(&'static str, String)> {
    vec![
        ("MILEPOST_KAFKA__BROKERS", cluster.kafka.address().to_owned()),
        ("MILEPOST_KAFKA__TOPICS", format!("[\"{topic}\"]")),
        ("MILEPOST_KAFKA__TOPICS_GROUP", group.to_owned()),
    ]
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// **F14**, for topics that others fill. Events in four forms, with garbage between, read by an ingest that is killed in the middle,
/// and by one process with SQLite: the numbers of one that was sent them, and every refusal aside with where it stood.
#[test]
fn f14_topics_that_others_fill() {
    let cluster = Cluster::new("door");
    let topic = format!("{}-others", cluster.database);
    cluster.kafka.make(&topic, 3);
    let lines = troubled(13);
    let mut records: Vec<_> = lines.iter().enumerate().map(|(form, line)| record(form, line)).collect();
    let garbage = |headers, payload: &[u8]| Record { partition: Some(1), headers, payload: payload.to_vec() };
    let content_type = |essence: &str| vec![("content-type", essence.to_owned())];
    records.insert(40, garbage(Vec::new(), b"no event"));
    records.insert(80, garbage(content_type("application/x-protobuf"), b"\xff\xff"));
    records.insert(90, garbage(content_type("text/html"), b"<p>"));
    let (first, second) = records.split_at(records.len() / 2);
    cluster.kafka.produce_all(&topic, first);

    let (_aggregator, replica) = (cluster.aggregate(), cluster.query());
    let group = format!("{}-door", cluster.database);
    let variables = with_topics(&cluster, &topic, &group);
    let start = || ready(cluster.start("ingest", &borrowed(&variables)));
    let mut killed = start();
    let stored =
        |served: &Served| exposition::sum(&served.metrics(), "milepost_events_total", &["fate=\"stored\""]);
    eventually("it has begun", || (stored(&killed) > 0.0).then_some(()));
    killed.kill();
    cluster.kafka.produce_all(&topic, second);
    let _ingest = start();
    taken(&cluster, &topic, &group);

    let embedded = Installation::new(&cluster.embedded());
    let own_group = format!("{group}-embedded");
    let one = embedded.serve_with(&borrowed(&with_topics(&cluster, &topic, &own_group)));
    taken(&cluster, &topic, &own_group);
    let fates = ["stored", "duplicate", "refused"].map(|fate| {
        let labels = ["door=\"kafka\"", &format!("fate=\"{fate}\"")];
        exposition::sum(&one.metrics(), "milepost_events_total", &labels)
    });
    let fated: f64 = fates.iter().sum();
    assert_eq!(fated, records.len() as f64, "each has one fate");
    let sent = Installation::new(&cluster.embedded());
    let expected = sent.serve();
    send(&expected, &lines, 100);

    cluster.caught_up(&replica);
    let days = recent_days();
    state::assert_same(&expected, &[&one, &replica], &[&days[0], &days[1]]);
    cluster.kept(&cluster.refused_topic());
    let aside = format!("SELECT count() FROM quarantine FINAL WHERE topic = '{topic}'");
    assert_eq!(cluster.clickhouse.number(&cluster.database, &aside), REFUSED + 3);
    assert_eq!(state::refused(&embedded).len() as u64, REFUSED + 3);
}
