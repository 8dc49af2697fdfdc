//! All that an installation holds and answers, as far as the events decide it, so that two can be compared.

use std::collections::BTreeSet;

use milepost_model::Rejected;
use milepost_store::sqlite::{self, Report, Severity};

use crate::{Installation, Served, exposition};

/// Names of all metrics.
pub fn metrics(served: &Served) -> Vec<String> {
    let list = served.get_json("/v1/metrics");
    let names: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|metric| metric["name"].as_str().map(str::to_owned))
        .collect();
    assert!(names.len() >= 7, "{list}");
    names
}

/// Every answer as of the end of a day (`2026-11-01`), as it is sent.
pub fn answers(served: &Served, day: &str) -> Vec<String> {
    let metrics = metrics(served);
    let ask = |name: &String, by: &str| served.get(&format!("/v1/metrics/{name}?as_of={day}{by}")).body;
    metrics.iter().flat_map(|name| [ask(name, ""), ask(name, "&by=team")]).collect()
}

/// What `/metrics` says of the events now. It changes at midnight without an event.
pub fn exported(served: &Served) -> Vec<String> {
    exposition::business(&served.metrics(), &metrics(served)).into_iter().map(str::to_owned).collect()
}

/// What the events alone decide: `/metrics` of now, and all answers of days that have ended.
pub fn numbers(served: &Served, days: &[&str]) -> Vec<String> {
    exported(served).into_iter().chain(days.iter().flat_map(|day| answers(served, day))).collect()
}

/// Fails with the first line in which the numbers of one server differ from those of another.
#[track_caller]
pub fn assert_same(expected: &Served, others: &[&Served], days: &[&str]) {
    // The values of now may change at midnight, so all are taken on one day.
    let today = || crate::events::now().to_string()[..10].to_owned();
    let (expected, others) = crate::eventually("one day for all", || {
        let day = today();
        let expected = numbers(expected, days);
        let others: Vec<_> = others.iter().map(|other| numbers(other, days)).collect();
        (today() == day).then_some((expected, others))
    });
    assert!(expected.iter().any(|line| line.starts_with("milepost_market_share_")), "{expected:#?}");
    for other in &others {
        for (line, expected) in other.iter().zip(&expected) {
            assert_eq!(line, expected);
        }
        assert_eq!(other.len(), expected.len());
    }
}

/// What an installation holds and answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Of every metric, byte for byte.
    pub answers: Vec<String>,
    /// Versions of events.
    pub versions: u64,
    /// Versions that did not win.
    pub superseded: u64,
    /// What was refused and why. A sender that gets no answer sends again, and a refusal that was kept and not answered
    /// is then kept twice: so each once.
    pub refused: BTreeSet<String>,
}

impl State {
    /// Of a running installation, as of the end of a day. It must be sound.
    pub fn of(installation: &Installation, served: &Served, day: &str) -> Self {
        let doctor = examine(installation);
        Self {
            answers: answers(served, day),
            versions: doctor.versions,
            superseded: doctor.superseded,
            refused: refused(installation).iter().map(told).collect(),
        }
    }

    /// Fails with the first difference from what is expected.
    #[track_caller]
    pub fn check(&self, expected: &Self, what: &str) {
        let sizes = |state: &Self| (state.versions, state.superseded, state.refused.len());
        assert_eq!(sizes(self), sizes(expected), "{what}: versions, superseded, refused");
        for (refused, expected) in self.refused.iter().zip(&expected.refused) {
            assert_eq!(refused, expected, "{what}");
        }
        for (answer, expected) in self.answers.iter().zip(&expected.answers) {
            assert_eq!(answer, expected, "{what}");
        }
        assert_eq!(self.answers.len(), expected.answers.len(), "{what}");
    }
}

/// What the doctor reports of an installation in which nothing is damaged.
#[track_caller]
pub fn examine(installation: &Installation) -> Report {
    let report = sqlite::examine(&installation.data(), &mut |_, _| ()).expect("it can be looked at");
    let damage: Vec<_> =
        report.findings.iter().filter(|finding| finding.severity == Severity::Damage).collect();
    assert!(damage.is_empty(), "{damage:?}");
    report
}

/// What is in the quarantine, newest first.
pub fn refused(installation: &Installation) -> Vec<Rejected> {
    let mut reader = sqlite::open_reader(&installation.data()).expect("it can be read");
    let refused = reader.quarantine(None, usize::MAX).expect("the quarantine can be read");
    refused.into_iter().map(|refused| refused.rejected).collect()
}

/// A refusal without its number and its time.
fn told(refused: &Rejected) -> String {
    format!("{refused:?}")
}
