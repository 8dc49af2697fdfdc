//! Questions to answers: the same way for every metric.

use std::collections::BTreeMap;

use super::tally::{Tally, tally};
use super::view::{Case, Group, View};
use super::{Metric, Series, nps};
use crate::answer::{Answer, ExplainedUnit, Explanation, Kind, Labels, Note, Value};
use crate::config::Config;
use crate::model::Model;
use crate::question::{AsOf, Dimension, Question, QuestionError, Selector};
use crate::time::Day;

/// At most so many answers to one question: more than anyone reads. Each takes about a kilobyte.
pub const MAX_ANSWERS: usize = 50_000;

/// The answers as of one moment, by labels.
pub fn query(
    model: &Model,
    config: &Config,
    metric: &'static dyn Metric,
    selector: &Selector,
    as_of: AsOf,
) -> Result<Vec<Answer>, QuestionError> {
    let question = read(config, metric, selector)?;
    let asked = Asked { model, config, metric, question: &question };
    asked.within_limit(as_of, 1)?;
    Ok(asked.answers(as_of))
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
    let asked = Asked { model, config, metric, question: &question };
    let days = (0..).map(|n: i64| from.plus(n * i64::from(step))).take_while(|day| *day <= to);
    let days: Vec<Day> = days.collect();
    asked.within_limit(AsOf::Day(to), days.len())?;
    if let Some(series) = metric.series(model, config, &question, from, to) {
        return Ok(asked.answers_of(series, from, &days));
    }
    let mut by_labels: BTreeMap<Labels, Vec<Answer>> = BTreeMap::new();
    for answer in days.into_iter().flat_map(|day| asked.answers(AsOf::Day(day))) {
        by_labels.entry(answer.labels.clone()).or_default().push(answer);
    }
    Ok(by_labels.into_values().flatten().collect())
}

/// Units `offset` … `offset + limit` behind the answers as of one moment, and those answers that they are about.
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
    let asked = Asked { model, config, metric, question: &question };
    asked.within_limit(as_of, 1)?;
    let mut answers = asked.answers(as_of);
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
        count: case.count(),
        events: metric.evidence(&view, &case),
    });
    let units: Vec<ExplainedUnit> = units.collect();
    if total > 0 {
        answers.retain(|answer| units.iter().any(|unit| unit.labels == answer.labels));
    }
    Ok(Explanation { definition: metric.spec().definition, answers, total, units })
}

fn read(config: &Config, metric: &dyn Metric, selector: &Selector) -> Result<Question, QuestionError> {
    let spec = metric.spec();
    let question = selector.read(config, spec.parameters, spec.rules, spec.window)?;
    if let Some(by) = question.by.filter(|by| !spec.dimensions.contains(by)) {
        let known: Vec<_> = spec.dimensions.iter().map(|d| d.as_str()).collect();
        let message =
            format!("{} has no meaning by {}: by {} it has", spec.name, by.as_str(), known.join(" or "));
        return Err(QuestionError::new("by", message));
    }
    metric.check(&question)?;
    Ok(question)
}

/// A question, and what answers it.
struct Asked<'a> {
    model: &'a Model,
    config: &'a Config,
    metric: &'static dyn Metric,
    question: &'a Question,
}

impl Asked<'_> {
    /// Whether there are few enough answers as of `days` days, by the groups there are as of the last.
    fn within_limit(&self, last: AsOf, days: usize) -> Result<(), QuestionError> {
        let view = View::new(self.metric, self.model, self.config, self.question, last.instant());
        let answers = view.groups().len().saturating_mul(days);
        if answers <= MAX_ANSWERS {
            return Ok(());
        }
        let (field, way) =
            if days > 1 { ("step", "a larger step, a shorter range, or ") } else { ("by", "") };
        let message = format!(
            "there would be {answers} answers, at most {MAX_ANSWERS} are given: take {way}only one capability, team or service"
        );
        Err(QuestionError::new(field, message))
    }

    fn answers(&self, as_of: AsOf) -> Vec<Answer> {
        let spec = self.metric.spec();
        // A filter shows one row of the breakdown along it: what is withheld there must be withheld here.
        let whole = if spec.personal { self.question.widened() } else { None };
        let view = View::new(
            self.metric,
            self.model,
            self.config,
            whole.as_ref().unwrap_or(self.question),
            as_of.instant(),
        );
        let mut groups: Vec<(Labels, Group, Tally)> = tally(self.metric, &view)
            .into_iter()
            .map(|(group, tally)| (view.labels(group), group, tally))
            .collect();
        groups.sort_by(|a, b| a.0.cmp(&b.0));
        let withheld = if whole.is_some() { withheld(&groups, self.config.min_group) } else { Vec::new() };
        let wanted = |labels: &Labels| {
            let mut filters = self.question.filters();
            filters.all(|(dimension, name)| labels.get(dimension.as_str()).is_some_and(|label| label == name))
        };
        groups
            .into_iter()
            .enumerate()
            .filter(|(_, (labels, ..))| wanted(labels))
            .map(|(place, (labels, group, mut tally))| {
                let mut notes = mandated(&view, group);
                if withheld.contains(&place) {
                    notes.push(Note::Withheld);
                    let (value, counts) = (Tally::nothing(spec.kind), BTreeMap::new());
                    return Answer { metric: spec.name, labels, as_of, value, counts, notes };
                }
                let mut counts = tally.counts(spec);
                if spec.kind == Kind::Score && !nps::invitations_known(&tally) {
                    counts.remove("invited");
                }
                let value = match spec.kind {
                    Kind::Number => Value::Number(self.metric.number(&view, group, &tally)),
                    kind => tally.value(kind, self.question.estimator),
                };
                Answer { metric: spec.name, labels, as_of, value, counts, notes }
            })
            .collect()
    }

    /// Answers from values that begin with the day `from`.
    fn answers_of(&self, series: Series, from: Day, days: &[Day]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(series.len() * days.len());
        let views: Vec<View<'_>> = days
            .iter()
            .map(|day| View::new(self.metric, self.model, self.config, self.question, day.end()))
            .collect();
        let mut labelled: Vec<_> = series
            .into_iter()
            .filter_map(|(group, ratios)| Some((views.last()?.labels(group), group, ratios)))
            .collect();
        labelled.sort_by(|a, b| a.0.cmp(&b.0));
        for (labels, group, ratios) in labelled {
            let appeared = group.capability.and_then(|c| self.model.traces.capability_appeared(c));
            let seen = days.iter().zip(&views).filter(|(_, view)| view.appeared(appeared));
            answers.extend(seen.map(|(day, view)| Answer {
                metric: self.metric.spec().name,
                labels: labels.clone(),
                as_of: AsOf::Day(*day),
                value: Value::Ratio(Some(ratios[(day.number() - from.number()) as usize])),
                counts: BTreeMap::new(),
                notes: mandated(view, group),
            }));
        }
        answers
    }
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
            (Dimension::Slo, &self.slo),
        ]
        .into_iter()
        .filter_map(|(dimension, name)| Some((dimension, name.as_deref()?)))
    }

    /// The breakdown of which this narrowed question shows one row: along what it is broken down by, or its last filter.
    fn widened(&self) -> Option<Self> {
        let along = self.by.or_else(|| self.filters().last().map(|(dimension, _)| dimension))?;
        let mut whole = Self { by: Some(along), ..self.clone() };
        match along {
            Dimension::Capability => whole.capability = None,
            Dimension::Team => whole.team = None,
            Dimension::Service => whole.service = None,
            Dimension::Slo => whole.slo = None,
        }
        Some(whole)
    }
}
