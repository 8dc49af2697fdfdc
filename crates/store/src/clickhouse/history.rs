//! What the metrics said as of the end of each day, for people who ask in SQL.
//!
//! Law: of several rows about the same [`Place`] that with the largest [`Edition`] counts, whatever has been merged. Editions grow with what a
//! value was calculated from, so a writer that is behind another one changes nothing.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use clickhouse::Row;
use milepost_model::answer::{Note, Ratio, Value};
use milepost_model::{Answer, Day, Timestamp};
use serde::{Deserialize, Serialize};

use super::{ClickHouse, Error, Progress};

/// Days a history can have: those of ClickHouse's `Date`.
const DAYS: RangeInclusive<i32> = 0..=65_535;

/// What a row of the history is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The metric.
    pub metric: String,
    /// What it is broken down by: dimension to name. Empty for the whole installation.
    pub labels: BTreeMap<String, String>,
    /// As of the end of this day.
    pub day: Day,
}

/// What a row was calculated from: whatever has more of it is right. In the order of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edition {
    /// That of the progress.
    pub epoch: u32,
    /// Records of the log before the progress.
    pub records: u64,
    /// How often a row was corrected at this progress, as metrics were configured or defined in another way.
    pub correction: u32,
}

/// A row, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What it is about.
    pub place: Place,
    /// What it was calculated from.
    pub edition: Edition,
    /// [`Record::fingerprint`]; none if it says that there is no such value any more.
    pub fingerprint: Option<u64>,
}

/// A row to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What it is about.
    pub place: Place,
    /// What it was calculated from.
    pub edition: Edition,
    /// The value, and the digest of the configuration it was calculated with; none: there is no such value any more.
    pub said: Option<(Answer, String)>,
    /// Differs where what is said does; without meaning where nothing is.
    pub fingerprint: u64,
}

/// A row of `metrics`.
#[derive(Row, Serialize)]
struct Written<'a> {
    metric: &'a str,
    /// As JSON, in order.
    labels_text: String,
    day: u16,
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    numerator: Option<u64>,
    denominator: Option<u64>,
    seconds_p50: Option<u64>,
    seconds_p90: Option<u64>,
    counts: BTreeMap<&'a str, Option<u64>>,
    notes: Vec<&'a str>,
    config: &'a str,
    present: bool,
    fingerprint: u64,
    version: u128,
}

/// What is read of it.
#[derive(Row, Deserialize)]
struct Known {
    metric: String,
    labels_text: String,
    day: u16,
    present: bool,
    fingerprint: u64,
    version: u128,
}

impl Place {
    /// Whether a history can have it.
    pub fn is_in_reach(day: Day) -> bool {
        DAYS.contains(&day.number())
    }
}

impl Edition {
    /// Of what is calculated at this progress for the first time.
    pub fn of(progress: &Progress) -> Self {
        let records = progress.positions.iter().map(|(_, next)| next.max(0).unsigned_abs()).sum();
        Self { epoch: u32::try_from(progress.epoch).unwrap_or(u32::MAX), records, correction: 0 }
    }

    fn version(self) -> u128 {
        u128::from(self.epoch) << 96 | u128::from(self.records) << 32 | u128::from(self.correction)
    }

    fn of_version(version: u128) -> Self {
        Self { epoch: (version >> 96) as u32, records: (version >> 32) as u64, correction: version as u32 }
    }
}

impl ClickHouse {
    /// What is written of these days, without an end where there is none, in no order. Rows that say that there is no such value are among it.
    pub async fn recorded(&self, from: Option<Day>, to: Option<Day>) -> Result<Vec<Recorded>, Error> {
        let clamped = |day: Day| day.number().clamp(*DAYS.start(), *DAYS.end());
        let bounds = [from.map(|day| (">=", day)), to.map(|day| ("<=", day))];
        let conditions =
            bounds.into_iter().flatten().map(|(is, day)| format!("day {is} toDate({})", clamped(day)));
        let condition = std::iter::once("1".to_owned()).chain(conditions).collect::<Vec<_>>().join(" AND ");
        let metrics = self.table("metrics");
        let rows = self
            .connection
            .all::<Known>(&format!(
                "SELECT metric, labels_text, day, present, fingerprint, version FROM {metrics} FINAL WHERE {condition}"
            ))
            .await?;
        rows.into_iter().map(Known::read).collect()
    }

    /// Writes rows. After an error some of them may be there.
    pub async fn record(&self, records: &[Record]) -> Result<(), Error> {
        let rows: Vec<_> = records.iter().map(Written::of).collect();
        self.connection.insert_rows::<Written<'_>>(&self.table("metrics"), &rows).await
    }

    /// The first day that anything happened on that is kept; none if nothing is.
    pub async fn first_day(&self) -> Result<Option<Day>, Error> {
        let first =
            format!("SELECT toUnixTimestamp64Micro(minOrNull(occurred_at)) FROM {}", self.table("events"));
        let micros = self.connection.one::<Option<i64>>(&first).await?;
        Ok(micros.and_then(Timestamp::from_micros).map(Timestamp::day))
    }
}

impl Known {
    fn read(self) -> Result<Recorded, Error> {
        let labels = serde_json::from_str(&self.labels_text)
            .map_err(|_| Error::Corrupt("labels in the table metrics cannot be read".to_owned()))?;
        let day = Day::from_number(self.day.into());
        Ok(Recorded {
            place: Place { metric: self.metric, labels, day },
            edition: Edition::of_version(self.version),
            fingerprint: self.present.then_some(self.fingerprint),
        })
    }
}

impl<'a> Written<'a> {
    fn of(record: &'a Record) -> Self {
        let Record { place, edition, said, fingerprint } = record;
        let nothing = Self {
            metric: &place.metric,
            // Texts by texts have a JSON form.
            labels_text: serde_json::to_string(&place.labels).unwrap_or_default(),
            // Whoever writes has asked whether it is in reach.
            day: place.day.number().clamp(*DAYS.start(), *DAYS.end()) as u16,
            value: None,
            low: None,
            high: None,
            numerator: None,
            denominator: None,
            seconds_p50: None,
            seconds_p90: None,
            counts: BTreeMap::new(),
            notes: Vec::new(),
            config: "",
            present: false,
            fingerprint: *fingerprint,
            version: edition.version(),
        };
        let Some((answer, config)) = said else { return nothing };
        let something = Self {
            counts: answer.counts.iter().map(|(name, count)| (*name, Some(*count))).collect(),
            notes: answer.notes.iter().map(|note| Note::as_str(*note)).collect(),
            config,
            present: true,
            ..nothing
        };
        match &answer.value {
            Value::Ratio(ratio) => {
                let interval = ratio.and_then(Ratio::interval);
                Self {
                    value: ratio.and_then(Ratio::value),
                    low: interval.map(|(low, _)| low),
                    high: interval.map(|(_, high)| high),
                    numerator: ratio.map(|ratio| ratio.numerator),
                    denominator: ratio.map(|ratio| ratio.denominator),
                    ..something
                }
            }
            Value::Score(score) => {
                let interval = score.and_then(|score| score.interval);
                Self {
                    value: score.map(|score| score.value),
                    low: interval.map(|(low, _)| low),
                    high: interval.map(|(_, high)| high),
                    ..something
                }
            }
            Value::Number(number) => Self { value: *number, ..something },
            Value::Durations(quantiles) => {
                let seconds = |q: &str| quantiles.get(q).copied().flatten();
                Self { seconds_p50: seconds("0.5"), seconds_p90: seconds("0.9"), ..something }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use milepost_model::metrics::QUANTILES;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_quantile_has_a_column() {
        assert_eq!(QUANTILES.map(|(name, _)| name), ["0.5", "0.9"]);
    }

    proptest! {
        #[test]
        fn versions_have_the_order_of_editions(a in any::<(u32, u64, u32)>(), b in any::<(u32, u64, u32)>()) {
            let [a, b] = [a, b].map(|(epoch, records, correction)| Edition { epoch, records, correction });
            prop_assert_eq!(a.cmp(&b), a.version().cmp(&b.version()));
            prop_assert_eq!(Edition::of_version(a.version()), a);
        }
    }
}
