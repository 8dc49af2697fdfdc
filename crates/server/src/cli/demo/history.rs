//! Years of every metric, month by month.

use milepost_model::metrics::{self, Spec};
use milepost_model::{Day, Selector};

use crate::answers::text::{self, Format};
use crate::answers::{self, Ask, AskError};
use crate::cli::shown::{self, Shown};
use crate::cli::table::{self, Column, Series};
use crate::engine::Engine;

const YEARS: std::ops::RangeInclusive<u32> = 2016..=2020;

/// Days that stand in the table, each with its heading: the ends of the years, and two turning points between them.
pub(super) const DAYS: [(&str, &str); 7] = [
    ("2016-12-31", "2016"),
    ("2017-12-31", "2017"),
    ("2018-12-31", "2018"),
    ("2019-06-30", "Jun 19"),
    ("2019-12-31", "2019"),
    ("2020-10-31", "Oct 20"),
    ("2020-12-31", "2020"),
];

/// What the columns of the table take beside the sparkline.
const NUMBERS: usize = 89;

/// Marks of a sparkline: one for two months, or fewer where the terminal is narrow.
const MOST_MARKS: usize = 30;

/// What there is to tell of one metric.
pub(super) struct Chapter {
    pub(super) spec: &'static Spec,
    /// Its numbers that have a value at all, one value for each of [`months`].
    pub(super) series: Vec<Series>,
}

/// Of every metric that is exported, which are the headlines.
pub(super) fn chapters(engine: &Engine) -> Result<Vec<Chapter>, AskError> {
    let headlines = metrics::registry().iter().map(|metric| metric.spec()).filter(|spec| spec.exported);
    headlines.map(|spec| chapter(engine, spec)).collect()
}

fn chapter(engine: &Engine, spec: &'static Spec) -> Result<Chapter, AskError> {
    let mut shown: Vec<Shown> = Vec::new();
    let months = months();
    for month in &months {
        let ask = Ask::moment(spec.name, Selector::default(), month, engine.now())?;
        let json = text::write(Format::Json, spec, &answers::answer(engine, &ask)?)?;
        shown.extend(shown::answers(&json).map_err(|error| AskError::Failed(error.to_string()))?);
    }
    let mut series = table::series(&months, &shown);
    series.retain(|series| series.values.iter().any(Option::is_some));
    Ok(Chapter { spec, series })
}

/// The last day of every month, in order.
pub(super) fn months() -> Vec<String> {
    let ends = YEARS.flat_map(|year| (1..=12).map(move |month| (year + month / 12, month % 12 + 1)));
    ends.filter_map(|(year, next)| format!("{year}-{next:02}-01").parse::<Day>().ok())
        .map(|next| next.plus(-1).to_string())
        .collect()
}

/// All chapters as one table, a sparkline of all months behind each number.
pub(super) fn table(chapters: &[Chapter]) -> String {
    let months = months();
    let mut columns = vec![Column::text(""), Column::line("by month")];
    columns.extend(DAYS.iter().map(|(_, heading)| Column::number(*heading)));
    let marks = table::marks_beside(NUMBERS).min(MOST_MARKS);
    let mut rows = Vec::new();
    for chapter in chapters.iter().filter(|chapter| !chapter.series.is_empty()) {
        let mut title = vec![String::new(); columns.len()];
        chapter.spec.name.clone_into(&mut title[0]);
        rows.push(title);
        rows.extend(chapter.series.iter().map(|series| row(series, &months, marks)));
    }
    table::drawn(&columns, rows.into_iter())
}

fn row(series: &Series, months: &[String], marks: usize) -> Vec<String> {
    let mut row = vec![format!("  {}", name(series)), table::sparkline(&series.values, marks)];
    row.extend(DAYS.iter().map(|(day, _)| {
        let value = months.iter().position(|month| month == day).and_then(|at| series.values[at]);
        value.map_or_else(|| "–".to_owned(), |value| table::number(series.shape, value))
    }));
    row
}

/// What tells a series from the others of its metric.
pub(super) fn name(series: &Series) -> String {
    let labels = series.labels.values().map(String::as_str);
    labels.chain([series.name.as_str()]).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
