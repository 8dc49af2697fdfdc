//! Refused events, checked once more from what the quarantine kept of them.
//!
//! Laws:
//!
//! 1. **Persons are pseudonyms already**, and are not made pseudonyms of those. Whatever stands in a person's place and is
//!    none (a name that was removed, one that nobody recognised) is refused: no name gets in by this way.
//! 2. **Nothing is taken that the door would not take now**: the checks are the same, on the same fields. What they would
//!    need and nobody kept (a name that was no name, headers) is refused as before.

use milepost_model::refusal::Reason;
use milepost_model::{Body, Event, Payload, Refusal, Rejected, Sealed};
use milepost_wire::cloudevents::Binding;

use super::Intake;
use crate::pseudonym::is_pseudonym;
use crate::sent::Sent;

/// How the fields of a CloudEvent in binary mode begin that are headers.
const HEADERS: [Binding; 2] = [Binding::Http, Binding::Kafka];

impl Intake {
    /// An event that may be kept after all, or why it still may not be.
    pub fn recheck(&self, rejected: &Rejected) -> Result<Sealed, Refusal> {
        let sent = match &rejected.payload {
            Some(Payload::Json(text)) => Sent::Json(text.as_bytes()),
            Some(Payload::Protobuf(bytes)) => Sent::Protobuf(bytes),
            None => return Err(rejected.refusal.clone()),
        };
        if HEADERS.iter().any(|binding| rejected.refusal.field.starts_with(binding.prefix())) {
            return Err(rejected.refusal.clone());
        }
        let event = self.read(sent)?;
        let named = |field: &str| sent.field_path(&event, field);
        if rejected.source.as_ref() != Some(&event.id.source) {
            // Its sender's right to write was held against that one.
            let message = "another one than was read when it came: it has to be sent again";
            return Err(Refusal::new(Reason::Invalid, named("source"), message));
        }
        if let Some(field) = nameless(&event) {
            let message =
                "what stood here is not kept, as it was no name: the event has to be sent again with one";
            return Err(Refusal::new(Reason::Invalid, named(field), message));
        }
        // The names were held against the limits when they came; pseudonyms would be against limits that are not theirs.
        let mut short = event.clone();
        short.content.persons_mut().for_each(|name| name.truncate(1));
        self.within_limits(sent, &short, (self.clock)())?;
        Ok(Sealed::new(event))
    }
}

/// A field of a person in which there is no pseudonym.
fn nameless(event: &Event) -> Option<&'static str> {
    let is_none = |name: &Option<String>| name.as_ref().is_some_and(|name| !is_pseudonym(name));
    if is_none(&event.content.actor) {
        return Some("actor");
    }
    match &event.content.body {
        Body::SurveyInvited { respondent, .. } | Body::SurveyAnswered { respondent, .. } => {
            is_none(respondent).then_some("body.respondent")
        }
        Body::Deployed(deploy) => {
            deploy.changes.iter().any(|change| is_none(&change.author)).then_some("body.changes")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Recorder, answered, intake, used};
    use crate::{DoorLimits, Grant};
    use milepost_model::{Door, Limits, Span};

    /// What the door keeps of this event, which it must refuse, and which reason it gives.
    fn refused(limits: DoorLimits, grant: &Grant, event: &str) -> Rejected {
        let (intake, _) = intake(&Recorder::new(), limits);
        let mut prepared = intake.prepare_granted(grant, Door::Http, [Sent::Json(event.as_bytes())]);
        prepared.submission.rejected.pop().unwrap().0
    }

    fn recheck(rejected: &Rejected, limits: DoorLimits) -> Result<Sealed, Refusal> {
        intake(&Recorder::new(), limits).0.recheck(rejected)
    }

    /// As if it had never been refused.
    fn at_once(event: &Value) -> Sealed {
        let (intake, _) = intake(&Recorder::new(), DoorLimits::default());
        let text = event.to_string();
        intake.prepare(Door::Http, [Sent::Json(text.as_bytes())]).submission.events.pop().unwrap()
    }

    fn few_bytes() -> DoorLimits {
        DoorLimits { event: Limits { name_bytes: 6, ..Limits::default() }, ..DoorLimits::default() }
    }

    #[test]
    fn with_the_cause_mended_it_is_the_event_it_would_have_been() {
        let mut event = answered("1", 3);
        event["customData"]["team"] = json!("a longer name");
        let rejected = refused(few_bytes(), &Grant::All, &event.to_string());
        assert_eq!(rejected.refusal.field, "customData.team");
        assert_eq!(recheck(&rejected, DoorLimits::default()).unwrap(), at_once(&event));
        assert_eq!(recheck(&rejected, few_bytes()).unwrap_err(), rejected.refusal);
    }

    #[test]
    fn a_deploy_as_protobuf_is_taken_after_all_too() {
        use milepost_wire::{pb, proto};
        use prost::Message as _;
        let mut event =
            proto::encode(&milepost_wire::json::decode(used("1").to_string().as_bytes()).unwrap());
        let change = pb::Change { author: "bob".into(), id: "1".into(), ..Default::default() };
        event.service = "checkout".into();
        event.body = Some(pb::event::Body::Deployed(pb::Deployed {
            environment: "production".into(),
            changes: vec![change],
            ..Default::default()
        }));
        let bytes = event.encode_to_vec();
        let (strict, _) = intake(&Recorder::new(), few_bytes());
        let rejected =
            strict.prepare(Door::Grpc, [Sent::Protobuf(&bytes)]).submission.rejected.pop().unwrap().0;
        let (lenient, _) = intake(&Recorder::new(), DoorLimits::default());
        let expected = lenient.prepare(Door::Grpc, [Sent::Protobuf(&bytes)]).submission.events.pop().unwrap();
        assert_eq!(lenient.recheck(&rejected).unwrap(), expected);
    }

    #[test]
    fn what_is_not_kept_of_a_person_cannot_be_mended() {
        let mut object = used("1");
        object["customData"]["actor"] = json!({"name": "alice"});
        let mut spaces = used("1");
        spaces["customData"]["actor"] = json!(" alice");
        let mut long = answered("1", 3);
        long["subject"]["content"]["respondent"] = json!("alice in wonderland");
        let far = DoorLimits {
            event: Limits { future: Span::from_seconds(0), ..few_bytes().event },
            ..few_bytes()
        };
        for (event, field) in
            [(object, "customData.actor"), (spaces, "customData.actor"), (long, "subject.content.respondent")]
        {
            let rejected = refused(far, &Grant::All, &event.to_string().replace("T10:00", "T12:01"));
            assert!(!format!("{rejected:?}").contains("alice"));
            let refusal = recheck(&rejected, DoorLimits::default()).unwrap_err();
            assert_eq!((refusal.reason, refusal.field.as_str()), (Reason::Invalid, field), "{refusal}");
            assert!(refusal.message.contains("sent again"));
        }
    }

    #[test]
    fn nothing_gets_in_that_its_sender_may_not_write() {
        let grant = Grant::Sources(["/ours".to_owned()].as_slice().into());
        let future = used("1").to_string().replace("2026", "2027");
        let unknown = used("1").to_string().replace("capability.used", "nothing.known");
        for event in [future.clone(), unknown] {
            let rejected = refused(DoorLimits::default(), &grant, &event);
            let Refusal { reason, field, .. } = rejected.refusal;
            assert_eq!((reason, field.as_str()), (Reason::Forbidden, "context.source"));
        }
        // An envelope that pretends to be of another source than what is in it.
        let inner: Value = serde_json::from_str(&future).unwrap();
        let disguised = json!({"specversion": "1.0", "id": "1", "source": "/ci", "type": inner["context"]["type"],
            "context": {"source": "/ours"}, "data": inner});
        let rejected = refused(DoorLimits::default(), &grant, &disguised.to_string());
        assert_eq!((rejected.refusal.reason, rejected.source.as_deref()), (Reason::Future, Some("/ours")));
        let year = Limits { future: Span::from_seconds(400 * 86_400), ..Limits::default() };
        let refusal = recheck(&rejected, DoorLimits { event: year, ..DoorLimits::default() }).unwrap_err();
        assert_eq!((refusal.reason, refusal.field.as_str()), (Reason::Invalid, "context.source"));
    }

    #[test]
    fn of_what_cannot_be_read_only_the_size_and_the_place_are_kept() {
        let rejected = refused(DoorLimits::default(), &Grant::All, "{\"actor\": alice}");
        let Refusal { reason, message, .. } = &rejected.refusal;
        assert_eq!((*reason, &rejected.payload), (Reason::Malformed, &None));
        assert!(message.contains("line 1 column 11") && message.contains("16 bytes"), "{message}");
        assert!(!message.contains("alice"));
        assert_eq!(recheck(&rejected, DoorLimits::default()).unwrap_err(), rejected.refusal);
    }

    #[test]
    fn without_what_was_sent_the_reason_stays() {
        let text = used("1").to_string();
        let mut rejected = refused(few_bytes(), &Grant::All, &text.replace("shop", "a longer name"));
        let wide = DoorLimits::default();
        assert!(recheck(&rejected, wide).is_ok());
        let refusal = Refusal::new(Reason::Invalid, "ce-id", "differs");
        let with_header = Rejected { refusal: refusal.clone(), ..rejected.clone() };
        assert_eq!(recheck(&with_header, wide).unwrap_err(), refusal);
        rejected.payload = None;
        assert_eq!(recheck(&rejected, wide).unwrap_err(), rejected.refusal);
    }
}
