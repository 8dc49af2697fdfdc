//! What is not taken, and the checks every event passes at every door.

use serde::{Deserialize, Serialize};

use crate::event::{Body, Change, Event, Incident};
use crate::time::{Span, Timestamp};

/// Why an event is refused: a closed list, so that scripts can tell the cases apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It cannot be read at all.
    Malformed,
    /// Its type is none of those accepted.
    UnknownType,
    /// A field that must be there is not.
    Missing,
    /// A field has the wrong type or form.
    Invalid,
    /// A number is outside its range.
    OutOfRange,
    /// A field or list is longer than allowed.
    TooLong,
    /// The whole event is larger than allowed.
    TooLarge,
    /// It is dated too far in the future.
    Future,
    /// Its sender may not write events of its source.
    Forbidden,
    /// It mentions a new name, and there are as many as are kept.
    TooManyNames,
    /// It would change what happened before the horizon of retention, and that is frozen.
    BeforeHorizon,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::UnknownType,
        Self::Missing,
        Self::Invalid,
        Self::OutOfRange,
        Self::TooLong,
        Self::TooLarge,
        Self::Future,
        Self::Forbidden,
        Self::TooManyNames,
        Self::BeforeHorizon,
    ];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownType => "unknown_type",
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::OutOfRange => "out_of_range",
            Self::TooLong => "too_long",
            Self::TooLarge => "too_large",
            Self::Future => "future",
            Self::Forbidden => "forbidden",
            Self::TooManyNames => "too_many_names",
            Self::BeforeHorizon => "before_horizon",
        }
    }
}

/// A refused event: why, which field, and how to mend it. Never repeats a person's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field}: {message} ({})", reason.as_str())]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The field, as a path.
    pub field: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl Refusal {
    /// A refusal of `field`.
    pub fn new(reason: Reason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, field: field.into(), message: message.into() }
    }
}

/// What an event may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a source or an id.
    pub identity_bytes: usize,
    /// Bytes of any other text.
    pub name_bytes: usize,
    /// Changes of one deploy.
    pub changes: usize,
    /// How far in the future an event may be dated.
    pub future: Span,
    /// How many whole days before the present one an event may be dated. None: any number, or the store knows better.
    pub past: Option<u32>,
}

/// Events that an incident may be linked to.
const MAX_LINKS: usize = 100;

impl Default for Limits {
    fn default() -> Self {
        Self {
            identity_bytes: 512,
            name_bytes: 256,
            changes: 1_000,
            future: Span::from_seconds(300),
            past: None,
        }
    }
}

impl Limits {
    /// Checks an event against the limits and the rules of its type at the instant `now`. Fields are named as
    /// in [`crate::event::Content`], those of a body with `body.` before them.
    pub fn check(&self, event: &Event, now: Timestamp) -> Result<(), Refusal> {
        required("source", &event.id.source)?;
        required("id", &event.id.id)?;
        text("source", &event.id.source, self.identity_bytes)?;
        text("id", &event.id.id, self.identity_bytes)?;
        let content = &event.content;
        for (field, value) in [
            ("team", &content.team),
            ("service", &content.service),
            ("capability", &content.capability),
            ("actor", &content.actor),
        ] {
            self.name(field, value.as_ref())?;
        }
        if content.occurred_at > now + self.future {
            let message = format!(
                "{} is more than {} ahead of the server's clock ({now}): check the sender's clock or the time zone",
                content.occurred_at, self.future
            );
            return Err(Refusal::new(Reason::Future, "occurred_at", message));
        }
        if let Some(days) = self.past.filter(|days| content.occurred_at < now.days_before(*days)) {
            let message = format!(
                "{} is more than {days} days before today, and what is that old cannot be changed any more. If the date is right, the event came \
                 too late",
                content.occurred_at
            );
            return Err(Refusal::new(Reason::BeforeHorizon, "occurred_at", message));
        }
        self.body(event)
    }

    fn name(&self, field: &str, value: Option<&String>) -> Result<(), Refusal> {
        let Some(value) = value else { return Ok(()) };
        length(field, value, self.name_bytes)?;
        flaw(value).map_or(Ok(()), |flaw| Err(Refusal::new(Reason::Invalid, field, flaw)))
    }

    fn body(&self, event: &Event) -> Result<(), Refusal> {
        let content = &event.content;
        let need = |field: &str, value: Option<&String>| match value {
            Some(_) => Ok(()),
            None => Err(missing(field, content.body.type_name())),
        };
        match &content.body {
            Body::TeamRegistered | Body::TeamRetired => need("team", content.team.as_ref()),
            Body::ServiceRegistered { owner, .. } => {
                need("service", content.service.as_ref())?;
                self.name("body.owner", owner.as_ref())
            }
            Body::ServiceRetired => need("service", content.service.as_ref()),
            Body::ServiceRemoved { environment } => {
                need("service", content.service.as_ref())?;
                self.name("body.environment", environment.as_ref())
            }
            Body::CapabilityRegistered { .. } | Body::CapabilityRetired | Body::CapabilityUsed => {
                need("capability", content.capability.as_ref())
            }
            Body::InteractionStarted { interaction_id }
            | Body::InteractionFinished { interaction_id, .. } => interaction_id
                .as_ref()
                .map_or(Ok(()), |id| text("body.interaction_id", id, self.identity_bytes)),
            Body::Deployed(deploy) => {
                need("service", content.service.as_ref())?;
                need("body.environment", deploy.environment.as_ref())?;
                self.name("body.environment", deploy.environment.as_ref())?;
                self.name("body.artifact_id", deploy.artifact_id.as_ref())?;
                self.changes(&deploy.changes)
            }
            Body::OnboardingStarted => {
                need("service", content.service.as_ref())?;
                need("actor", content.actor.as_ref())
            }
            Body::SurveyInvited { survey, respondent } => {
                self.name("body.survey", survey.as_ref())?;
                self.name("body.respondent", respondent.as_ref())?;
                need("body.respondent", respondent.as_ref().or(content.actor.as_ref()))
            }
            Body::SurveyAnswered { survey, respondent, score } => {
                self.name("body.survey", survey.as_ref())?;
                self.name("body.respondent", respondent.as_ref())?;
                need("body.respondent", respondent.as_ref().or(content.actor.as_ref()))?;
                if *score > 10 {
                    let message = format!("{score} is not a score: a whole number from 0 to 10 is");
                    return Err(Refusal::new(Reason::OutOfRange, "body.score", message));
                }
                Ok(())
            }
            Body::PipelineRunFinished { pipeline, .. } => self.name("body.pipeline", pipeline.as_ref()),
            Body::ChangeCreated { change_id, repository } | Body::ChangeMerged { change_id, repository } => {
                self.name("body.change_id", change_id.as_ref())?;
                self.name("body.repository", repository.as_ref())
            }
            Body::IncidentDetected(incident)
            | Body::IncidentReported(incident)
            | Body::IncidentResolved(incident) => self.incident(incident),
            Body::EnvironmentProvisioned { environment_id, .. } => {
                self.name("body.environment_id", environment_id.as_ref())
            }
            Body::ProbeFinished { probe, .. } => self.name("body.probe", probe.as_ref()),
            Body::RequestsObserved { indicator, good, total } => {
                self.name("body.indicator", indicator.as_ref())?;
                if good > total {
                    let message =
                        format!("{good} of {total}: there cannot be more good requests than requests");
                    return Err(Refusal::new(Reason::OutOfRange, "body.good", message));
                }
                Ok(())
            }
            Body::Retracted => Ok(()),
        }
    }

    fn incident(&self, incident: &Incident) -> Result<(), Refusal> {
        self.name("body.environment", incident.environment.as_ref())?;
        self.name("body.artifact_id", incident.artifact_id.as_ref())?;
        self.name("body.severity", incident.severity.as_ref())?;
        if let Some(id) = &incident.incident_id {
            text("body.incident_id", id, self.identity_bytes)?;
        }
        if incident.links.len() > MAX_LINKS {
            let message = format!("{} links; at most {MAX_LINKS} are taken", incident.links.len());
            return Err(Refusal::new(Reason::TooLong, "body.links", message));
        }
        incident.links.iter().enumerate().try_for_each(|(index, link)| {
            let field = format!("body.links[{index}]");
            if link.is_empty() {
                let message = "missing: a link names the id of an event";
                return Err(Refusal::new(Reason::Missing, field, message));
            }
            text(&field, link, self.identity_bytes)
        })
    }

    fn changes(&self, changes: &[Change]) -> Result<(), Refusal> {
        if changes.len() > self.changes {
            let message = format!("{} changes; at most {} are taken", changes.len(), self.changes);
            return Err(Refusal::new(Reason::TooLong, "body.changes", message));
        }
        for (index, change) in changes.iter().enumerate() {
            for (name, value) in [("id", &change.id), ("author", &change.author)] {
                self.name(name, value.as_ref()).map_err(|refusal| Refusal {
                    field: format!("body.changes[{index}].{name}"),
                    ..refusal
                })?;
            }
        }
        Ok(())
    }
}

fn missing(field: &str, type_name: &str) -> Refusal {
    Refusal::new(Reason::Missing, field, format!("missing: an event of type {type_name} needs it"))
}

fn required(field: &str, value: &str) -> Result<(), Refusal> {
    if value.is_empty() {
        return Err(Refusal::new(Reason::Missing, field, "missing: every event needs it"));
    }
    Ok(())
}

fn text(field: &str, value: &str, bytes: usize) -> Result<(), Refusal> {
    length(field, value, bytes)?;
    if has_control_character(value) {
        return Err(Refusal::new(Reason::Invalid, field, CONTROL));
    }
    Ok(())
}

/// The value is not repeated in the message: it may be a person's name.
fn length(field: &str, value: &str, bytes: usize) -> Result<(), Refusal> {
    if value.len() > bytes {
        let message = format!("{} bytes long; at most {bytes} are taken", value.len());
        return Err(Refusal::new(Reason::TooLong, field, message));
    }
    Ok(())
}

fn has_control_character(value: &str) -> bool {
    // Every text of every event is looked through, and nearly all are ASCII, where it is many bytes at a time.
    if value.is_ascii() {
        return value.bytes().fold(false, |found, byte| found | byte.is_ascii_control());
    }
    value.chars().any(char::is_control)
}

const CONTROL: &str = "has a control character in it";

/// What is wrong with a name, if something is: one that cannot be told from another by looking at it is none.
pub fn flaw(name: &str) -> Option<&'static str> {
    let turns_direction =
        |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if has_control_character(name) {
        Some(CONTROL)
    } else if name.trim() != name {
        Some("begins or ends with white space: leave that away")
    } else if !name.is_ascii() && name.chars().any(turns_direction) {
        Some("has an invisible character in it that changes the direction of writing: leave that away")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Content, EventId};

    fn check(capability: &str, source: &str) -> Result<(), Refusal> {
        let now = Timestamp::from_micros(0).unwrap();
        let content = Content {
            actor: None,
            body: Body::CapabilityUsed,
            capability: Some(capability.to_owned()),
            occurred_at: now,
            service: None,
            team: None,
        };
        let id = EventId { source: source.to_owned(), id: "1".to_owned() };
        Limits::default().check(&Event { id, revision: 0, content }, now)
    }

    #[test]
    fn what_is_older_than_is_taken_is_refused_by_whole_days() {
        let now: Timestamp = "2026-03-10T15:00:00Z".parse().unwrap();
        let check = |past, occurred_at: &str| {
            let content = Content {
                actor: None,
                body: Body::CapabilityUsed,
                capability: Some("ci".to_owned()),
                occurred_at: occurred_at.parse().unwrap(),
                service: None,
                team: None,
            };
            let id = EventId { source: "s".to_owned(), id: "1".to_owned() };
            let refused =
                Limits { past, ..Limits::default() }.check(&Event { id, revision: 0, content }, now);
            refused.err().map(|refusal| (refusal.reason, refusal.field))
        };
        let refused = Some((Reason::BeforeHorizon, "occurred_at".to_owned()));
        assert_eq!(check(Some(9), "2026-03-01T00:00:00Z"), None);
        assert_eq!(check(Some(9), "2026-02-28T23:59:59.999999Z"), refused);
        assert_eq!(check(Some(u32::MAX), "1970-01-01T00:00:00Z"), None);
        assert_eq!(check(None, "0001-01-01T00:00:00Z"), None);
    }

    #[test]
    fn names_that_look_like_others_are_refused() {
        for good in ["ci", "release pipeline", "père", "数据", "👩\u{200d}💻"] {
            assert_eq!(check(good, "s"), Ok(()), "{good}");
        }
        for (bad, said) in [
            (" ci", "white space"),
            ("ci\u{a0}", "white space"),
            (" ", "white space"),
            ("c\u{7}i", "control character"),
            ("ci\n", "control character"),
            ("ci\u{200e}", "direction"),
            ("\u{200f}ci", "direction"),
            ("c\u{202a}i", "direction"),
            ("c\u{202e}i", "direction"),
            ("c\u{2066}i", "direction"),
            ("c\u{2069}i", "direction"),
        ] {
            let refusal = check(bad, "s").unwrap_err();
            assert_eq!((refusal.reason, refusal.field.as_str()), (Reason::Invalid, "capability"), "{bad:?}");
            assert!(refusal.message.contains(said), "{bad:?}: {refusal}");
        }
        assert_eq!(check("ci", " /a source is kept as it is "), Ok(()));
    }
}
