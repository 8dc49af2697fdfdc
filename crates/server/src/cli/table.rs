//! Answers for people: tables, and sparklines for ranges.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle};

use super::shown::{Shape, Shown, ShownExplanation};

/// Longer series are thinned out to this many marks, or fewer where the terminal is narrow.
const MOST_MARKS: usize = 48;
const FEWEST_MARKS: usize = 8;

/// What the columns of a range take beside labels and sparkline: first, last, min and max.
const RANGE_NUMBERS: usize = 44;

const NONE: &str = "–";

const LINE: LineStyle = LineStyle::none().fill('─').junction('─');

/// Lines around the header and at the end, none between rows: values that are compared stand close.
const STYLE: TableStyle = TableStyle::new().top_border(LINE).header_separator(LINE).bottom_border(LINE);

/// A column of a table.
pub(super) struct Column {
    title: String,
    /// Numbers stand at the right.
    is_number: bool,
    /// Not broken into lines, however narrow the terminal.
    is_whole: bool,
}

impl Column {
    /// Of words.
    pub(super) fn text(title: impl Into<String>) -> Self {
        Self { title: title.into(), is_number: false, is_whole: false }
    }

    /// Of numbers.
    pub(super) fn number(title: impl Into<String>) -> Self {
        Self { title: title.into(), is_number: true, is_whole: true }
    }

    /// Of sparklines.
    pub(super) fn line(title: impl Into<String>) -> Self {
        Self { title: title.into(), is_number: false, is_whole: true }
    }
}

/// Answers as of one moment.
pub(super) fn moment(answers: &[Shown]) -> String {
    let labels = label_names(answers.iter().map(|answer| &answer.labels));
    let shape = answers.first().map_or(Shape::Ratio, |answer| answer.shape);
    let quantiles: BTreeSet<&String> = answers.iter().flat_map(|answer| answer.quantiles.keys()).collect();

    let mut columns: Vec<Column> = labels.iter().map(|label| Column::text(*label)).collect();
    match shape {
        Shape::Ratio => columns.extend(["value", "95 % interval", "of"].map(Column::number)),
        Shape::Score => columns.extend(["value", "95 % interval"].map(Column::number)),
        Shape::Number => columns.push(Column::number("value")),
        Shape::Durations => columns.extend(quantiles.iter().map(|q| Column::number(quantile_name(q)))),
    }
    columns.extend(["counts", "notes"].map(Column::text));

    let mut answers: Vec<&Shown> = answers.iter().collect();
    answers.sort_by_cached_key(|answer| {
        label_cells(&labels, &answer.labels).iter().map(|label| natural(label)).collect::<Vec<_>>()
    });
    let rows = answers.into_iter().map(|answer| {
        let mut row: Vec<String> = label_cells(&labels, &answer.labels);
        row.extend(value_cells(answer, &quantiles));
        row.push(counts(&answer.counts));
        row.push(answer.notes.join(", "));
        row
    });
    drawn(&columns, rows)
}

fn value_cells(answer: &Shown, quantiles: &BTreeSet<&String>) -> Vec<String> {
    let shape = answer.shape;
    let value = or_none(answer.value.map(|value| number(shape, value)));
    let interval = answer.low.zip(answer.high);
    let interval =
        or_none(interval.map(|(low, high)| format!("{} … {}", number(shape, low), number(shape, high))));
    let of = or_none(answer.numerator.zip(answer.denominator).map(|(n, d)| format!("{n}/{d}")));
    let seconds = |q: &&String| {
        let seconds = answer.quantiles.get(*q).copied().flatten();
        or_none(seconds.map(|seconds| number(shape, seconds as f64)))
    };
    match shape {
        Shape::Ratio => vec![value, interval, of],
        Shape::Score => vec![value, interval],
        Shape::Number => vec![value],
        Shape::Durations => quantiles.iter().map(seconds).collect(),
    }
}

/// Answers as of each of these days: one line for each series.
pub(super) fn range(days: &[String], answers: &[Shown]) -> String {
    let series = series(days, answers);
    let labels = label_names(series.iter().map(|series| &series.labels));
    let mut columns: Vec<Column> = labels.iter().map(|label| Column::text(*label)).collect();
    columns.extend([Column::text(""), Column::line("")]);
    columns.extend(["first", "last", "min", "max"].map(Column::number));

    let longest = |series: &Series| {
        series.labels.values().chain([&series.name]).map(|label| label.chars().count() + 3).sum()
    };
    let marks = marks_beside(series.iter().map(longest).max().unwrap_or(0) + RANGE_NUMBERS);
    let rows = series.iter().map(|series| {
        let values = || series.values.iter().flatten().copied();
        let shown = |value: Option<f64>| or_none(value.map(|value| number(series.shape, value)));
        let mut row = label_cells(&labels, &series.labels);
        row.extend([
            series.name.clone(),
            sparkline(&series.values, marks),
            shown(values().next()),
            shown(values().last()),
            shown(values().reduce(f64::min)),
            shown(values().reduce(f64::max)),
        ]);
        row
    });
    drawn(&columns, rows)
}

/// The units behind answers.
pub(super) fn units(explanation: &ShownExplanation) -> String {
    let labels = label_names(explanation.units.iter().map(|unit| &unit.labels));
    let mut columns: Vec<Column> = labels.iter().map(|label| Column::text(*label)).collect();
    columns.extend(["unit", "is", "counts as"].map(Column::text));
    columns.push(Column::number("events"));
    let any_dropped = explanation.units.iter().any(|unit| unit.dropped_event_count > 0);
    if any_dropped {
        columns.push(Column::number("dropped"));
    }
    columns.extend(["first event", "at"].map(Column::text));
    let rows = explanation.units.iter().map(|unit| {
        let mut row = label_cells(&labels, &unit.labels);
        let first = unit.events.first();
        row.extend([unit.unit.clone(), unit.class.clone(), unit.part.clone(), unit.event_count.to_string()]);
        row.extend(any_dropped.then(|| unit.dropped_event_count.to_string()));
        row.extend([
            or_none(first.map(|event| format!("{} {}", event.source, event.id))),
            or_none(first.map(|event| event.occurred_at.clone())),
        ]);
        row
    });
    drawn(&columns, rows)
}

/// The values of one number over time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) labels: BTreeMap<String, String>,
    /// Which quantile, for durations.
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) values: Vec<Option<f64>>,
}

/// Series in the order of their first answers, with a value for each of these days. Where there is no answer, as
/// before a capability appears, there is a gap: the marks of all series stand for the same days.
pub(super) fn series(days: &[String], answers: &[Shown]) -> Vec<Series> {
    let days: BTreeMap<&str, usize> = days.iter().map(String::as_str).zip(0..).collect();
    let mut series: Vec<Series> = Vec::new();
    let mut places: BTreeMap<(&BTreeMap<String, String>, &str), usize> = BTreeMap::new();
    for answer in answers {
        let Some(day) = days.get(answer.as_of.as_str()) else { continue };
        for (name, value) in numbers(answer) {
            let place = *places.entry((&answer.labels, name)).or_insert_with(|| {
                series.push(Series {
                    labels: answer.labels.clone(),
                    name: if name.is_empty() { String::new() } else { quantile_name(name) },
                    shape: answer.shape,
                    values: vec![None; days.len()],
                });
                series.len() - 1
            });
            series[place].values[*day] = value;
        }
    }
    series
}

fn numbers(answer: &Shown) -> Vec<(&str, Option<f64>)> {
    match answer.shape {
        Shape::Ratio | Shape::Score | Shape::Number => vec![("", answer.value)],
        Shape::Durations => {
            answer.quantiles.iter().map(|(q, seconds)| (q.as_str(), seconds.map(|s| s as f64))).collect()
        }
    }
}

/// One mark for each value, from the smallest to the largest of the series; no value, no mark. A series longer than
/// `width` is thinned out: each mark is then the last value there is of those it stands for.
pub(super) fn sparkline(values: &[Option<f64>], width: usize) -> String {
    const MARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let known = || values.iter().flatten().copied();
    let (Some(low), Some(high)) = (known().reduce(f64::min), known().reduce(f64::max)) else {
        return " ".repeat(values.len().min(width));
    };
    let mark = |value: f64| {
        let height = if high > low { (value - low) / (high - low) } else { 0.0 };
        MARKS[(height * MARKS.len() as f64).min(MARKS.len() as f64 - 1.0) as usize]
    };
    let marks = values.len().min(width);
    (0..marks)
        .map(|index| {
            let stands_for = &values[index * values.len() / marks..(index + 1) * values.len() / marks];
            stands_for.iter().rev().flatten().next().map_or(' ', |value| mark(*value))
        })
        .collect()
}

/// A number as its kind is read: a percentage, a length of time, a signed score.
pub(super) fn number(shape: Shape, value: f64) -> String {
    match shape {
        Shape::Ratio => format!("{:.1} %", value * 100.0),
        Shape::Durations => duration(value as u64),
        Shape::Score => format!("{value:+.1}"),
        Shape::Number => format!("{value:.2}"),
    }
}

/// Whole days from ten of them on, else the two largest units.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let parts = match (days, hours, minutes) {
        (0, 0, 0) => return format!("{seconds}s"),
        (10.., ..) => return format!("{days}d"),
        (0, 0, _) => [(minutes, "m"), (seconds % 60, "s")],
        (0, ..) => [(hours, "h"), (minutes, "m")],
        _ => [(days, "d"), (hours, "h")],
    };
    let shown: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    shown.join(" ")
}

fn quantile_name(q: &str) -> String {
    if q == "0.5" { "median".to_owned() } else { format!("q {q}") }
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    let shown: Vec<_> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if shown.is_empty() { NONE.to_owned() } else { shown.join(", ") }
}

fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| NONE.to_owned())
}

fn label_names<'a>(labels: impl Iterator<Item = &'a BTreeMap<String, String>>) -> Vec<&'a str> {
    labels.flat_map(BTreeMap::keys).map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect()
}

fn label_cells(names: &[&str], labels: &BTreeMap<String, String>) -> Vec<String> {
    names.iter().map(|name| labels.get(*name).cloned().unwrap_or_default()).collect()
}

/// Sorts `7d` before `14d`, and names by their letters.
fn natural(label: &str) -> (u64, String) {
    let digits = label.bytes().take_while(u8::is_ascii_digit).count();
    (label[..digits].parse().unwrap_or(u64::MAX), label.to_owned())
}

/// How many marks of a sparkline fit beside columns of this width.
pub(super) fn marks_beside(columns: usize) -> usize {
    let terminal = Table::new().width().map_or(usize::MAX, usize::from);
    terminal.saturating_sub(columns).clamp(FEWEST_MARKS, MOST_MARKS)
}

/// A table without the columns that are empty in every row.
pub(super) fn drawn(columns: &[Column], rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let kept = (0..columns.len()).filter(|place| rows.iter().any(|row| !row[*place].is_empty()));
    let kept: Vec<usize> = kept.collect();

    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(kept.iter().map(|place| columns[*place].title.as_str()));
    for row in &rows {
        table.add_row(kept.iter().map(|place| row[*place].as_str()));
    }
    let last = kept.last().copied();
    for (column, place) in table.column_iter_mut().zip(kept.iter().copied()) {
        // Nothing beside the outer columns: a narrow terminal has no room for it.
        let (left, right) = (place != kept[0], Some(place) != last);
        column.set_padding((u16::from(left), u16::from(right)));
        if columns[place].is_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if columns[place].is_whole {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.trim_fmt()
}

/// Names are what senders chose: a terminal must not take one for a command.
pub(super) fn plain(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
