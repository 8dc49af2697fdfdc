use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::lines::{self, Batch};
use super::*;

fn input(name: &str, bytes: impl Into<Vec<u8>>) -> Input {
    Input { name: name.into(), bytes: Box::new(Cursor::new(bytes.into())) }
}

/// Every line of the inputs with its place.
fn read(inputs: Vec<Input>, longest: usize) -> Result<Vec<(String, Vec<u8>)>, ImportError> {
    let (sender, mut batches) = mpsc::channel(1_000);
    lines::read(inputs, longest, &sender)?;
    drop(sender);
    let mut all = Vec::new();
    while let Some(batch) = batches.blocking_recv() {
        let batch: Batch = batch;
        all.extend(batch.events().enumerate().map(|(index, event)| (batch.place(index), event.to_vec())));
    }
    Ok(all)
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lines_know_their_file_and_number() {
    let lines = read(vec![input("a", "\n  one \r\n\n two"), input("b", "three\n")], 100).unwrap();
    let expected = [("a:2", "one"), ("a:4", "two"), ("b:1", "three")];
    assert_eq!(lines, expected.map(|(place, text)| (place.to_owned(), text.as_bytes().to_vec())));
}

#[test]
fn a_file_cut_off_in_the_middle_is_told() {
    let mut cut = packed(&b"line\n".repeat(10_000));
    cut.truncate(cut.len() / 2);
    let error = read(vec![input("events.gz", cut)], 100).unwrap_err();
    assert!(error.to_string().starts_with("events.gz: cut short"), "{error}");
}

proptest! {
    /// However long the lines, however many, packed or not: each comes once, with its number; too long ones too long.
    #[test]
    fn every_line_comes_once(
        lines in proptest::collection::vec("[a-z]{0,12}", 0..40),
        pack: bool,
        end: bool,
    ) {
        let mut text = lines.join("\n");
        if end {
            text.push('\n');
        }
        let bytes = if pack { packed(text.as_bytes()) } else { text.into_bytes() };
        let longest = 8;
        let expected: Vec<_> = lines
            .iter()
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(index, line)| (format!("f:{}", index + 1), line.as_bytes()[..line.len().min(longest + 1)].to_vec()))
            .collect();
        prop_assert_eq!(read(vec![input("f", bytes)], longest).unwrap(), expected);
    }
}
