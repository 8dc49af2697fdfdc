//! Questions to answers: the same way for every metric.

use std::collections::BTreeMap;

use super::tally::{Tally, tally};
use super::view::{Case, Group, View};
use super::{Metric, nps};
use crate::answer::{Answer, ExplainedUnit, Explanation, Kind, Labels, Note, Value};
use crate::config::Config;
use crate::model::Model;
use crate::question::{AsOf, Dimension, Question, QuestionError, Selector};
use crate::time::Day;

/// At most so many answers to one question over a range of days.
const MAX_POINTS: usize = 2_000_000;

/// The answers as of one moment, by labels.
pub fn query(
    model: &Model,
    config: &Config,
    metric: &'static dyn Metric,
    selector: &Selector,
    as_of: AsOf,
) -> Result<Vec<Answer>, QuestionError> {
    let question = read(config, metric, selector)?;
    Ok(answers(model, config, metric, &question, as_of))
}

/// The answers as of every `step`-th day from `from` to `to`, both included, by labels and then by day.
pub fn query_range(
    model: &Model,
    config: &Config,
    metric: &'static dyn Metric,
    selector: &Selector,
    from: Day,
    to: Day,
    step: u32,
) -> Result<Vec<Answer>, QuestionError> {
    let question = read(config, metric, selector)?;
    if from > to {
        return Err(QuestionError::new("from", format!("{from} is after {to}")));
    }
    if step == 0 {
        return Err(QuestionError::new("step", "0d is no step: at least 1d is"));
    }
    let days = || (0..).map(|n: i64| from.plus(n * i64::from(step))).take_while(|day| *day <= to);
    let mut by_labels: BTreeMap<Labels, Vec<Answer>> = BTreeMap::new();
    let mut points = 0;
    let mut put = |answer: Answer| {
        points += 1;
        by_labels.entry(answer.labels.clone()).or_default().push(answer);
        if points > MAX_POINTS {
            let message = format!("more than {MAX_POINTS} answers: take a longer step, a shorter range or fewer groups");
            return Err(QuestionError::new("step", message));
        }
        Ok(())
    };
    if let Some(series) = metric.series(model, config, &question, from, to) {
        let view = View::new(metric, model, config, &question, to.end());
        for (group, ratios) in series {
            let appeared = group.capability.and_then(|c| model.traces.capability_appeared(c));
            for day in days().filter(|day| appeared.is_none_or(|first| first < day.end())) {
                let ratio = ratios[(day.number() - from.number()) as usize];
                let as_of = View::new(metric, model, config, &question, day.end());
                put(Answer {
                    metric: metric.spec().name,
                    labels: view.labels(group),
                    as_of: AsOf::Day(day),
                    value: Value::Ratio(Some(ratio)),
                    counts: BTreeMap::new(),
                    notes: mandated(&as_of, group),
                })?;
            }
        }
    } else {
        for day in days() {
            for answer in answers(model, config, metric, &question, AsOf::Day(day)) {
                put(answer)?;
            }
        }
    }
    Ok(by_labels.into_values().flatten().collect())
}

/// Units `offset` … `offset + limit` behind the answers as of one moment.
pub fn explain(
    model: &Model,
    config: &Config,
    metric: &'static dyn Metric,
    selector: &Selector,
    as_of: AsOf,
    offset: usize,
    limit: usize,
) -> Result<Explanation, QuestionError> {
    let question = read(config, metric, selector)?;
    let answers = answers(model, config, metric, &question, as_of);
    let view = View::new(metric, model, config, &question, as_of.instant());
    let withheld: Vec<&Labels> =
        answers.iter().filter(|a| a.notes.contains(&Note::Withheld)).map(|a| &a.labels).collect();
    let mut cases: Vec<(Labels, String, Case<'_>)> = Vec::new();
    metric.visit(&view, &mut |case| {
        let labels = view.labels(case.group);
        if !withheld.contains(&&labels) {
            cases.push((labels, view.unit_name(case.unit).into_owned(), case));
        }
    });
    cases.sort_by(|a, b| {
        let place = |case: &Case<'_>| (case.class.part, case.class.name);
        a.0.cmp(&b.0).then_with(|| place(&a.2).cmp(&place(&b.2))).then_with(|| a.1.cmp(&b.1))
    });
    let total = cases.len();
    let page = cases.into_iter().skip(offset).take(limit);
    let units = page.map(|(labels, unit, case)| ExplainedUnit {
        labels,
        unit,
        class: case.class.name,
        part: case.class.part,
        events: metric.evidence(&view, &case),
    });
    let units = units.collect();
    Ok(Explanation { definition: metric.spec().definition, answers, total, units })
}

fn read(config: &Config, metric: &dyn Metric, selector: &Selector) -> Result<Question, QuestionError> {
    let spec = metric.spec();
    let question = selector.read(config, spec.parameters, spec.window)?;
    if let Some(by) = question.by.filter(|by| !spec.dimensions.contains(by)) {
        let known: Vec<_> = spec.dimensions.iter().map(|d| d.as_str()).collect();
        let message = format!("{} has no meaning by {}: by {} it has", spec.name, by.as_str(), known.join(" or "));
        return Err(QuestionError::new("by", message));
    }
    metric.check(&question)?;
    Ok(question)
}

fn answers(
    model: &Model,
    config: &Config,
    metric: &'static dyn Metric,
    question: &Question,
    as_of: AsOf,
) -> Vec<Answer> {
    let spec = metric.spec();
    // A filter shows one row of the breakdown along it: what is withheld there must be withheld here.
    let whole = if spec.personal { question.widened() } else { None };
    let asked = whole.as_ref().unwrap_or(question);
    let view = View::new(metric, model, config, asked, as_of.instant());
    let mut groups: Vec<(Labels, Group, Tally)> = tally(metric, &view)
        .into_iter()
        .map(|(group, tally)| (view.labels(group), group, tally))
        .collect();
    groups.sort_by(|a, b| a.0.cmp(&b.0));
    let below_whole = asked.by.is_some() || asked.filters().next().is_some();
    let withheld =
        if spec.personal && below_whole { withheld(&groups, config.min_group) } else { Vec::new() };
    let wanted = |labels: &Labels| {
        question.filters().all(|(dimension, name)| labels.get(dimension.as_str()).is_some_and(|l| l == name))
    };
    groups
        .into_iter()
        .enumerate()
        .filter(|(_, (labels, ..))| wanted(labels))
        .map(|(place, (labels, group, mut tally))| {
            let mut notes = mandated(&view, group);
            let (value, counts) = if withheld.contains(&place) {
                notes.push(Note::Withheld);
                (Tally::nothing(spec.kind), BTreeMap::new())
            } else {
                let mut counts = tally.counts(spec);
                if spec.kind == Kind::Score && !nps::invitations_known(&tally) {
                    counts.remove("invited");
                }
                (tally.value(spec.kind, question.estimator), counts)
            };
            Answer { metric: spec.name, labels, as_of, value, counts, notes }
        })
        .collect()
}

/// The groups about fewer than `least` persons; if that is exactly one, the next smallest too, for it would follow from
/// the others and the whole.
fn withheld(groups: &[(Labels, Group, Tally)], least: u32) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..groups.len()).collect();
    by_size.sort_by_key(|place| groups[*place].2.persons());
    let few = by_size.partition_point(|place| groups[*place].2.persons() < least as usize);
    by_size.truncate(if few == 1 { 2 } else { few });
    by_size
}

fn mandated(view: &View<'_>, group: Group) -> Vec<Note> {
    group.capability.filter(|c| view.mandated(*c)).map(|_| Note::Mandated).into_iter().collect()
}

impl Question {
    /// What the answers are narrowed to.
    pub fn filters(&self) -> impl Iterator<Item = (Dimension, &str)> {
        [
            (Dimension::Capability, &self.capability),
            (Dimension::Team, &self.team),
            (Dimension::Service, &self.service),
        ]
        .into_iter()
        .filter_map(|(dimension, name)| Some((dimension, name.as_deref()?)))
    }

    /// The breakdown of which this narrowed question shows one row: along its last filter.
    fn widened(&self) -> Option<Self> {
        let (last, _) = self.filters().last().filter(|_| self.by.is_none())?;
        let mut whole = Self { by: Some(last), ..self.clone() };
        match last {
            Dimension::Capability => whole.capability = None,
            Dimension::Team => whole.team = None,
            Dimension::Service => whole.service = None,
        }
        Some(whole)
    }
}
