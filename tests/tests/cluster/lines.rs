//! What is sent.

use std::fs::File;
use std::io::{BufRead as _, BufReader};

use flate2::read::GzDecoder;
use milepost_tests::delivery::shuffled;
use milepost_tests::{events, real_data};

/// The days of real input that are asked about.
pub(crate) const REAL_DAYS: [&str; 2] = ["2018-12-31", "2020-10-31"];

/// The real input.
pub(crate) fn real() -> Vec<String> {
    let file = File::open(real_data()).expect("the input is there");
    BufReader::new(GzDecoder::new(file)).lines().collect::<Result<_, _>>().expect("the input is text")
}

/// A recent history as it really comes, in an order that is a function of the seed.
pub(crate) fn troubled(seed: u64) -> Vec<String> {
    shuffled(seed, &events::lines(&events::troubled_history(events::now())))
}

/// How many of them are refused.
pub(crate) const REFUSED: u64 = 6;

/// Yesterday and a day in the middle of a recent history.
pub(crate) fn recent_days() -> [String; 2] {
    [1, 60].map(|days| events::ago(events::now(), days, 0).to_string()[..10].to_owned())
}
