//! Text forms of answers. JSON: an array of the objects of [`Answer`], one a line. CSV: a header, then one row for each.

use milepost_model::Answer;
use milepost_model::answer::{Kind, Ratio, Value};
use milepost_model::metrics::{self, QUANTILES, Spec};

use super::{AskError, Explained};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Format {
    #[default]
    Json,
    Csv,
}

impl Format {
    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

/// Answers in a form.
pub fn write(format: Format, spec: &Spec, answers: &[Answer]) -> Result<String, AskError> {
    match format {
        Format::Json => json(answers).map_err(|error| AskError::Failed(error.to_string())),
        Format::Csv => Ok(csv(spec, answers)),
    }
}

/// A page of an explanation, as JSON.
pub fn explanation(explained: &Explained) -> Result<String, AskError> {
    let json = serde_json::to_string(explained).map_err(|error| AskError::Failed(error.to_string()))?;
    Ok(json + "\n")
}

/// A JSON array with one answer a line, so that lines can be compared and searched.
fn json(answers: &[Answer]) -> Result<String, serde_json::Error> {
    // There may be tens of thousands of them, each about as long as the first: a text that grows by doubling would for a
    // moment be there twice.
    let first = answers.first().map(serde_json::to_string).transpose()?;
    let expected = first.map_or(0, |first| (first.len() + 16) * answers.len());
    let mut text = String::with_capacity(expected + 8);
    text.push('[');
    for (index, answer) in answers.iter().enumerate() {
        if index > 0 {
            text.push_str(",\n");
        }
        text.push_str(&serde_json::to_string(answer)?);
    }
    text.push_str("]\n");
    Ok(text)
}

/// Columns: metric, the dimensions of the metric and the label of its points if it has several, `as_of`, the value with what belongs
/// to it, counts and notes as `name=value;…`. They are the same whatever the answers are. No value: an empty cell.
fn csv(spec: &Spec, answers: &[Answer]) -> String {
    let mut labels: Vec<&str> = spec.dimensions.iter().map(|d| d.as_str()).collect();
    labels.extend(metrics::find(spec.name).ok().and_then(|metric| metric.points().first()).map(|p| p.label));

    let mut header = vec!["metric".to_owned()];
    header.extend(labels.iter().map(|label| (*label).to_owned()));
    header.push("as_of".to_owned());
    header.extend(value_columns(spec.kind));
    header.extend(["counts".to_owned(), "notes".to_owned()]);

    let rows = answers.iter().map(|answer| {
        let mut row = vec![answer.metric.to_owned()];
        row.extend(labels.iter().map(|label| answer.labels.get(label).cloned().unwrap_or_default()));
        row.push(answer.as_of.to_string());
        row.extend(value_cells(&answer.value));
        row.push(joined(answer.counts.iter().map(|(name, count)| format!("{name}={count}"))));
        row.push(joined(answer.notes.iter().map(|note| note.as_str().to_owned())));
        row
    });
    std::iter::once(header).chain(rows).map(|row| line(&row)).collect()
}

fn value_columns(kind: Kind) -> Vec<String> {
    let names: &[&str] = match kind {
        Kind::Ratio => &["value", "numerator", "denominator", "low", "high"],
        Kind::Score => &["value", "low", "high"],
        Kind::Number => &["value"],
        Kind::Durations => return QUANTILES.iter().map(|(name, _)| format!("seconds_{name}")).collect(),
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn value_cells(value: &Value) -> Vec<String> {
    match value {
        Value::Ratio(ratio) => {
            let interval = ratio.and_then(Ratio::interval);
            vec![
                cell(ratio.and_then(Ratio::value)),
                cell(ratio.map(|r| r.numerator)),
                cell(ratio.map(|r| r.denominator)),
                cell(interval.map(|i| i.0)),
                cell(interval.map(|i| i.1)),
            ]
        }
        Value::Number(number) => vec![cell(*number)],
        Value::Score(score) => {
            let interval = score.and_then(|s| s.interval);
            vec![cell(score.map(|s| s.value)), cell(interval.map(|i| i.0)), cell(interval.map(|i| i.1))]
        }
        Value::Durations(quantiles) => {
            QUANTILES.iter().map(|(name, _)| cell(quantiles.get(name).copied().flatten())).collect()
        }
    }
}

fn cell(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(";")
}

/// RFC 4180, with a plain line feed.
fn line(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| quoted(cell)).collect();
    cells.join(",") + "\n"
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}
