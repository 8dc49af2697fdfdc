//! `milepost query`: answers, as a table, JSON or CSV.

use clap::{Args, ValueEnum};
use milepost_model::time::SpanError;
use milepost_model::{Day, Span};

use super::asking::{PlaceArgs, SelectorArgs, given, nothing, print};
use super::{shown, table};
use crate::answers::text::Format;
use crate::answers::{AskError, Parameters};

/// Answer a question about a metric.
///
/// Without a day the answer is as of now. Without --by, metrics about capabilities answer for every capability that has
/// appeared.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = HELP)]
#[allow(clippy::doc_markdown, reason = "these comments are the help text")]
pub(super) struct QueryArgs {
    /// The metric, such as market_share; an unknown one lists them all.
    metric: String,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Output,
    #[command(flatten)]
    selector: SelectorArgs,
    /// As of the end of this day: 2026-07-01.
    #[arg(long, value_name = "DAY", conflicts_with_all = ["from", "to", "step"], help_heading = "As of when")]
    as_of: Option<String>,
    /// The first day of a range.
    #[arg(long, value_name = "DAY", requires = "to", help_heading = "As of when")]
    from: Option<String>,
    /// The last day of a range.
    #[arg(long, value_name = "DAY", requires = "from", help_heading = "As of when")]
    to: Option<String>,
    /// Every so many days of the range [default: 1d].
    #[arg(long, value_name = "DAYS", requires = "from", help_heading = "As of when")]
    step: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Output {
    /// For people; a range is drawn as a sparkline per series.
    #[default]
    Table,
    /// An array with one answer a line.
    Json,
    /// A header and one row for each answer.
    Csv,
}

const HELP: &str = "\
Examples:
  milepost query market_share --data milepost-data
  milepost query keep_rate --capability ci --horizon 30d --as-of 2026-06-30 --data milepost-data
  milepost query onboarding_time --by team --format csv --server http://127.0.0.1:7171
  milepost query self_service_rate --from 2026-01-01 --to 2026-06-30 --step 7d --data milepost-data

Columns of CSV: metric; capability, team and service, as far as the metric can be broken down by them, and any \
further label; as_of; value, numerator, denominator, low, high (ratios), seconds_0.5, seconds_0.9 (durations) or \
value, low, high (scores); counts and notes as name=value;name=value. An empty cell means no value, which is not 0.

Exit codes: 0 answered, 1 failed, 2 a question that cannot be answered.";

impl QueryArgs {
    /// Asks and prints.
    pub(super) fn run(&self) -> Result<(), AskError> {
        let source = self.place.source()?;
        let parameters = self.parameters();
        match self.format {
            Output::Json => print(&source.query(&self.metric, &parameters, Format::Json)?),
            Output::Csv => print(&source.query(&self.metric, &parameters, Format::Csv)?),
            Output::Table => {
                let json = source.query(&self.metric, &parameters, Format::Json)?;
                let table = self.table(&json)?;
                print(&table.unwrap_or_else(|| nothing(&source, &self.metric, &parameters)))
            }
        }
    }

    fn parameters(&self) -> Parameters {
        let mut parameters = self.selector.parameters();
        parameters.extend(given([
            ("as_of", &self.as_of),
            ("from", &self.from),
            ("to", &self.to),
            ("step", &self.step),
        ]));
        parameters
    }

    /// None where there is no answer.
    fn table(&self, json: &str) -> Result<Option<String>, AskError> {
        let answers = shown::answers(json).map_err(|error| AskError::Failed(error.to_string()))?;
        let Some(first) = answers.first() else { return Ok(None) };
        Ok(Some(match (&self.from, &self.to) {
            (Some(from), Some(to)) => {
                format!(
                    "{} from {from} to {to}\n{}\n",
                    self.metric,
                    table::range(&self.days(from, to)?, &answers)
                )
            }
            _ => format!("{} as of {}\n{}\n", self.metric, first.as_of, table::moment(&answers)),
        }))
    }

    /// The days of a range that has been answered.
    fn days(&self, from: &str, to: &str) -> Result<Vec<String>, AskError> {
        let unreadable = |error: SpanError| AskError::Failed(error.to_string());
        let (from, to): (Day, Day) = (from.parse().map_err(unreadable)?, to.parse().map_err(unreadable)?);
        let step: Span = self.step.as_deref().unwrap_or("1d").parse().map_err(unreadable)?;
        let step = step.whole_days().map_err(unreadable)?;
        Ok((from.number()..=to.number())
            .step_by(step as usize)
            .map(|n| Day::from_number(n).to_string())
            .collect())
    }
}
