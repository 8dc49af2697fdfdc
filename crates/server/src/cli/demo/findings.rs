//! What the numbers show, read off the numbers.

use milepost_model::metrics::Spec;

use super::history::{self, Chapter};
use crate::cli::shown::Shape;
use crate::cli::table::{self, Series};

/// The repository took its last changes in the month after this one: numbers from then on tell of its end alone.
const LAST_FULL_MONTH: &str = "2020-10-31";

/// A peak is worth telling if what came before and after it is below this share of it.
const BELOW_PEAK: f64 = 0.75;

/// Changes smaller than this are not worth telling: five points of a share or score, or half as long again.
const SMALLEST: Change = Change { points: 0.05, factor: 1.5 };

struct Change {
    points: f64,
    factor: f64,
}

/// Of every metric what rose most, or else what came and went, and what fell most.
pub(super) fn shown(chapters: &[Chapter]) -> String {
    let months: Vec<_> =
        history::months().into_iter().take_while(|month| month.as_str() <= LAST_FULL_MONTH).collect();
    let lines: Vec<_> = chapters.iter().flat_map(|chapter| findings(chapter, &months)).collect();
    if lines.is_empty() { String::new() } else { format!("What they show:\n{}", lines.concat()) }
}

/// Metrics without any value, and which events would bring them one.
pub(super) fn missing(chapters: &[Chapter]) -> String {
    let silent = chapters.iter().filter(|chapter| chapter.series.is_empty());
    let lines: Vec<_> = silent.map(|chapter| format!("  - {}", absent(chapter.spec))).collect();
    if lines.is_empty() { String::new() } else { format!("No data in this history for:\n{}", lines.concat()) }
}

fn absent(spec: &Spec) -> String {
    format!("{}: it needs events of type {}\n", spec.name, spec.needs.join(", "))
}

fn findings(chapter: &Chapter, months: &[String]) -> Vec<String> {
    let metric = chapter.spec.name;
    let steps: Vec<_> = chapter.series.iter().flat_map(|series| steps(series, months)).collect();
    let largest = |rising: bool| {
        let candidates = steps.iter().filter(|step| step.rises() == rising && step.is_worth_telling());
        candidates.max_by(|a, b| a.size().total_cmp(&b.size())).map(|step| step.told(metric))
    };
    let rise = largest(true).or_else(|| {
        let peaks = chapter.series.iter().filter_map(|series| peak(series, months));
        peaks.min_by(|a, b| a.before().total_cmp(&b.before())).map(|peak| peak.told(metric))
    });
    [rise, largest(false)].into_iter().flatten().collect()
}

fn subject(metric: &str, series: &Series) -> String {
    let name = history::name(series);
    if name.is_empty() { metric.to_owned() } else { format!("{metric}, {name}") }
}

/// Known values of a series, each with its month.
fn known<'a>(series: &Series, months: &'a [String]) -> Vec<(&'a str, f64)> {
    let values = months.iter().zip(&series.values);
    values.filter_map(|(month, value)| Some((month.as_str(), (*value)?))).collect()
}

/// What lies between two neighbouring days of the table that both have a value.
struct Step<'a> {
    series: &'a Series,
    from: (&'a str, f64),
    to: (&'a str, f64),
}

impl Step<'_> {
    fn rises(&self) -> bool {
        self.to.1 > self.from.1
    }

    /// Comparable within a metric: points of shares and scores, the factor between lengths of time.
    fn size(&self) -> f64 {
        let (from, to) = (self.from.1, self.to.1);
        match self.series.shape {
            Shape::Durations => from.max(to) / from.min(to).max(1.0),
            Shape::Ratio | Shape::Score | Shape::Number => (to - from).abs(),
        }
    }

    fn is_worth_telling(&self) -> bool {
        match self.series.shape {
            Shape::Durations => self.size() >= SMALLEST.factor,
            Shape::Ratio => self.size() >= SMALLEST.points,
            Shape::Score => self.size() >= SMALLEST.points * 100.0,
            // What is much depends on what is counted.
            Shape::Number => false,
        }
    }

    fn told(&self, metric: &str) -> String {
        let verb = if self.rises() { "rose" } else { "fell" };
        let shown = |value| table::number(self.series.shape, value);
        let ((from_day, from), (to_day, to)) = (self.from, self.to);
        let subject = subject(metric, self.series);
        format!("  - {subject}: {verb} from {} ({from_day}) to {} ({to_day})\n", shown(from), shown(to))
    }
}

fn steps<'a>(series: &'a Series, months: &'a [String]) -> Vec<Step<'a>> {
    let mut days = known(series, months);
    days.retain(|(month, _)| history::DAYS.iter().any(|(day, _)| day == month));
    days.windows(2).map(|pair| Step { series, from: pair[0], to: pair[1] }).collect()
}

/// A share that came and went.
struct Peak<'a> {
    series: &'a Series,
    first: (&'a str, f64),
    top: (&'a str, f64),
    last: (&'a str, f64),
}

impl Peak<'_> {
    /// Where it began, as a share of its peak.
    fn before(&self) -> f64 {
        self.first.1 / self.top.1
    }

    fn told(&self, metric: &str) -> String {
        let shown = |(month, value)| format!("{} ({month})", table::number(self.series.shape, value));
        let subject = subject(metric, self.series);
        let Self { first, top, last, .. } = *self;
        format!("  - {subject}: from {} up to {}, and down to {}\n", shown(first), shown(top), shown(last))
    }
}

fn peak<'a>(series: &'a Series, months: &'a [String]) -> Option<Peak<'a>> {
    let known = known(series, months);
    let top = known.iter().copied().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    let peak = Peak { series, first: *known.first()?, top, last: *known.last()? };
    let is_one = peak.first.1 < BELOW_PEAK * top.1 && peak.last.1 < BELOW_PEAK * top.1;
    (series.shape == Shape::Ratio && is_one).then_some(peak)
}

#[cfg(test)]
mod tests;
