//! Facts as bytes: what [`super::encoding`] writes of each, and [`super::decoding`] reads. Places are written before them.
#![allow(clippy::option_option, reason = "what is absent was written, too, and is no damage")]

use std::num::NonZeroU64;

use super::changes::{Brought, Milestone};
use super::decoding::{Symbols, if_any, of};
use super::incidents::{Link, Notice, Stage};
use super::names::{Source as Sender, Word};
use super::packed::{Cursor, Packer};
use super::place::Place;
use super::samples::{Measure, Sample, Source, Stream};
use super::work::{Artifact, Deployment};
use crate::event::{DeployKind, EventKey, Outcome};

pub(super) fn deployment(packer: &mut Packer, deploy: &Deployment) {
    packer.name_if_any(deploy.environment);
    packer.name_if_any(deploy.capability);
    packer.name_if_any(deploy.team);
    artifact(packer, deploy.artifact);
    let kind = match deploy.kind {
        DeployKind::Deployed => 0,
        DeployKind::Upgraded => 1,
        DeployKind::RolledBack => 2,
    };
    packer.byte(outcome(deploy.outcome) | kind << 2 | u8::from(deploy.unplanned) << 4);
}

pub(super) fn read_deployment(
    cursor: &mut Cursor<'_>,
    symbols: &Symbols,
) -> Option<impl FnOnce(Place) -> Deployment + use<>> {
    let environment = if_any(&symbols.environments, cursor.number()?)?;
    let capability = if_any(&symbols.capabilities, cursor.number()?)?;
    let team = if_any(&symbols.teams, cursor.number()?)?;
    let artifact = read_artifact(cursor)?;
    let flags = cursor.byte()?;
    let outcome = read_outcome(flags & 3)?;
    let kind = match flags >> 2 & 3 {
        0 => DeployKind::Deployed,
        1 => DeployKind::Upgraded,
        2 => DeployKind::RolledBack,
        _ => return None,
    };
    let unplanned = flags >> 4 == 1;
    Some(move |place| Deployment { place, environment, capability, team, artifact, outcome, kind, unplanned })
}

/// As form 1 has them: successful ones, of which only this is known.
pub(super) fn read_deployment_of_form_1(
    cursor: &mut Cursor<'_>,
    symbols: &Symbols,
) -> Option<impl FnOnce(Place) -> Deployment + use<>> {
    let environment = if_any(&symbols.environments, cursor.number()?)?;
    let capability = if_any(&symbols.capabilities, cursor.number()?)?;
    Some(move |place| Deployment {
        place,
        environment,
        capability,
        team: None,
        artifact: None,
        outcome: Outcome::Success,
        kind: DeployKind::Deployed,
        unplanned: false,
    })
}

fn artifact(packer: &mut Packer, artifact: Option<Artifact>) {
    packer.word(artifact.map_or(0, |artifact| artifact.0.get()));
}

fn read_artifact(cursor: &mut Cursor<'_>) -> Option<Option<Artifact>> {
    Some(NonZeroU64::new(cursor.word()?).map(Artifact))
}

fn outcome(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Success => 0,
        Outcome::Failure => 1,
        Outcome::Cancelled => 2,
    }
}

fn read_outcome(byte: u8) -> Option<Outcome> {
    [Outcome::Success, Outcome::Failure, Outcome::Cancelled].get(usize::from(byte)).copied()
}

pub(super) fn brought(packer: &mut Packer, brought: &Brought) {
    packer.at(brought.at);
    packer.word(brought.key.0);
    packer.number(brought.number.into());
    packer.name_if_any(brought.change);
    packer.at(brought.committed);
    packer.name_if_any(brought.environment);
}

pub(super) fn read_brought(cursor: &mut Cursor<'_>, symbols: &Symbols) -> Option<Brought> {
    Some(Brought {
        at: cursor.at()?,
        key: EventKey(cursor.word()?),
        number: cursor.number()?.try_into().ok()?,
        change: if_any(&symbols.words, cursor.number()?)?,
        committed: cursor.at()?,
        environment: if_any(&symbols.environments, cursor.number()?)?,
    })
}

pub(super) fn milestone(packer: &mut Packer, milestone: &Milestone) {
    packer.byte(milestone.merged.into());
    packer.at(milestone.at);
    packer.word(milestone.key.0);
}

pub(super) fn read_milestone(cursor: &mut Cursor<'_>) -> Option<Milestone> {
    Some(Milestone { merged: cursor.byte()? == 1, at: cursor.at()?, key: EventKey(cursor.word()?) })
}

pub(super) fn identity(packer: &mut Packer, (source, id): (Sender, Word)) {
    packer.name(source);
    packer.name(id);
}

pub(super) fn read_identity(cursor: &mut Cursor<'_>, symbols: &Symbols) -> Option<(Sender, Word)> {
    Some((of(&symbols.sources, cursor.number()?)?, of(&symbols.words, cursor.number()?)?))
}

pub(super) fn notice(packer: &mut Packer, notice: &Notice) {
    packer.byte(match notice.stage {
        Stage::Detected => 0,
        Stage::Reported => 1,
        Stage::Resolved => 2,
    });
    packer.subject(notice.subject);
    packer.name_if_any(notice.environment);
    artifact(packer, notice.artifact);
}

pub(super) fn read_notice(
    cursor: &mut Cursor<'_>,
    symbols: &Symbols,
) -> Option<impl FnOnce(Place) -> Notice + use<>> {
    let stage =
        [Stage::Detected, Stage::Reported, Stage::Resolved].get(usize::from(cursor.byte()?)).copied()?;
    let subject = symbols.subject(cursor)?;
    let environment = if_any(&symbols.environments, cursor.number()?)?;
    let artifact = read_artifact(cursor)?;
    Some(move |place| Notice { place, stage, subject, environment, artifact })
}

pub(super) fn link(packer: &mut Packer, (at, key, word): &Link) {
    packer.at(*at);
    packer.word(key.0);
    packer.name(*word);
}

pub(super) fn read_link(cursor: &mut Cursor<'_>, symbols: &Symbols) -> Option<Link> {
    Some((cursor.at()?, EventKey(cursor.word()?), of(&symbols.words, cursor.number()?)?))
}

pub(super) fn stream(packer: &mut Packer, stream: Stream) {
    packer.byte(match stream.source {
        Source::Pipeline => 0,
        Source::Environment => 1,
        Source::Probe => 2,
        Source::Requests => 3,
    });
    packer.name_if_any(stream.name);
    packer.subject(stream.subject);
}

pub(super) fn read_stream(cursor: &mut Cursor<'_>, symbols: &Symbols) -> Option<Stream> {
    let sources = [Source::Pipeline, Source::Environment, Source::Probe, Source::Requests];
    Some(Stream {
        source: sources.get(usize::from(cursor.byte()?)).copied()?,
        name: if_any(&symbols.words, cursor.number()?)?,
        subject: symbols.subject(cursor)?,
    })
}

/// What a measure is: a number of requests, or an ending, with its outcome and its duration if they are known.
const COUNTED: u8 = 8;
const TIMED: u8 = 4;

pub(super) fn sample(packer: &mut Packer, sample: &Sample) {
    packer.at(sample.at);
    packer.word(sample.key.0);
    match sample.measure {
        Measure::Counted { good, total } => {
            packer.byte(COUNTED);
            packer.number(good);
            packer.number(total);
        }
        Measure::Ended(ended, seconds) => {
            packer.byte(
                ended.map_or(0, |ended| 1 + outcome(ended)) | if seconds.is_some() { TIMED } else { 0 },
            );
            seconds.inspect(|seconds| packer.number(*seconds));
        }
    }
}

pub(super) fn read_sample(cursor: &mut Cursor<'_>) -> Option<Sample> {
    let (at, key, kind) = (cursor.at()?, EventKey(cursor.word()?), cursor.byte()?);
    let measure = if kind == COUNTED {
        Measure::Counted { good: cursor.number()?, total: cursor.number()? }
    } else {
        let ended = (kind & 3).checked_sub(1).map_or(Some(None), |ended| read_outcome(ended).map(Some))?;
        Measure::Ended(ended, if kind & TIMED == TIMED { Some(cursor.number()?) } else { None })
    };
    Some(Sample { at, key, measure })
}
