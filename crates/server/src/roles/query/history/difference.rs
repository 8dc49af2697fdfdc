//! What has to be written, so that what is written is what is true.
//!
//! Law: a pure function. What it gives, written, leaves no difference; what is of a later edition than this one is left alone, and said.

use std::cmp::Ordering;

use milepost_model::{Answer, AsOf};
use milepost_store::clickhouse::{Edition, Place, Record, Recorded};
use rustc_hash::FxHashMap;
use sha2::{Digest as _, Sha256};

/// What has to be written.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) rows: Vec<Record>,
    /// Whether there is something else of a later edition, which stays: what this one is of lags behind.
    pub(super) is_behind: bool,
}

/// Between the answers as of some days and all that is kept of those. The answers are of this edition, and were given with the
/// configuration of this digest.
pub(super) fn difference(
    answers: Vec<Answer>,
    kept: Vec<Recorded>,
    edition: Edition,
    config: &str,
) -> Difference {
    let mut kept: FxHashMap<Place, Recorded> = kept.into_iter().map(|row| (row.place.clone(), row)).collect();
    let mut difference = Difference::default();
    for answer in answers {
        let Some(place) = place(&answer) else { continue };
        let fingerprint = fingerprint(&answer, config);
        let known = kept.remove(&place);
        if known.as_ref().and_then(|known| known.fingerprint) == Some(fingerprint) {
            continue;
        }
        let said = Some((answer, config.to_owned()));
        difference.write(Record { place, edition, said, fingerprint }, known.map(|known| known.edition));
    }
    for Recorded { place, edition: known, .. } in kept.into_values().filter(|row| row.fingerprint.is_some()) {
        difference.write(Record { place, edition, said: None, fingerprint: 0 }, Some(known));
    }
    difference
}

impl Difference {
    fn write(&mut self, record: Record, known: Option<Edition>) {
        let basis = |edition: Edition| (edition.epoch, edition.records);
        let order = known.map_or(Ordering::Less, |known| basis(known).cmp(&basis(record.edition)));
        match (order, known) {
            (Ordering::Greater, _) => self.is_behind = true,
            (Ordering::Equal, Some(known)) => {
                let edition = Edition { correction: known.correction.saturating_add(1), ..known };
                self.rows.push(Record { edition, ..record });
            }
            _ => self.rows.push(record),
        }
    }
}

/// Where an answer as of a day belongs.
fn place(answer: &Answer) -> Option<Place> {
    let AsOf::Day(day) = answer.as_of else { return None };
    let labels = answer.labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Some(Place { metric: answer.metric.to_owned(), labels, day })
}

/// Of all that is said.
fn fingerprint(answer: &Answer, config: &str) -> u64 {
    let mut hash = Sha256::new_with_prefix(config);
    // An answer is texts and numbers: it has a JSON form.
    hash.update(serde_json::to_vec(answer).unwrap_or_default());
    hash.finalize().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
