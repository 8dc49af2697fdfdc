//! `milepost explain`: why an answer is what it is.

use clap::{Args, ValueEnum};
use milepost_model::metrics;

use super::asking::{PlaceArgs, SelectorArgs, given, nothing, print};
use super::shown::{self, ShownExplanation};
use super::table;
use crate::answers::{AskError, PageRequest, Parameters, Source};

/// Show who counts in an answer and who does not, and the events behind it.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = HELP)]
#[allow(clippy::doc_markdown, reason = "these comments are the help text")]
pub(super) struct ExplainArgs {
    /// The metric, such as market_share; an unknown one lists them all.
    metric: String,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Output,
    #[command(flatten)]
    selector: SelectorArgs,
    /// As of the end of this day: 2026-07-01 [default: now].
    #[arg(long, value_name = "DAY", help_heading = "As of when")]
    as_of: Option<String>,
    /// Units on a page, at most 1000 [default: 100].
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "Which page"
    )]
    page_size: u32,
    /// The page that follows the one that named this token.
    #[arg(
        long,
        value_name = "TOKEN",
        default_value = "",
        hide_default_value = true,
        help_heading = "Which page"
    )]
    page_token: String,
    #[command(flatten)]
    place: PlaceArgs,
}

/// The form of an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Output {
    /// For people.
    #[default]
    Table,
    /// One object; of each unit it names up to 100 events.
    Json,
}

const HELP: &str = "\
Examples:
  milepost explain keep_rate --capability ci --as-of 2026-06-30 --data milepost-data
  milepost explain nps --format json --server http://127.0.0.1:7171

Exit codes: 0 answered, 1 failed, 2 a question that cannot be answered.";

impl ExplainArgs {
    /// Asks and prints.
    pub(super) fn run(&self) -> Result<(), AskError> {
        let source = self.place.source()?;
        let mut parameters = self.selector.parameters();
        parameters.extend(given([("as_of", &self.as_of)]));
        let json = self.page(&source, &parameters)?;
        match self.format {
            Output::Json => print(&json),
            Output::Table => {
                let table = self.table(&json)?;
                print(&table.unwrap_or_else(|| nothing(&source, &self.metric, &parameters)))
            }
        }
    }

    fn page(&self, source: &Source, parameters: &Parameters) -> Result<String, AskError> {
        let page = PageRequest { size: self.page_size, token: self.page_token.clone() };
        source.explain(&self.metric, parameters, &page)
    }

    /// None where there is no answer.
    fn table(&self, json: &str) -> Result<Option<String>, AskError> {
        let failed = |error: serde_json::Error| AskError::Failed(error.to_string());
        let explanation: ShownExplanation = serde_json::from_str(json).map_err(failed)?;
        let answers = shown::read(explanation.answers.clone()).map_err(failed)?;
        let Some(first) = answers.first() else { return Ok(None) };
        let beginning = format!(
            "{} as of {}\n\n{}\n\n{}\n\n",
            self.metric,
            first.as_of,
            explanation.definition.trim(),
            table::moment(&answers)
        );
        if explanation.total_units == 0 {
            let is_withheld = answers.iter().any(|answer| answer.notes.iter().any(|note| note == "withheld"));
            return Ok(Some(format!("{beginning}{}\n", self.no_units(is_withheld))));
        }
        let next = match explanation.next_page_token.as_str() {
            "" => String::new(),
            token => format!("; the next page: --page-token {token}"),
        };
        Ok(Some(format!(
            "{beginning}{}\n{} of {} units{next}\n",
            table::units(&explanation),
            explanation.units.len(),
            explanation.total_units,
        )))
    }

    fn no_units(&self, is_withheld: bool) -> String {
        if is_withheld {
            return "The units behind it are withheld: they are about too few persons".to_owned();
        }
        let needs = metrics::find(&self.metric).map(|metric| metric.spec().needs.join(", "));
        let needs = needs.map(|types| format!(": it is about events of type {types}")).unwrap_or_default();
        format!("No unit is behind it{needs}")
    }
}
