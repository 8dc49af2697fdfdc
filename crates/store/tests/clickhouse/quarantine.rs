//! Refused events.

use milepost_model::{Door, Payload, Position, Reason, Refusal, Rejected};
use milepost_store::clickhouse::{Batch, RefusedRow};
use milepost_store::{Quarantined, Reader};

use crate::support::{Database, at, partition};

fn rejected(id: &str, payload: Option<Payload>) -> Rejected {
    Rejected {
        refusal: Refusal::new(Reason::OutOfRange, "body.score", "11 is not a score"),
        door: Door::Kafka,
        source: None,
        id: Some(id.to_owned()),
        payload,
    }
}

fn position(number: i32, offset: i64) -> Position {
    Position { partition: partition(number), offset }
}

/// Refused at this second, delivered in a batch of its own.
fn refuse(
    database: &Database,
    position: &Position,
    origin: Option<&Position>,
    second: i64,
    rejected: &Rejected,
) {
    let row = RefusedRow { position, origin, at: at(second), rejected };
    database.runtime.block_on(database.clickhouse.insert(&Batch::new(&[], &[row]))).unwrap();
}

fn ids(refused: &[Quarantined]) -> Vec<&str> {
    refused.iter().map(|refused| refused.rejected.id.as_deref().unwrap()).collect()
}

fn reader(database: &Database) -> Box<dyn Reader> {
    database.clickhouse.reader(database.runtime.handle().clone())
}

#[test]
fn what_was_refused_is_kept_as_it_was() {
    let database = Database::new("refused");
    let payloads = [
        None,
        Some(Payload::Json("{\"é\":\"'\\\\\"}".to_owned())),
        Some(Payload::Protobuf(vec![0, 255, 10])),
    ];
    let all: Vec<_> =
        payloads.into_iter().enumerate().map(|(n, payload)| rejected(&n.to_string(), payload)).collect();
    for (n, rejected) in (1..).zip(&all) {
        refuse(&database, &position(0, n), None, n, rejected);
    }
    let kept = reader(&database).refusals(0, 10).unwrap();
    assert_eq!(kept.iter().map(|kept| &kept.rejected).collect::<Vec<_>>(), all.iter().collect::<Vec<_>>());
    assert_eq!(kept.iter().map(|kept| kept.at).collect::<Vec<_>>(), [at(1), at(2), at(3)]);

    let long = rejected("long", Some(Payload::Json("x".repeat(70_000))));
    refuse(&database, &position(0, 9), None, 9, &long);
    let kept = &reader(&database).quarantine(None, 1).unwrap()[0].rejected;
    assert!(kept.payload.is_none() && kept.refusal.message.contains("at most 65536"), "{kept:?}");
}

#[test]
fn what_is_delivered_again_is_there_once() {
    let database = Database::new("again");
    let origin = position(7, 1);
    for _ in 0..2 {
        refuse(&database, &position(0, 1), None, 1, &rejected("own", None));
        refuse(&database, &position(0, 2), Some(&origin), 2, &rejected("from", None));
        // The same record of the origin, put among the refused ones once more.
        refuse(&database, &position(1, 1), Some(&origin), 3, &rejected("from", None));
    }
    for _ in 0..2 {
        let mut reader = reader(&database);
        assert_eq!(ids(&reader.refusals(0, 10).unwrap()), ["own", "from"]);
        let sizes = reader.sizes().unwrap();
        assert_eq!(sizes.quarantined, 2);
        assert!(sizes.quarantined_bytes > 50);
        database.merge();
    }
}

#[test]
fn they_are_listed_page_by_page_and_settled() {
    let database = Database::new("pages");
    // Five in the same millisecond, of two partitions; then three more.
    for n in 0..8_i64 {
        let second = if n < 5 { 1 } else { n };
        refuse(&database, &position((n % 2) as i32, n), None, second, &rejected(&n.to_string(), None));
    }
    let mut reader = reader(&database);
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = reader.quarantine(before, 3).unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.number);
        seen.extend(page);
    }
    assert!(seen.windows(2).all(|pair| pair[0].number > pair[1].number));
    assert_eq!(ids(&seen)[..3], ["7", "6", "5"]);
    let mut upwards = reader.refusals(0, 100).unwrap();
    upwards.reverse();
    assert_eq!(upwards, seen);

    let numbers: Vec<_> = seen.iter().skip(1).map(|refused| refused.number).collect();
    database.runtime.block_on(database.clickhouse.settle(&numbers)).unwrap();
    assert_eq!(ids(&reader.refusals(0, 100).unwrap()), ["7"]);
    assert_eq!(reader.sizes().unwrap().quarantined, 1);
    // Delivered again, it stays settled.
    refuse(&database, &position(0, 0), None, 1, &rejected("0", None));
    assert_eq!(ids(&reader.refusals(0, 100).unwrap()), ["7"]);
}
