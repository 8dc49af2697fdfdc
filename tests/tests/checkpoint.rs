//! A start from the checkpoint gives the answers that reading every event gives.

use std::fs;

use milepost_tests::binary::milepost;
use milepost_tests::{Installation, Served, events};

const QUESTIONS: [&str; 5] = [
    "/v1/metrics/market_share?by=team",
    "/v1/metrics/keep_rate?horizon=1d&grace=3d",
    "/v1/metrics/nps?by=team",
    "/v1/metrics/market_share/explain",
    "/v1/metrics/nps/explain",
];

fn answers(served: &Served) -> Vec<String> {
    let day = events::ago(events::now(), 1, 0).to_string();
    let ask = |question: &&str| {
        let and = if question.contains('?') { '&' } else { '?' };
        let reply = served.get(&format!("{question}{and}as_of={}", &day[..10]));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    };
    QUESTIONS.iter().map(ask).collect()
}

fn send(served: &Served, ids: std::ops::Range<u64>) {
    let now = events::now();
    let all: Vec<_> = ids
        .flat_map(|id| {
            let team = format!("team-{}", id % 7);
            let person = format!("developer-{}", id % 11);
            [
                events::used(&format!("use-{id}"), events::ago(now, 1 + id % 9, id), &team),
                events::answered(&format!("answer-{id}"), events::ago(now, 1 + id % 9, id), &person, 9),
            ]
        })
        .collect();
    let reply = served.post("application/x-ndjson", events::lines(&all).join("\n"));
    assert_eq!((reply.status, reply.json()["stored"].as_u64()), (200, Some(all.len() as u64)), "{reply:?}");
}

fn end(mut served: Served) {
    served.terminate();
    assert!(served.wait().success());
}

#[test]
fn ended_killed_and_damaged_it_starts_with_the_same_answers() {
    let installation = Installation::new("");
    let checkpoint = installation.data().join("model.checkpoint");
    let served = installation.serve();
    send(&served, 0..100);
    let first = answers(&served);
    end(served);
    assert!(checkpoint.exists(), "a clean end writes one");

    let mut served = installation.serve();
    assert_eq!(answers(&served), first);
    send(&served, 100..160);
    let second = answers(&served);
    assert_ne!(second, first);
    served.kill();

    let served = installation.serve();
    assert_eq!(answers(&served), second, "what came after the checkpoint is read");
    end(served);
    let data = installation.data();
    let doctor = milepost(["doctor", "--data", data.to_str().expect("temporary paths are UTF-8")]);
    let said = doctor.expect_success();
    assert!(said.contains("nothing is damaged") && !said.contains("checkpoint"), "{said}");

    let mut bytes = fs::read(&checkpoint).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&checkpoint, bytes).expect("it can be written");
    let served = installation.serve();
    assert_eq!(answers(&served), second, "damaged, it is not used");
    assert!(served.log().contains("the checkpoint is not used"), "{}", served.log());
    end(served);
    fs::remove_file(&checkpoint).expect("it is there");
    assert_eq!(answers(&installation.serve()), second, "without it every event is read");
}
