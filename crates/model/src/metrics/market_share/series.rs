//! A year of days at once, by bit arithmetic: 64 days to a word, and all units of a capability added up in columns of
//! bits.

use super::{AdoptingUnit, Metric};
use crate::answer::Ratio;
use crate::config::{CapabilityConfig, Config};
use crate::metrics::Series;
use crate::metrics::view::{Group, View};
use crate::model::Model;
use crate::model::adoption::Pairs;
use crate::model::lifecycle::Lives;
use crate::model::names::{Names, Symbol};
use crate::question::{Question, Unit};
use crate::time::{Day, Timestamp};

/// The values as of the end of each day of `from` … `to`, one group a capability. Only for the whole installation.
pub(super) fn series(
    metric: &dyn Metric,
    model: &Model,
    config: &Config,
    question: &Question,
    from: Day,
    to: Day,
) -> Option<Series> {
    if question.by.is_some_and(|by| by != crate::question::Dimension::Capability)
        || question.team.is_some()
        || question.service.is_some()
    {
        return None;
    }
    let view = View::new(metric, model, config, question, to.end());
    Some(match question.unit {
        Unit::Team => {
            let alive =
                |days: Days| lives(days, &model.team_names, &model.teams, |t| model.traces.team_appeared(t));
            of_units(&view, &model.adoption.teams, from, to, alive)
        }
        Unit::Service => {
            let alive = |days: Days| {
                lives(days, &model.service_names, &model.services, |s| model.traces.service_appeared(s))
            };
            of_units(&view, &model.adoption.services, from, to, alive)
        }
    })
}

fn of_units<U: AdoptingUnit>(
    view: &View<'_>,
    pairs: &Pairs<U>,
    from: Day,
    to: Day,
    alive: impl Fn(Days) -> Vec<Vec<u64>>,
) -> Series {
    let window = view.question.window;
    let days = Days::covering(from.plus(1 - i64::from(window)), to);
    let alive = alive(days);
    let units = || (0..alive.len()).map(U::from_index);
    let mut everyone = Columns::new(days.words);
    units().for_each(|unit| everyone.add(&alive[unit.index()]));
    let (mut used, mut series) = (vec![0; days.words], Series::new());
    for capability in view.capabilities() {
        let name = view.model.capability_names.text(capability);
        let all_eligible =
            view.config.capabilities.get(name).is_none_or(CapabilityConfig::everyone_is_eligible);
        let mut using = Columns::new(days.words);
        let users = pairs.of(capability);
        for (index, unit) in users.days().units() {
            if all_eligible || unit.eligible(view, capability) {
                users.days().copy_words(index, days.first_word, &mut used);
                days.extend(users.early(unit), window, &mut used);
                used.iter_mut().zip(&alive[unit.index()]).for_each(|(used, alive)| *used &= alive);
                using.add(&used);
            }
        }
        let mut eligible = Columns::new(0);
        if !all_eligible {
            eligible = Columns::new(days.words);
            let some = units().filter(|unit| unit.eligible(view, capability));
            some.for_each(|unit| eligible.add(&alive[unit.index()]));
        }
        let of = if all_eligible { &everyone } else { &eligible };
        let ratios = (from.number()..=to.number()).map(|number| {
            let bit = (number - days.first_word * 64) as usize;
            Ratio { numerator: using.sum(bit), denominator: of.sum(bit) }
        });
        series.push((Group { capability: Some(capability), ..Group::default() }, ratios.collect()));
    }
    series
}

/// A range of whole words of days.
#[derive(Clone, Copy)]
struct Days {
    first_word: i32,
    words: usize,
}

impl Days {
    fn covering(from: Day, to: Day) -> Self {
        let first_word = from.number().div_euclid(64);
        Self { first_word, words: (to.number().div_euclid(64) - first_word + 1) as usize }
    }

    /// Sets the bits of `from` … `to` (not included, `None`: to the end).
    fn fill(self, bits: &mut [u64], from: Day, to: Option<Day>) {
        let place =
            |day: Day| (i64::from(day.number()) - i64::from(self.first_word) * 64).clamp(0, self.bits());
        let (from, to) = (place(from), to.map_or(self.bits(), place));
        for bit in from..to {
            bits[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    fn bits(self) -> i64 {
        self.words as i64 * 64
    }

    /// From the days of use to the days as of whose end there was a use in the trailing `window`.
    fn extend(self, early: &[(Timestamp, Timestamp)], window: u32, used: &mut [u64]) {
        // Doubling what is covered: after the step, each bit stands for a use on its day or the `covered - 1` before.
        let mut covered = 1;
        while covered < window {
            let step = covered.min(window - covered);
            shift_or(used, step as usize);
            covered += step;
        }
        for (at, known) in early {
            self.fill(used, at.max(known).day(), Some(at.day().plus(i64::from(window))));
        }
    }
}

/// `bits |= bits << step`.
fn shift_or(bits: &mut [u64], step: usize) {
    let (words, rest) = (step / 64, step % 64);
    for at in (words..bits.len()).rev() {
        let high = bits[at - words] << rest;
        let low = if rest > 0 && at > words { bits[at - words - 1] >> (64 - rest) } else { 0 };
        bits[at] |= high | low;
    }
}

/// The days at whose end each name exists.
fn lives<S: Symbol>(
    days: Days,
    names: &Names<S>,
    lives: &Lives<S>,
    appeared: impl Fn(S) -> Option<Timestamp>,
) -> Vec<Vec<u64>> {
    let alive = |name: S| {
        let mut bits = vec![0; days.words];
        let Some(first) = appeared(name) else { return bits };
        days.fill(&mut bits, first.day(), None);
        let mut retired = vec![0; days.words];
        lives.of(name).retired_spans().into_iter().for_each(|(from, to)| days.fill(&mut retired, from, to));
        bits.iter_mut().zip(retired).for_each(|(alive, retired)| *alive &= !retired);
        bits
    };
    names.all().map(alive).collect()
}

/// So many bits hold the sum of a column: units are counted in 32.
const PLANES: usize = 32;

/// Sums of many bit sets, day by day, held as columns of bits: plane p of a word holds bit p of the sum of each of its
/// 64 days. Adding a word to all 64 sums costs as many steps as its carries run far.
struct Columns {
    planes: Vec<[u64; PLANES]>,
}

impl Columns {
    fn new(words: usize) -> Self {
        Self { planes: vec![[0; PLANES]; words] }
    }

    fn add(&mut self, bits: &[u64]) {
        for (planes, bits) in self.planes.iter_mut().zip(bits) {
            let mut carry = *bits;
            for plane in planes {
                if carry == 0 {
                    break;
                }
                (*plane, carry) = (*plane ^ carry, *plane & carry);
            }
        }
    }

    fn sum(&self, bit: usize) -> u64 {
        self.planes[bit / 64].iter().enumerate().map(|(p, plane)| (plane >> (bit % 64) & 1) << p).sum()
    }
}
