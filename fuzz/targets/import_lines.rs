//! A file to import, plain or packed: every line has one fate, and packing changes nothing.
#![no_main]

use std::io::{Cursor, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use milepost::import::{ImportError, Input, RefusedLine, Summary, Target, import};
use milepost_fuzz::door;

type Outcome = Result<(Summary, Vec<RefusedLine>), ImportError>;

fn imported(bytes: Vec<u8>) -> Outcome {
    let (outcome, remembered) = door::through(async |intake| {
        let inputs = vec![Input { name: Arc::from("file"), bytes: Box::new(Cursor::new(bytes)) }];
        let mut refused = Vec::new();
        let summary =
            import(inputs, &Target::Here(intake), |_, lines| refused.extend_from_slice(lines)).await?;
        Ok((summary, refused))
    });
    if let Ok((summary, refused)) = &outcome {
        let came = (remembered.events.len() + remembered.rejected.len()) as u64;
        assert_eq!(summary.read, came);
        assert_eq!(summary.stored + summary.duplicate + summary.refused, came);
        assert_eq!(summary.refused, refused.len() as u64);
    }
    outcome
}

fuzz_target!(|data: &[u8]| {
    let plain = imported(data.to_owned());
    if data.starts_with(&[0x1f, 0x8b]) {
        return;
    }
    let (summary, refused) = plain.expect("a plain file can always be read");
    let lines = data.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
    assert_eq!(summary.read, lines as u64, "every line is an event or is refused");

    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).expect("memory takes all");
    let packed = imported(encoder.finish().expect("memory takes all"));
    assert_eq!(packed.ok(), Some((summary, refused)), "packing changes nothing");
});
