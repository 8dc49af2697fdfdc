//! Events as a platform sends them: mostly uses, then interactions and deploys, some of all else.

use std::ops::Range;

use bytes::Bytes;
use milepost_wire::pb;
use milepost_wire::pb::event::Body;
use prost::Message as _;
use prost_types::Timestamp;

use crate::Random;

/// 2024-01-01, in seconds since 1970.
const FIRST_SECOND: i64 = 1_704_067_200;

/// What the events are spread over. An event is a function of its number, so any part of a history can be made alone.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    /// Events in the whole history; time goes on evenly from the first to the last.
    pub events: u64,
    /// Teams that are named.
    pub teams: u64,
    /// Services; each is owned by one team.
    pub services: u64,
    /// Capabilities.
    pub capabilities: u64,
    /// Days the history takes.
    pub days: u64,
    /// When it begins, in seconds since 1970. It must end before today, or the door refuses it.
    pub first_second: i64,
}

impl Mix {
    /// A year of a company with a thousand services.
    pub fn of(events: u64) -> Self {
        let first_second = FIRST_SECOND;
        Self { events, teams: 100, services: 1_000, capabilities: 20, days: 365, first_second }
    }

    /// So many events more before these, as close together, so that it ends on the same day.
    #[must_use]
    pub fn preceded_by(self, events: u64) -> Self {
        let days = self.days * (self.events + events) / self.events;
        let earlier = 86_400 * (days - self.days) as i64;
        Self { events: self.events + events, days, first_second: self.first_second - earlier, ..self }
    }

    /// Event number `number`.
    pub fn event(&self, number: u64) -> pb::Event {
        let mut random = Random::new((number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let kind = random.below(100);
        // Numbers of one kind fall on the same services again and again; which ones, chance says.
        let service = random.below(self.services);
        let team = service % self.teams;
        let micros = number as i64 * (self.days as i64 * 86_400_000_000 / self.events as i64);
        let by_team = random.below(2) == 0 && kind < 60;
        pb::Event {
            source: format!("/ci/service-{service}"),
            id: format!("{:016x}-{number}", random.below(u64::MAX)),
            revision: 0,
            occurred_at: Some(Timestamp {
                seconds: self.first_second + micros / 1_000_000,
                nanos: (micros % 1_000_000) as i32 * 1_000,
            }),
            team: if by_team { format!("team-{team}") } else { String::new() },
            service: if by_team { String::new() } else { format!("service-{service}") },
            capability: format!("capability-{}", random.below(self.capabilities)),
            actor: format!("developer-{}", random.below(self.teams * 8)),
            body: Some(body(kind, number, team, &mut random)),
        }
    }

    /// Requests of so many events each, encoded.
    pub fn requests(&self, numbers: Range<u64>, batch: u64) -> Vec<Bytes> {
        let starts = numbers.clone().step_by(batch as usize);
        starts
            .map(|start| {
                let end = (start + batch).min(numbers.end);
                let events = (start..end).map(|number| self.event(number)).collect();
                Bytes::from(pb::PublishRequest { events }.encode_to_vec())
            })
            .collect()
    }
}

fn body(kind: u64, number: u64, team: u64, random: &mut Random) -> Body {
    match kind {
        0..60 => Body::CapabilityUsed(pb::CapabilityUsed {}),
        60..70 => {
            Body::InteractionStarted(pb::InteractionStarted { interaction_id: format!("run-{number}") })
        }
        70..80 => Body::InteractionFinished(pb::InteractionFinished {
            interaction_id: format!("run-{}", number.saturating_sub(10)),
            outcome: if random.below(10) == 0 { pb::Outcome::Failure } else { pb::Outcome::Success }.into(),
            assisted: Some(random.below(20) == 0),
            duration_seconds: Some(random.below(3_600) as i64),
        }),
        80..95 => Body::Deployed(pb::Deployed {
            environment: if random.below(2) == 0 { "production" } else { "staging" }.into(),
            artifact_id: format!("pkg:oci/service@sha256:{:016x}", random.below(u64::MAX)),
            outcome: pb::Outcome::Success.into(),
            kind: 0,
            changes: vec![pb::Change {
                id: format!("{:016x}", random.below(u64::MAX)),
                author: format!("developer-{}", team * 8 + random.below(8)),
                committed_at: None,
            }],
            unplanned: false,
        }),
        95..97 => Body::ServiceRegistered(pb::ServiceRegistered {
            owner: format!("team-{team}"),
            preexisting: false,
        }),
        97..98 => Body::OnboardingStarted(pb::OnboardingStarted {}),
        98..99 => Body::SurveyAnswered(pb::SurveyAnswered {
            survey: "quarterly".into(),
            respondent: String::new(),
            score: Some(random.below(11) as i32),
        }),
        _ => Body::PipelineRunFinished(pb::PipelineRunFinished {
            pipeline: "build".into(),
            outcome: pb::Outcome::Success.into(),
            duration_seconds: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_longer_history_ends_when_the_shorter_one_does() {
        let short = Mix::of(1_000);
        let long = short.preceded_by(10_000);
        let last = |mix: &Mix| mix.event(mix.events - 1).occurred_at.expect("an instant").seconds;
        assert!((last(&short) - last(&long)).abs() < 86_400);
        assert_eq!((long.events, long.days), (11_000, 11 * 365));
    }

    #[test]
    fn every_event_is_one_that_a_door_takes_and_no_other_one() {
        let mix = Mix::of(2_000);
        let events: Vec<_> = (0..2_000).map(|number| mix.event(number)).collect();
        let ids: BTreeSet<_> = events.iter().map(|event| (&event.source, &event.id)).collect();
        assert_eq!(ids.len(), events.len());
        for event in &events {
            assert!(milepost_wire::proto::decode(event.clone()).is_ok(), "{event:?}");
        }
        let read: usize = mix
            .requests(0..2_000, 300)
            .into_iter()
            .map(|request| pb::PublishRequest::decode(request).expect("a request").events.len())
            .sum();
        assert_eq!(read, 2_000);
    }
}
