//! Answers as whoever asked for them reads them: the JSON contract, from the reader's side. Tables are drawn from this
//! alone, so that they show the same whether the answers come from a data directory or from a server.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// What kind of number an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Ratio,
    Durations,
    Score,
    Number,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Shown {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) as_of: String,
    pub(super) value: Option<f64>,
    pub(super) numerator: Option<u64>,
    pub(super) denominator: Option<u64>,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    #[serde(default)]
    pub(super) quantiles: BTreeMap<String, Option<u64>>,
    pub(super) counts: BTreeMap<String, u64>,
    #[serde(default)]
    pub(super) notes: Vec<String>,
    #[serde(skip, default = "score")]
    pub(super) shape: Shape,
}

/// An explanation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ShownExplanation {
    pub(super) definition: String,
    /// For [`read`].
    pub(super) answers: Vec<Map<String, Value>>,
    pub(super) units: Vec<ShownUnit>,
    pub(super) total_units: usize,
    pub(super) next_page_token: String,
}

/// A unit of an explanation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ShownUnit {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) unit: String,
    pub(super) class: String,
    pub(super) part: String,
    pub(super) events: Vec<ShownEvent>,
    pub(super) event_count: u64,
    /// Those of them that retention has dropped.
    #[serde(default)]
    pub(super) dropped_event_count: u64,
}

/// An event behind a unit.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ShownEvent {
    pub(super) source: String,
    pub(super) id: String,
    pub(super) occurred_at: String,
}

/// Reads an array of answers.
pub(super) fn answers(json: &str) -> serde_json::Result<Vec<Shown>> {
    read(serde_json::from_str(json)?)
}

/// Reads answers that have been taken apart already.
pub(super) fn read(objects: Vec<Map<String, Value>>) -> serde_json::Result<Vec<Shown>> {
    objects.into_iter().map(answer).collect()
}

fn answer(object: Map<String, Value>) -> serde_json::Result<Shown> {
    let shape = if object.contains_key("quantiles") {
        Shape::Durations
    } else if object.contains_key("numerator") {
        Shape::Ratio
    } else if object.contains_key("low") {
        Shape::Score
    } else {
        Shape::Number
    };
    Ok(Shown { shape, ..serde_json::from_value(Value::Object(object))? })
}

fn score() -> Shape {
    Shape::Score
}
