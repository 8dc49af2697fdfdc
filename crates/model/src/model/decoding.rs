//! From bytes to a Model; see [`super::encoding`] for what they mean.
#![allow(clippy::option_option, reason = "what is absent was written, too, and is no damage")]

use super::Model;
use super::adoption::Adoption;
use super::encoded::{BlockHeader, DecodeError, Kind};
use super::facts;
use super::interactions::{self, Ending};
use super::lifecycle::{Lives, Registration};
use super::names::{Capability, Environment, Names, Person, Service, Source, Subject, Symbol, Team, Word};
use super::packed::Cursor;
use super::place::{Place, Wanted};
use super::sorted::Sorted;
use super::surveys;
use super::traces::Mark;
use super::work::{Deployment, Start, grown};
use crate::event::{EventKey, Outcome};

/// Decodes one encoding after the other into one Model, which is the sum of them.
///
/// Of each, the blocks with names come first, then the others; the last one stays the last. Then [`Decoder::derive`] and
/// [`Decoder::finish`].
#[derive(Debug, Default)]
pub struct Decoder {
    model: Model,
    symbols: Symbols,
    blocks: u64,
    part: Part,
}

/// What a decoder decodes: two of them, each of its part, can do it side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// The traces, which are about half of it.
    Traces,
    /// All but the traces.
    Others,
}

/// What the numbers of an encoding stand for.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    pub(super) teams: Vec<Team>,
    services: Vec<Service>,
    pub(super) capabilities: Vec<Capability>,
    persons: Vec<Person>,
    pub(super) environments: Vec<Environment>,
    pub(super) sources: Vec<Source>,
    pub(super) words: Vec<Word>,
}

impl Decoder {
    /// Of a part.
    pub fn of(part: Part) -> Self {
        Self { part, ..Self::default() }
    }

    /// Whether it needs the payload of this block. Of others it needs to know that they are there.
    pub fn wants(&self, header: BlockHeader) -> bool {
        match self.part {
            // Days of use are derived of traces and owners.
            Part::Traces => {
                matches!(header.kind, Kind::Traces | Kind::ServiceLives | Kind::End) || header.is_names()
            }
            Part::Others => header.kind != Kind::Traces,
            Part::Whole => true,
        }
    }

    /// Computes what is derived of what was decoded. To be called after the last block, of both parts before they are joined.
    #[must_use]
    pub fn derive(mut self) -> Self {
        if self.part != Part::Others {
            let Model { traces, services, .. } = &mut self.model;
            self.model.adoption = Adoption::derive(traces, services);
        }
        self
    }

    /// Makes one of the decoders of both parts, which saw the same blocks.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        if self.part == Part::Traces {
            return other.join(self);
        }
        let Model { traces, adoption, .. } = other.model;
        (self.model.traces, self.model.adoption) = (traces, adoption);
        self
    }

    /// Takes a whole encoding in.
    pub fn encoding(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let (names, facts): (Vec<_>, Vec<_>) =
            blocks(bytes)?.into_iter().partition(|(header, _)| header.is_names());
        names.into_iter().chain(facts).try_for_each(|(header, payload)| self.block(header, payload))
    }

    /// Takes the next block in.
    pub fn block(&mut self, header: BlockHeader, payload: &[u8]) -> Result<(), DecodeError> {
        if !self.wants(header) {
            self.blocks += 1;
            return Ok(());
        }
        header.check(payload)?;
        let mut cursor = Cursor(payload);
        if header.is_end() {
            self.end(&mut cursor).ok_or(DecodeError::Damaged)?;
            return Ok(());
        }
        self.blocks += 1;
        while !cursor.0.is_empty() {
            self.one(header.kind, &mut cursor).ok_or(DecodeError::Damaged)?;
        }
        Ok(())
    }

    fn end(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let (events, position, blocks) = (cursor.number()?, cursor.word()?, cursor.number()?);
        if blocks != self.blocks || !cursor.0.is_empty() {
            return None;
        }
        self.model.events += usize::try_from(events).ok()?;
        self.model.position = self.model.position.max(position);
        self.symbols = Symbols::default();
        self.blocks = 0;
        Some(())
    }

    /// The Model, once the last block of the last encoding is in.
    pub fn finish(self) -> Result<Model, DecodeError> {
        if self.blocks > 0 {
            return Err(DecodeError::Damaged);
        }
        Ok(self.model)
    }

    fn one(&mut self, kind: Kind, cursor: &mut Cursor<'_>) -> Option<()> {
        let (model, symbols) = (&mut self.model, &mut self.symbols);
        match kind {
            Kind::Traces => self.trace(cursor),
            Kind::Deploys => self.deploys(cursor, facts::read_deployment_of_form_1),
            Kind::Deployments => self.deploys(cursor, facts::read_deployment),
            Kind::Brought => {
                let service = of(&symbols.services, cursor.number()?)?;
                entries(cursor, |cursor| {
                    model.changes.insert_brought(service, facts::read_brought(cursor, symbols)?);
                    Some(())
                })
            }
            Kind::Milestones => {
                let change = of(&symbols.words, cursor.number()?)?;
                entries(cursor, |cursor| {
                    model.changes.insert_milestone(change, facts::read_milestone(cursor)?);
                    Some(())
                })
            }
            Kind::Notices => {
                let identity = facts::read_identity(cursor, symbols)?;
                entries(cursor, |cursor| {
                    let wanted = symbols.wanted(cursor)?;
                    let fact = facts::read_notice(cursor, symbols)?;
                    model.incidents.insert(identity, wanted, fact, &mut model.ids);
                    Some(())
                })
            }
            Kind::Links => {
                let identity = facts::read_identity(cursor, symbols)?;
                entries(cursor, |cursor| {
                    model.incidents.insert_link(identity, facts::read_link(cursor, symbols)?);
                    Some(())
                })
            }
            Kind::Samples => {
                let stream = facts::read_stream(cursor, symbols)?;
                entries(cursor, |cursor| {
                    model.samples.insert(stream, facts::read_sample(cursor)?);
                    Some(())
                })
            }
            Kind::Changes => self.changes(cursor),
            Kind::Starts => self.starts(cursor),
            Kind::Interactions => self.interaction(cursor),
            Kind::Surveys => self.surveys(cursor),
            Kind::TeamLives => {
                let team = of(&symbols.teams, cursor.number()?)?;
                self.life(cursor, team, |model| &mut model.teams)
            }
            Kind::ServiceLives => {
                let service = of(&symbols.services, cursor.number()?)?;
                self.life(cursor, service, |model| &mut model.services)
            }
            Kind::CapabilityLives => {
                let capability = of(&symbols.capabilities, cursor.number()?)?;
                self.life(cursor, capability, |model| &mut model.capabilities)
            }
            Kind::Teams => name(cursor, &mut model.team_names, &mut symbols.teams),
            Kind::Services => name(cursor, &mut model.service_names, &mut symbols.services),
            Kind::Capabilities => name(cursor, &mut model.capability_names, &mut symbols.capabilities),
            Kind::Persons => name(cursor, &mut model.person_names, &mut symbols.persons),
            Kind::Environments => name(cursor, &mut model.environment_names, &mut symbols.environments),
            Kind::Sources => name(cursor, &mut model.ids.sources, &mut symbols.sources),
            Kind::Words => name(cursor, &mut model.words, &mut symbols.words),
            Kind::End => None,
        }
    }

    fn trace(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let subject = self.symbols.subject(cursor)?;
        let length = cursor.length()?;
        let marks = cursor.bytes(length.checked_mul(Mark::SIZE)?)?.chunks_exact(Mark::SIZE);
        let marks = marks.map(Mark::unpack).collect::<Option<Vec<Mark>>>()?;
        self.model.traces.add(subject, marks)
    }

    fn deploys<F: FnOnce(Place) -> Deployment>(
        &mut self,
        cursor: &mut Cursor<'_>,
        read: impl Fn(&mut Cursor<'_>, &Symbols) -> Option<F>,
    ) -> Option<()> {
        let service = of(&self.symbols.services, cursor.number()?)?;
        entries(cursor, |cursor| {
            let wanted = self.symbols.wanted(cursor)?;
            let fact = read(cursor, &self.symbols)?;
            self.model.deployments.insert(service, wanted, fact, &mut self.model.ids);
            Some(())
        })
    }

    fn changes(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let service = of(&self.symbols.services, cursor.number()?)?;
        let author = of(&self.symbols.persons, cursor.number()?)?;
        for _ in 0..cursor.length()? {
            let (at, key) = (cursor.at()?, EventKey(cursor.word()?));
            let environment = if_any(&self.symbols.environments, cursor.number()?)?;
            self.model.deployments.insert_change(service, author, (at, key, environment));
        }
        Some(())
    }

    fn starts(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let person = of(&self.symbols.persons, cursor.number()?)?;
        let service = of(&self.symbols.services, cursor.number()?)?;
        for _ in 0..cursor.length()? {
            let wanted = self.symbols.wanted(cursor)?;
            let team = if_any(&self.symbols.teams, cursor.number()?)?;
            let starts = self.model.starts.0.entry((person, service));
            starts.put(wanted, &mut self.model.ids, |place| Start { place, team });
        }
        Some(())
    }

    fn interaction(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let source = of(&self.symbols.sources, cursor.number()?)?;
        let id = cursor.text()?;
        let place = self.model.interactions.place(source, id, &mut self.model.ids);
        for _ in 0..cursor.length()? {
            let wanted = Wanted { at: cursor.at()?, source, id: cursor.text()? };
            let subject = self.symbols.subject(cursor)?;
            let ending = ending(cursor.byte()?)?;
            let turns = &mut self.model.interactions.all[place].turns;
            interactions::put(turns, wanted, (subject, ending), &mut self.model.ids);
        }
        Some(())
    }

    fn surveys(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let person = of(&self.symbols.persons, cursor.number()?)?;
        for _ in 0..cursor.length()? {
            let wanted = self.symbols.wanted(cursor)?;
            let subject = self.symbols.subject(cursor)?;
            let score = cursor.byte()?.checked_sub(1);
            let turns: &mut Sorted<surveys::Turn> = grown(&mut self.model.surveys.0, person);
            turns.put(wanted, &mut self.model.ids, |place| surveys::Turn { place, subject, score });
        }
        Some(())
    }

    fn life<S: Symbol>(
        &mut self,
        cursor: &mut Cursor<'_>,
        name: S,
        lives: impl Fn(&mut Model) -> &mut Lives<S>,
    ) -> Option<()> {
        for _ in 0..cursor.length()? {
            let wanted = self.symbols.wanted(cursor)?;
            let registration = self.symbols.registration(cursor)?;
            let mut ids = std::mem::take(&mut self.model.ids);
            lives(&mut self.model).insert(name, wanted, registration, &mut ids);
            self.model.ids = ids;
        }
        Some(())
    }
}

fn entries<'a>(cursor: &mut Cursor<'a>, mut one: impl FnMut(&mut Cursor<'a>) -> Option<()>) -> Option<()> {
    (0..cursor.length()?).try_for_each(|_| one(cursor))
}

fn name<S: Symbol>(cursor: &mut Cursor<'_>, names: &mut Names<S>, symbols: &mut Vec<S>) -> Option<()> {
    symbols.push(names.intern(cursor.text()?));
    Some(())
}

pub(super) fn of<S: Copy>(symbols: &[S], number: u64) -> Option<S> {
    symbols.get(usize::try_from(number).ok()?).copied()
}

pub(super) fn if_any<S: Copy>(symbols: &[S], number: u64) -> Option<Option<S>> {
    number.checked_sub(1).map_or(Some(None), |number| of(symbols, number).map(Some))
}

impl Symbols {
    pub(super) fn subject(&self, cursor: &mut Cursor<'_>) -> Option<Subject> {
        Some(Subject {
            team: if_any(&self.teams, cursor.number()?)?,
            service: if_any(&self.services, cursor.number()?)?,
            capability: if_any(&self.capabilities, cursor.number()?)?,
        })
    }

    fn wanted<'a>(&self, cursor: &mut Cursor<'a>) -> Option<Wanted<'a>> {
        let at = cursor.at()?;
        Some(Wanted { at, source: of(&self.sources, cursor.number()?)?, id: cursor.text()? })
    }

    fn registration(&self, cursor: &mut Cursor<'_>) -> Option<Option<Registration>> {
        let flags = cursor.byte()?;
        let flag = |bit: u8| flags >> bit & 1 == 1;
        if !flag(0) {
            return Some(None);
        }
        Some(Some(Registration {
            owner: if_any(&self.teams, cursor.number()?)?,
            team: if_any(&self.teams, cursor.number()?)?,
            preexisting: flag(1),
            mandated: flag(2).then(|| flag(3)),
            observed_since: if flag(4) { Some(cursor.at()?) } else { None },
        }))
    }
}

fn ending(byte: u8) -> Option<Option<Ending>> {
    let Some(byte) = byte.checked_sub(1) else { return Some(None) };
    let outcome = match byte / 2 {
        0 => Outcome::Success,
        1 => Outcome::Failure,
        2 => Outcome::Cancelled,
        _ => return None,
    };
    Some(Some(Ending { outcome, assisted: byte % 2 == 1 }))
}

impl Model {
    /// Decodes one encoding; see [`Model::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::default();
        decoder.encoding(bytes)?;
        decoder.derive().finish()
    }
}

/// Takes an encoding apart into its blocks.
fn blocks(bytes: &[u8]) -> Result<Vec<(BlockHeader, &[u8])>, DecodeError> {
    let mut blocks = Vec::new();
    let mut rest = bytes;
    while let Some((header, behind)) = rest.split_first_chunk() {
        let header = BlockHeader::read(header)?;
        let (payload, behind) = behind.split_at_checked(header.length()).ok_or(DecodeError::Damaged)?;
        blocks.push((header, payload));
        rest = behind;
    }
    let ends = blocks.iter().filter(|(header, _)| header.is_end()).count();
    let ended = ends == 1 && blocks.last().is_some_and(|(header, _)| header.is_end());
    if ended && rest.is_empty() { Ok(blocks) } else { Err(DecodeError::Damaged) }
}
