use super::*;

fn used() -> pb::Event {
    pb::Event {
        source: "/s".into(),
        id: "1".into(),
        occurred_at: Some(prost_types::Timestamp { seconds: 1, nanos: 999_999_999 }),
        body: Some(Message::CapabilityUsed(pb::CapabilityUsed {})),
        ..Default::default()
    }
}

fn with(body: Message) -> pb::Event {
    pb::Event { body: Some(body), ..used() }
}

fn at(seconds: i64, nanos: i32) -> pb::Event {
    pb::Event { occurred_at: Some(prost_types::Timestamp { seconds, nanos }), ..used() }
}

#[test]
fn empty_texts_are_absent_and_digits_past_the_microsecond_are_cut() {
    let event = decode(used()).unwrap();
    assert_eq!((event.content.team, event.content.actor), (None, None));
    assert_eq!(event.content.occurred_at.micros(), 1_999_999);
}

#[test]
fn what_cannot_be_is_refused_by_its_name() {
    let finished = |outcome, duration_seconds| {
        with(Message::InteractionFinished(pb::InteractionFinished {
            outcome,
            duration_seconds,
            ..Default::default()
        }))
    };
    let scored = |score| with(Message::SurveyAnswered(pb::SurveyAnswered { score, ..Default::default() }));
    let late = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    let change = pb::Change { committed_at: Some(late), ..Default::default() };
    let deployed = |deployed| with(Message::Deployed(deployed));
    for (event, reason, field) in [
        (pb::Event { body: None, ..used() }, Reason::Missing, "body"),
        (pb::Event { occurred_at: None, ..used() }, Reason::Missing, "occurred_at"),
        (at(i64::MAX, 0), Reason::OutOfRange, "occurred_at"),
        (at(0, -1), Reason::OutOfRange, "occurred_at"),
        (at(0, 1_000_000_000), Reason::OutOfRange, "occurred_at"),
        (at(253_402_300_800, 0), Reason::OutOfRange, "occurred_at"),
        (finished(0, None), Reason::Missing, "interaction_finished.outcome"),
        (finished(9, None), Reason::Invalid, "interaction_finished.outcome"),
        (finished(1, Some(-1)), Reason::OutOfRange, "interaction_finished.duration_seconds"),
        (finished(1, Some(1 << 53)), Reason::OutOfRange, "interaction_finished.duration_seconds"),
        (scored(None), Reason::Missing, "survey_answered.score"),
        (scored(Some(-1)), Reason::OutOfRange, "survey_answered.score"),
        (scored(Some(256)), Reason::OutOfRange, "survey_answered.score"),
        (deployed(pb::Deployed { kind: 7, ..Default::default() }), Reason::Invalid, "deployed.kind"),
        (
            deployed(pb::Deployed { changes: vec![pb::Change::default(), change], ..Default::default() }),
            Reason::OutOfRange,
            "deployed.changes[1].committed_at",
        ),
    ] {
        let refusal = decode(event).unwrap_err();
        assert_eq!((refusal.reason, refusal.field.as_str()), (reason, field));
    }
}

#[test]
fn fields_are_named_as_in_the_contract() {
    let body = Body::SurveyAnswered { survey: None, respondent: None, score: 11 };
    assert_eq!(field_path(&body, "body.score"), "survey_answered.score");
    assert_eq!(
        field_path(&Body::Deployed(Deploy::default()), "body.changes[2].id"),
        "deployed.changes[2].id"
    );
    assert_eq!(field_path(&body, "team"), "team");
}

#[test]
fn every_person_is_visited() {
    let author = |author: &str| pb::Change { author: author.into(), ..Default::default() };
    let deployed = pb::Deployed { changes: vec![author("b"), author("")], ..Default::default() };
    let survey = pb::SurveyInvited { respondent: "c".into(), ..Default::default() };
    let mut seen = Vec::new();
    for body in [Message::Deployed(deployed), Message::SurveyInvited(survey)] {
        let mut event = pb::Event { actor: "a".into(), ..with(body) };
        scrub(&mut event, &mut |name| seen.push(std::mem::replace(name, "-".into())));
        assert_eq!(event.actor, "-");
    }
    assert_eq!(seen, ["a", "b", "a", "c"]);
}
