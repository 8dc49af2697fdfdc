//! The Model as bytes: facts as they are, without what is derived from them.
//!
//! An encoding is a sequence of blocks. A block has a kind, a length, a CRC-32 and a payload; the last one says how many there
//! are. So what is cut off, mixed up or changed is noticed, and is an error.
//!
//! **A Model that goes on changing can be encoded block by block.** Each block holds its facts as they are when it is made,
//! so the whole is of no one moment, but of the time from the first block to the last. Facts are sets, and adding to a
//! set or taking from it twice is as once. So whoever decodes does once more what was done to the Model since the first block:
//! takes away the facts of every event that was replaced since, then adds those of every event that came since and is still a
//! winner. What the later blocks had of that already is done once more without effect, and what is derived is derived from
//! the facts that were decoded. Hence:
//!
//! 1. Decoding gives a Model with every fact that was encoded, and all that is derived from them.
//! 2. If all blocks are made of one Model, that is the same Model.
//! 3. Else it is, after the events since the first block are done once more, the same as the Model is then.

use super::Model;
use super::encoded::Kind;
use super::facts;
use super::interactions::Ending;
use super::lifecycle::{Life, Registration};
use super::names::{Names, Symbol};
use super::packed::Packer;
use super::place::{Ids, Place};
use super::sorted::Sorted;
use crate::event::Outcome;

/// The form of what is encoded. Data directories keep encodings of events whose contents are gone, so what one version has
/// written every later one must read: a change of the form is another number here, and both are decoded.
pub const FORM: u32 = 2;

/// A block takes no further fact once it has so many bytes: a few milliseconds of work.
const BLOCK: usize = 1 << 20;

/// Encodes a Model block by block.
#[derive(Debug)]
pub struct Encoder {
    kinds: std::slice::Iter<'static, Kind>,
    kind: Option<Kind>,
    /// What comes next of this kind.
    next: usize,
    events: usize,
    position: u64,
    blocks: u64,
    block_bytes: usize,
}

impl Encoder {
    /// Begins. What happens to the Model from now on has to be done once more after decoding.
    pub fn new(model: &Model) -> Self {
        let mut kinds = Kind::WRITTEN.iter();
        let kind = kinds.next().copied();
        Self {
            kinds,
            kind,
            next: 0,
            events: model.events,
            position: model.position,
            blocks: 0,
            block_bytes: BLOCK,
        }
    }

    /// Lets a block end once it has so many bytes.
    #[must_use]
    pub fn with_blocks_of(self, block_bytes: usize) -> Self {
        Self { block_bytes, ..self }
    }

    /// Where the Model was in the log when it began; see [`Model::position`].
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next block, made of the Model as it is now; none after the last one.
    pub fn block(&mut self, model: &Model) -> Option<Vec<u8>> {
        let mut packer = Packer::default();
        let kind = loop {
            let kind = self.kind?;
            let more = self.fill(kind, model, &mut packer);
            if !more {
                self.kind = self.kinds.next().copied();
                self.next = 0;
            }
            if !packer.0.is_empty() {
                break kind;
            }
        };
        self.blocks += 1;
        Some(kind.block(&packer.0))
    }

    /// Adds what is next of a kind until the block is full; whether there is more.
    fn fill(&mut self, kind: Kind, model: &Model, packer: &mut Packer) -> bool {
        match kind {
            Kind::Traces => self.each(model.traces.all.rows(), packer, |packer, (subject, trace)| {
                if trace.marks.is_empty() {
                    return;
                }
                packer.subject(*subject);
                entries(packer, &trace.marks, |packer, mark| mark.pack(packer));
            }),
            // Written in form 1 alone.
            Kind::Deploys => false,
            Kind::Deployments => self.each_of_list(&model.deployments.deploys, packer, |packer, deploy| {
                place(packer, &deploy.place, &model.ids);
                facts::deployment(packer, deploy);
            }),
            Kind::Brought => self.each_of_list(&model.changes.brought, packer, facts::brought),
            Kind::Milestones => {
                self.each(model.changes.milestones.rows(), packer, |packer, (change, known)| {
                    set(packer, known, |packer| packer.name(*change), facts::milestone);
                })
            }
            Kind::Notices => self.each(model.incidents.0.rows(), packer, |packer, (identity, incident)| {
                set(
                    packer,
                    &incident.notices,
                    |packer| facts::identity(packer, *identity),
                    |packer, notice| {
                        place(packer, &notice.place, &model.ids);
                        facts::notice(packer, notice);
                    },
                );
            }),
            Kind::Links => self.each(model.incidents.0.rows(), packer, |packer, (identity, incident)| {
                set(packer, &incident.links, |packer| facts::identity(packer, *identity), facts::link);
            }),
            Kind::Samples => self.each(model.samples.0.rows(), packer, |packer, (stream, samples)| {
                set(packer, samples, |packer| facts::stream(packer, *stream), facts::sample);
            }),
            Kind::Changes => {
                self.each(model.deployments.by_author.rows(), packer, |packer, (pair, deploys)| {
                    let pair = |packer: &mut Packer| {
                        packer.name(pair.0);
                        packer.name(pair.1);
                    };
                    set(packer, deploys, pair, |packer, (at, key, environment)| {
                        packer.at(*at);
                        packer.word(key.0);
                        packer.name_if_any(*environment);
                    });
                })
            }
            Kind::Starts => {
                self.each(model.starts.0.rows(), packer, |packer, ((person, service), starts)| {
                    if starts.is_empty() {
                        return;
                    }
                    packer.name(*person);
                    packer.name(*service);
                    entries(packer, starts, |packer, start| {
                        place(packer, &start.place, &model.ids);
                        packer.name_if_any(start.team);
                    });
                })
            }
            Kind::Interactions => self.each(&model.interactions.all, packer, |packer, interaction| {
                if interaction.turns.is_empty() {
                    return;
                }
                packer.name(interaction.source);
                packer.text(model.ids.texts.get(interaction.id));
                entries(packer, &interaction.turns, |packer, turn| {
                    packer.at(turn.place.at);
                    packer.text(model.ids.id(&turn.place));
                    packer.subject(turn.subject);
                    packer.byte(turn.ending.map_or(0, ending));
                });
            }),
            Kind::Surveys => self.each_of_list(&model.surveys.0, packer, |packer, turn| {
                place(packer, &turn.place, &model.ids);
                packer.subject(turn.subject);
                packer.byte(turn.score.map_or(0, |score| score.saturating_add(1)));
            }),
            Kind::TeamLives => self.each_life(&model.teams.lives, packer, &model.ids),
            Kind::ServiceLives => self.each_life(&model.services.lives, packer, &model.ids),
            Kind::CapabilityLives => self.each_life(&model.capabilities.lives, packer, &model.ids),
            Kind::Teams => self.each_name(&model.team_names, packer),
            Kind::Services => self.each_name(&model.service_names, packer),
            Kind::Capabilities => self.each_name(&model.capability_names, packer),
            Kind::Persons => self.each_name(&model.person_names, packer),
            Kind::Environments => self.each_name(&model.environment_names, packer),
            Kind::Sources => self.each_name(&model.ids.sources, packer),
            Kind::Words => self.each_name(&model.words, packer),
            Kind::End => {
                packer.number(self.events as u64);
                packer.word(self.position);
                packer.number(self.blocks);
                false
            }
        }
    }

    fn each<T>(&mut self, list: &[T], packer: &mut Packer, mut one: impl FnMut(&mut Packer, &T)) -> bool {
        while let Some(item) = list.get(self.next) {
            if packer.0.len() >= self.block_bytes {
                return true;
            }
            one(packer, item);
            self.next += 1;
        }
        false
    }

    /// Sets by the number of what they belong to.
    fn each_of_list<T: Copy>(
        &mut self,
        list: &[Sorted<T>],
        packer: &mut Packer,
        one: impl Fn(&mut Packer, &T),
    ) -> bool {
        let mut number = self.next as u64;
        self.each(list, packer, |packer, set| {
            if !set.is_empty() {
                packer.number(number);
                entries(packer, set, &one);
            }
            number += 1;
        })
    }

    fn each_life(&mut self, lives: &[Life], packer: &mut Packer, ids: &Ids) -> bool {
        let mut number = self.next as u64;
        self.each(lives, packer, |packer, life| {
            if !life.turns.is_empty() {
                packer.number(number);
                entries(packer, &life.turns, |packer, turn| {
                    place(packer, &turn.place, ids);
                    registration(packer, turn.registration.as_ref());
                });
            }
            number += 1;
        })
    }

    fn each_name<S: Symbol>(&mut self, names: &Names<S>, packer: &mut Packer) -> bool {
        while self.next < names.len() {
            if packer.0.len() >= self.block_bytes {
                return true;
            }
            packer.text(names.text(S::from_index(self.next)));
            self.next += 1;
        }
        false
    }
}

/// A set with what it belongs to; nothing if it is empty.
fn set<T: Copy>(
    packer: &mut Packer,
    set: &Sorted<T>,
    owner: impl FnOnce(&mut Packer),
    one: impl Fn(&mut Packer, &T),
) {
    if !set.is_empty() {
        owner(packer);
        entries(packer, set, one);
    }
}

fn entries<T: Copy>(packer: &mut Packer, set: &Sorted<T>, one: impl Fn(&mut Packer, &T)) {
    packer.number(set.len() as u64);
    set.iter().for_each(|entry| one(packer, entry));
}

fn place(packer: &mut Packer, place: &Place, ids: &Ids) {
    packer.at(place.at);
    packer.name(place.source);
    packer.text(ids.id(place));
}

/// From 1 to 6; 0 is for none.
fn ending(ending: Ending) -> u8 {
    let outcome = match ending.outcome {
        Outcome::Success => 0,
        Outcome::Failure => 1,
        Outcome::Cancelled => 2,
    };
    1 + outcome * 2 + u8::from(ending.assisted)
}

fn registration(packer: &mut Packer, registration: Option<&Registration>) {
    let Some(registration) = registration else { return packer.byte(0) };
    let flag = |is: bool, bit: u8| u8::from(is) << bit;
    packer.byte(
        1 | flag(registration.preexisting, 1)
            | flag(registration.mandated.is_some(), 2)
            | flag(registration.mandated == Some(true), 3)
            | flag(registration.observed_since.is_some(), 4),
    );
    packer.name_if_any(registration.owner);
    packer.name_if_any(registration.team);
    registration.observed_since.inspect(|since| packer.at(*since));
}

impl Model {
    /// All of it, in one piece.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(self);
        std::iter::from_fn(|| encoder.block(self)).flatten().collect()
    }
}
